"""The smoother of tracks: each fix in the light of those before and after it. For history, not for live positions.

A Rauch-Tung-Striebel smoother (AIAA Journal 3, 1965) over the model of the live filter, without the outliers that the
live filter found by two fixes later; what is estimated for their times is what the others say.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.beliefs import FilterState
from geo.compiled import compiled, helper
from geo.earth import metres_per_degree, metric_scale, wrap_degrees, wrapped
from geo.kalman import Noise, update
from geo.motion import (
    COURSE_MIN_MPS,
    Motion,
    acceleration,
    first,
    innovation,
    innovation_variance,
    own_velocity,
    predict,
    spread,
    with_position,
    with_velocity,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

JUMP = 50.0
"""A believed fix further off than this, as a squared Mahalanobis distance, begins a path of its own."""
STILL_MPS, STILL_M, STILL_S = 0.5, 4.0, 5.0
"""Slower than this, for so long and within so many metres of their middle, fixes are of one place."""
_FIELDS = len(Motion._fields)
_COVARIANCE = np.array([[6, 7, 8], [7, 9, 10], [8, 10, 11]])
"""Where a Motion has the covariance of position, velocity and bias."""


class Smoothed(NamedTuple):
    """A track as it probably was, in columns of n fixes."""

    outlier: Bools  # (n,)
    estimate: Floats  # (5, n) in the rows of `geo.kalman.ESTIMATE`; speed and course are the smoother's own


def smooth(
    rows: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    course: Floats,
    accuracy: Floats,
    noise: Noise,
) -> Smoothed:
    """Smooth fixes in columns (n,), by driver (`rows`), then time; degrees, m/s and m."""
    n = len(rows)
    if not n:
        return Smoothed(np.empty(0, np.bool_), np.empty((5, 0)))
    driver = np.cumsum(np.diff(rows, prepend=rows[0]) != 0)
    fixes = time, latitude, longitude, speed, course, accuracy
    outlier = _outliers(driver, *fixes, noise)
    filtered, predicted = np.empty((n, _FIELDS)), np.empty((n, _FIELDS))
    wane, origin = np.empty(n), np.empty(n, np.int64)
    _forward(driver, *fixes, noise, outlier, filtered, predicted, wane, origin)

    gain = _gains(filtered, predicted, np.diff(time), wane[1:], origin)
    _backward(filtered, predicted, gain, _COVARIANCE)
    _stand(filtered, time, origin)
    north, east = metres_per_degree(latitude[origin])
    pace = np.hypot(filtered[:, 2], filtered[:, 3])
    way = np.degrees(np.arctan2(filtered[:, 2], filtered[:, 3])) % 360.0
    estimate = np.stack(
        [
            np.clip(latitude[origin] + filtered[:, 1] / north, -90.0, 90.0),
            wrap_degrees(longitude[origin] + filtered[:, 0] / east),
            pace,
            np.where(pace >= COURSE_MIN_MPS, way, np.nan),
            np.sqrt(np.maximum(filtered[:, 6], 0.0)),
        ]
    )
    return Smoothed(outlier, estimate)


def _outliers(
    driver: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    course: Floats,
    accuracy: Floats,
    noise: Noise,
) -> Bools:
    """(n,) as the live filter judges them in the end; drivers are numbered from 0."""
    state = FilterState.empty(int(driver[-1]) + 1)
    live = update(state, driver, time, latitude, longitude, speed, course, accuracy, noise)
    for by, when, outlier in zip(live.revised_by, live.revised_time, live.revised, strict=True):
        back = 1 if time[by - 1] == when else 2
        live.outlier[by - back] = outlier
    return live.outlier


@compiled
def _forward(
    driver: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    course: Floats,
    accuracy: Floats,
    noise: Noise,
    outlier: Bools,
    filtered: Floats,
    predicted: Floats,
    wane: Floats,
    origin: Ints,
) -> None:
    """The filter: Motions before and after each fix, in metres from the fix `origin`, the first of its path."""
    start = 0
    metres_north, metres_east = metric_scale(latitude[0])
    for i in range(len(driver)):
        fix = spread(accuracy[i], noise.default_accuracy_m, noise.min_accuracy_m)
        own = own_velocity(speed[i], course[i], noise.still_speed_mps)
        east = wrapped(longitude[i] - longitude[start]) * metres_east
        north = (latitude[i] - latitude[start]) * metres_north
        dt = time[i] - time[i - 1] if i > 0 else 0.0
        anew = i == 0 or driver[i] != driver[start] or not dt <= noise.filter_reset_s
        if not anew:
            m = predict(_motion(filtered[i - 1]), dt, fix.wane_s, acceleration(dt, fix.told))
            off_east, off_north = innovation(m, east, north, fix)
            far = off_east**2 + off_north**2 > JUMP * innovation_variance(m, fix)
            anew = far and not outlier[i]
            _put(predicted[i], m)
            if not (anew or outlier[i]):
                m = with_velocity(with_position(m, east, north, fix), own)
        if anew:
            start, m = i, first(0.0, 0.0, fix, own)
            metres_north, metres_east = metric_scale(latitude[i])
            _put(predicted[i], m)
        _put(filtered[i], m)
        wane[i], origin[i] = fix.wane_s, start


def _gains(filtered: Floats, predicted: Floats, dt: Floats, wane_s: Floats, origin: Ints) -> Floats:
    """(n - 1, 3, 3) how much of what the next fix changed is taken back to each one; nothing over a path's end."""
    ends = origin[1:] != origin[:-1]
    dt = np.where(ends, 0.0, dt)
    step = np.zeros((len(dt), 3, 3))
    step[:, 0, 0] = step[:, 1, 1] = ~ends
    step[:, 0, 1], step[:, 2, 2] = dt, np.exp(-dt / wane_s) * ~ends
    next_one = predicted[1:][:, _COVARIANCE]
    next_one[ends] = np.eye(3)
    gain: Floats = filtered[:-1][:, _COVARIANCE] @ step.transpose(0, 2, 1) @ np.linalg.inv(next_one)
    return gain


@compiled
def _backward(filtered: Floats, predicted: Floats, gain: Floats, place: Ints) -> None:
    """Smooth the filtered Motions in place, from the last to the first."""
    change = np.empty(_FIELDS)
    for i in range(len(filtered) - 2, -1, -1):
        for field in range(_FIELDS):
            change[field] = filtered[i + 1, field] - predicted[i + 1, field]
        for a in range(3):
            for b in range(3):
                for axis in range(2):
                    filtered[i, 2 * a + axis] += gain[i, a, b] * change[2 * b + axis]
                for c in range(a, 3):
                    for d in range(3):
                        filtered[i, place[a, c]] += gain[i, a, b] * change[place[b, d]] * gain[i, c, d]


@compiled
def _stand(smoothed: Floats, time: Floats, origin: Ints) -> None:
    """Put fixes of one place at their middle."""
    start = 0
    while start < len(time):
        end, east, north = start, 0.0, 0.0
        while end < len(time) and origin[end] == origin[start]:
            m = smoothed[end]
            count = end - start
            off_east, off_north = (m[0] - east / count, m[1] - north / count) if count else (0.0, 0.0)
            if m[2] ** 2 + m[3] ** 2 > STILL_MPS**2 or off_east**2 + off_north**2 > STILL_M**2:
                break
            east, north, end = east + m[0], north + m[1], end + 1
        if end > start and time[end - 1] - time[start] >= STILL_S:
            for i in range(start, end):
                smoothed[i, 0], smoothed[i, 1] = east / (end - start), north / (end - start)
                smoothed[i, 2] = smoothed[i, 3] = 0.0
        start = max(end, start + 1)


@helper
def _motion(row: Floats) -> Motion:
    return Motion(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11]
    )  # fmt: skip


@helper
def _put(row: Floats, m: Motion) -> None:
    for field in range(len(m)):
        row[field] = m[field]
