"""From the fixes of a batch to what they draw: legs for the fences, runs for the store."""

from collections.abc import Callable, Sequence
from math import hypot, inf, isnan, nan
from typing import Any

import numpy as np

from geo.compiled import compiled, helper
from geo.earth import distance, metric_scale, wrapped
from geo.motion import ACCURACY_PER_SIGMA
from tracker.drivers import DriverTable
from tracker.errors import Flag
from tracker.gate import run_starts
from tracker.records import Bools, FixBatch, Flags, Floats, Ints, Legs, Track

CONNECT_WITHIN_S = 600.0
"""A run does not reach back over a longer silence than this."""
_ACCEPTED, _DUPLICATE, _REJECTED = int(Flag.ACCEPTED), int(Flag.DUPLICATE), int(Flag.REJECTED)
_FAR_M, _POLAR = 10_000.0, 85.0
"""A leg longer than this, or so near a pole, is measured on the ellipsoid."""


def as_measured(batch: FixBatch, flag: Flags) -> Floats:
    """Each fix as its own estimate, (5, n) in the rows of `kalman.ESTIMATE`; NaN where it is not stored."""
    estimate = np.empty((5, len(batch)))
    _as_measured(flag, batch.latitude, batch.longitude, batch.speed, batch.course, batch.accuracy, estimate)
    return estimate


@helper
def _as_measured(
    flag: Flags,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    course: Floats,
    accuracy: Floats,
    estimate: Floats,
) -> None:
    for i in range(len(flag)):
        if flag[i] == _DUPLICATE or flag[i] >= _REJECTED:
            estimate[:, i] = nan
        else:
            estimate[0, i], estimate[1, i] = latitude[i], longitude[i]
            estimate[2, i], estimate[3, i], estimate[4, i] = speed[i], course[i], accuracy[i] / ACCURACY_PER_SIGMA


def legs(batch: FixBatch, index: Ints, estimate: Floats, prior: Floats) -> Legs:
    """Consecutive believed positions of the fixes `index` (k,), by driver, then time.

    `estimate` (5, n) holds latitude, longitude and sigma in its rows 0, 1, 4; `prior` (3, k) is the time, latitude and
    longitude of each one's driver before the batch, NaN for a new one.
    """
    driver, columns = np.empty(len(index), np.int64), np.empty((9, len(index)))
    far, disorder = _legs(index, batch.driver, batch.fix_time, batch.received_at, estimate, prior, driver, columns)
    t0, latitude0, longitude0, t1, latitude1, longitude1, sigma1, length, newest = columns
    if far:
        at = np.flatnonzero(length > _FAR_M)
        length[at] = distance(latitude0[at], longitude0[at], latitude1[at], longitude1[at])
    if disorder:
        newest[:] = t1[_newest_by_then(driver, batch.received_at[index])]
    return Legs(driver, t0, latitude0, longitude0, t1, latitude1, longitude1, sigma1, length, newest)


@helper
def _legs(
    index: Ints,
    driver: Ints,
    fix_time: Floats,
    received_at: Floats,
    estimate: Floats,
    prior: Floats,
    of: Ints,
    columns: Floats,
) -> tuple[bool, bool]:
    """Fill in whose each leg is, and its columns as in `Legs`; whether any is far, or its `newest` NaN, as fixes came
    out of order.
    """
    far = disorder = False
    for k in range(len(index)):
        i = index[k]
        of[k] = driver[i]
        columns[3, k] = fix_time[i]
        columns[4, k], columns[5, k], columns[6, k] = estimate[0, i], estimate[1, i], estimate[4, i]
        goes_on = k > 0 and of[k] == of[k - 1]
        new = not goes_on and isnan(prior[0, k])
        for row in range(3):
            columns[row, k] = columns[row + 3, k if new else k - 1] if new or goes_on else prior[row, k]
        north, east = metric_scale((columns[1, k] + columns[4, k]) / 2)
        wide = wrapped(columns[5, k] - columns[2, k])
        columns[7, k] = hypot((columns[4, k] - columns[1, k]) * north, wide * east)
        if max(abs(columns[1, k]), abs(columns[4, k])) > _POLAR:
            columns[7, k] = inf
        far = far or columns[7, k] > _FAR_M
    in_turn = True
    for k in range(len(index) - 1, -1, -1):
        last = k == len(index) - 1 or of[k] != of[k + 1]
        in_turn = last or (in_turn and received_at[index[k]] <= received_at[index[k + 1]])
        together = not last and received_at[index[k]] == received_at[index[k + 1]]
        columns[8, k] = nan if not in_turn else columns[8, k + 1] if together else fix_time[index[k]]
        disorder = disorder or not in_turn
    return far, disorder


def _newest_by_then(driver: Ints, received_at: Floats) -> Ints:
    """For each fix of columns (k,) by driver, then time: the driver's last one that was received no later."""
    order = np.lexsort((received_at, driver))
    last = np.maximum.accumulate(order)  # drivers' places rise, so one driver's never reach into the next's
    key = np.stack([driver, received_at])[:, order]
    together = np.flatnonzero(np.append((np.diff(key) != 0).any(axis=0), True))  # the end of each frame
    newest = np.empty_like(order)
    newest[order] = last[together[np.searchsorted(together, np.arange(len(order)))]]
    return newest


def _columns(batch: FixBatch, index: Ints) -> list[Any]:
    floats = (batch.fix_time, batch.latitude, batch.longitude, batch.speed, batch.course, batch.accuracy)
    return [column[index] for column in (*floats, batch.source)]


def runs(batch: FixBatch, index: Ints, prior_time: Floats, drivers: DriverTable) -> Track:
    """One run a driver of the fixes `index` (k,), as measured, each reaching back to the vertex before it.

    `prior_time` (k,) is when that was, NaN for a new driver.
    """
    floats, source = np.empty((6, 2 * len(index))), np.empty(2 * len(index), np.uint8)
    columns = (batch.fix_time, batch.latitude, batch.longitude, batch.speed, batch.course, batch.accuracy)
    runs_of, connected, offset = _runs(
        index, batch.driver, columns, batch.source, prior_time, drivers.measured, drivers.source, floats, source
    )
    fix_time, latitude, longitude, speed, course, accuracy = floats[:, : offset[-1]]
    kind, whose = np.full(len(runs_of), _ACCEPTED, np.uint8), [drivers.ids[row] for row in runs_of.tolist()]
    return Track(
        whose, kind, connected, offset, fix_time, latitude, longitude, speed, course, accuracy, source[: offset[-1]]
    )


@compiled
def _runs(
    index: Ints,
    driver: Ints,
    columns: tuple[Floats, Floats, Floats, Floats, Floats, Floats],
    source: Flags,
    prior_time: Floats,
    measured: Floats,
    measured_source: Flags,
    floats: Floats,
    sources: Flags,
) -> tuple[Ints, Bools, Ints]:
    """Fill in the vertices of the runs; return whose each is, whether it reaches back, and where each begins."""
    whose, connected = np.empty(len(index), np.int64), np.empty(len(index), np.bool_)
    offset = np.zeros(len(index) + 1, np.int64)
    runs, n = 0, 0
    for k in range(len(index)):
        i = index[k]
        d = driver[i]
        if k == 0 or d != driver[index[k - 1]]:
            whose[runs], offset[runs] = d, n
            connected[runs] = columns[0][i] - prior_time[k] <= CONNECT_WITHIN_S
            if connected[runs]:
                floats[0, n], sources[n] = prior_time[k], measured_source[d]
                for row in range(5):
                    floats[row + 1, n] = measured[d, row]
                n += 1
            runs += 1
        floats[0, n], floats[1, n], floats[2, n] = columns[0][i], columns[1][i], columns[2][i]
        floats[3, n], floats[4, n], floats[5, n] = columns[3][i], columns[4][i], columns[5][i]
        sources[n] = source[i]
        n += 1
    offset[runs] = n
    return whose[:runs].copy(), connected[:runs].copy(), offset[: runs + 1].copy()


def runs_aside(batch: FixBatch, index: Ints, flag: Flags, driver_ids: Sequence[str]) -> tuple[Track, Ints]:
    """Late fixes and outliers, one run a driver and kind, and the fix each vertex is."""
    if not len(index):
        return Track.empty(), index
    index = index[np.lexsort((batch.fix_time[index], flag[index], batch.driver[index]))]
    starts = run_starts(batch.driver[index] * 256 + flag[index])
    first = index[starts]
    track = Track(
        [driver_ids[r] for r in batch.driver[first].tolist()],
        flag[first],
        np.zeros(len(first), np.bool_),
        np.append(starts, len(index)),
        *_columns(batch, index),
    )
    return track, index


def batch_of(track: Track, row: Callable[[str], int]) -> FixBatch:
    """The vertices of a track as fixes again, received when they were measured."""
    rows = np.fromiter((row(driver_id) for driver_id in track.driver_id), np.int64, len(track))
    driver = np.repeat(rows, np.diff(track.offset))
    return FixBatch(
        driver,
        track.fix_time,
        track.latitude,
        track.longitude,
        track.speed,
        track.course,
        track.accuracy,
        track.fix_time,
        track.source,
    )
