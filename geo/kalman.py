"""The live filter: constant velocity, each driver's fixes in order. Gates outliers, stands still at stops.

State and covariance are the same for east and north, so a driver's covariance is three numbers. Phones filter their own
fixes, so where a fix carries no accuracy the filter follows it closely and only gates; it must do no harm.
"""

from dataclasses import dataclass
from math import atan2, cos, degrees, floor, hypot, isfinite, nan, radians, sin, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled
from geo.earth import metric_scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ACCURACY_PER_SIGMA = 1.515
"""Android's accuracy is the 68 % radius; the 68 % radius of a circular normal is 1.515 sigma."""
BIAS_SHARE = 0.71
"""Share of a fix's sigma that is correlated over many seconds, which no filter removes."""
JITTER_SIGMA_M = 1.0
"""Sigma of the white part of a fix that reports no accuracy."""
VELOCITY_SIGMA_MPS = 0.7
"""Sigma per axis of a device's own speed and course."""
UNKNOWN_VELOCITY_SIGMA_MPS = 10.0
COURSE_MIN_MPS = 1.0
"""Slower than this a course says nothing."""

ESTIMATE = ("latitude", "longitude", "speed", "course", "sigma")
HOLD_M, HOLD_SHARE = 4.0, 0.6
"""A driver whose device stands still is held while fixes stay within so many metres, or share of their accuracy."""


class Noise(NamedTuple):
    """How the filter weighs what it sees."""

    default_accuracy_m: float
    min_accuracy_m: float
    outlier_gate: float
    outlier_patience: float
    filter_reset_s: float
    still_speed_mps: float


class _Motion(NamedTuple):
    """How a driver moves, in metres from his last estimate, and how sure that is."""

    east: float
    north: float
    speed_east: float
    speed_north: float
    p: float  # variance of the position per axis
    c: float  # covariance of position and velocity
    v: float  # variance of the velocity


class _Estimate(NamedTuple):
    """What is known of a driver; also the columns of a FilterState."""

    time: float
    latitude: float
    longitude: float
    speed_east: float
    speed_north: float
    p: float
    c: float
    v: float
    misses: float  # outliers in a row up to now
    speed: float
    course: float
    sigma: float


@dataclass(frozen=True, slots=True)
class FilterState:
    """What is known of each driver, a row a driver; NaN before the first fix."""

    array: Floats  # (drivers, len(_Estimate._fields))

    @classmethod
    def empty(cls, capacity: int) -> "FilterState":
        """Drivers never seen."""
        return cls(np.full((capacity, len(_Estimate._fields)), nan))

    def grown(self, extra: int) -> "FilterState":
        """The same with room for more."""
        return FilterState(np.concatenate([self.array, FilterState.empty(extra).array]))

    def _column(self, name: str) -> Floats:
        column: Floats = self.array[:, _Estimate._fields.index(name)]
        return column

    @property
    def time(self) -> Floats:
        """fix_time of the newest believed fix, Unix seconds."""
        return self._column("time")

    @property
    def latitude(self) -> Floats:
        """Estimate, degrees."""
        return self._column("latitude")

    @property
    def longitude(self) -> Floats:
        """Estimate, degrees."""
        return self._column("longitude")

    @property
    def speed(self) -> Floats:
        """The device's own where it reports one, else the filter's; m/s."""
        return self._column("speed")

    @property
    def course(self) -> Floats:
        """Over ground, degrees; the last one known while standing."""
        return self._column("course")

    @property
    def sigma(self) -> Floats:
        """Standard deviation of the position per axis, m."""
        return self._column("sigma")


def update(
    state: FilterState,
    rows: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    course: Floats,
    accuracy: Floats,
    noise: Noise,
) -> tuple[Bools, Floats]:
    """Advance the drivers `rows` by the fixes in columns (n,), by driver, then time; degrees, m/s and m.

    Returns which fixes are outliers and left no trace, (n,), and estimates (5, n) in the rows of ESTIMATE; that of an
    outlier is the prediction for its time.

    Standard Kalman equations for a constant-velocity model with white acceleration (Bar-Shalom, Li, Kirubarajan,
    Estimation with Applications to Tracking and Navigation, 2001, 6.2.2), position and velocity updates in sequence.
    """
    outlier, estimate = np.empty(len(rows), np.bool_), np.empty((len(ESTIMATE), len(rows)))
    _advance(state.array, rows, time, latitude, longitude, speed, course, accuracy, noise, outlier, estimate)
    return outlier, estimate


@compiled
def _advance(
    state: Floats,
    rows: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    course: Floats,
    accuracy: Floats,
    noise: Noise,
    outlier: Bools,
    estimate: Floats,
) -> None:
    """`update` in place."""
    for i in range(len(rows)):
        s = state[rows[i]]
        last = _Estimate(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11])
        outlier[i], now = _step(last, time[i], latitude[i], longitude[i], speed[i], course[i], accuracy[i], noise)
        estimate[0, i], estimate[1, i], estimate[2, i] = now.latitude, now.longitude, now.speed
        estimate[3, i], estimate[4, i] = now.course, now.sigma
        if outlier[i]:
            s[8] = now.misses
        else:
            for field in range(len(now)):
                s[field] = now[field]


@compiled
def _step(
    last: _Estimate,
    time: float,
    latitude: float,
    longitude: float,
    speed: float,
    course: float,
    accuracy: float,
    noise: Noise,
) -> tuple[bool, _Estimate]:
    """One fix: whether it is an outlier, and what is known after it, or in its place."""
    metres_north, metres_east = metric_scale(latitude)
    east = _wrap(longitude - last.longitude) * metres_east
    north = (latitude - last.latitude) * metres_north
    sigma, r = _spread(accuracy, noise)
    still = speed < noise.still_speed_mps
    measured = still or (isfinite(speed) and isfinite(course))
    own_east, own_north = _own_velocity(speed, course, still, measured)
    misses = 0.0
    fresh = not time - last.time <= noise.filter_reset_s
    if not fresh:
        m = _predict(last, time - last.time)
        off = (east - m.east) ** 2 + (north - m.north) ** 2
        if off > noise.outlier_gate * (m.p + sigma * sigma):
            misses = last.misses + 1.0
            fresh = misses >= noise.outlier_patience
            if not fresh:
                there = _wrap(last.longitude + m.east / metres_east)
                pace = hypot(last.speed_east, last.speed_north)
                return True, _Estimate(
                    time, last.latitude + m.north / metres_north, there, m.speed_east, m.speed_north,
                    m.p, m.c, m.v, misses, pace, last.course, sqrt(m.p),
                )  # fmt: skip
            misses = 0.0
    if fresh:
        velocity_sigma = VELOCITY_SIGMA_MPS if measured else UNKNOWN_VELOCITY_SIGMA_MPS
        m = _Motion(0.0, 0.0, own_east, own_north, r, 0.0, velocity_sigma**2)
        here = latitude, longitude
    else:
        m = _with_position(m, east, north, r)
        if measured:
            m = _with_velocity(m, own_east, own_north)
        hold = max(HOLD_M, HOLD_SHARE * sigma * ACCURACY_PER_SIGMA)
        if still and east * east + north * north < hold * hold:
            here = last.latitude, last.longitude
        else:
            here = last.latitude + m.north / metres_north, _wrap(last.longitude + m.east / metres_east)
    pace = hypot(m.speed_east, m.speed_north)
    if not (isfinite(course) and not speed < COURSE_MIN_MPS):
        course = degrees(atan2(m.speed_east, m.speed_north)) % 360.0 if pace >= COURSE_MIN_MPS else last.course
    if not isfinite(speed):
        speed = pace
    spread = sqrt(m.p + (BIAS_SHARE * sigma) ** 2)
    return False, _Estimate(
        time, here[0], here[1], m.speed_east, m.speed_north, m.p, m.c, m.v, misses, speed, course, spread
    )  # fmt: skip


@compiled
def _wrap(longitude: float) -> float:
    """A longitude, or a difference of two, as [-180, 180)."""
    return longitude - 360.0 * floor((longitude + 180.0) / 360.0)


@compiled
def _spread(accuracy: float, noise: Noise) -> tuple[float, float]:
    """Sigma of a fix for the gate, and the variance of its white part for the update."""
    known = isfinite(accuracy)
    sigma = max(accuracy if known else noise.default_accuracy_m, noise.min_accuracy_m) / ACCURACY_PER_SIGMA
    return sigma, (sigma if known else JITTER_SIGMA_M) ** 2


@compiled
def _own_velocity(speed: float, course: float, still: bool, measured: bool) -> tuple[float, float]:
    """What a device tells of its velocity, east and north; zero where it tells nothing."""
    if still or not measured:
        return 0.0, 0.0
    angle = radians(course)
    return speed * sin(angle), speed * cos(angle)


@compiled
def _predict(last: _Estimate, dt: float) -> _Motion:
    """Seconds later. Drivers turn and brake: the longer the gap, the less a velocity says."""
    q = min(max(0.5 * dt, 0.5), 8.0)
    return _Motion(
        last.speed_east * dt,
        last.speed_north * dt,
        last.speed_east,
        last.speed_north,
        last.p + dt * (2 * last.c + dt * (last.v + q * dt / 3)),
        last.c + dt * (last.v + q * dt / 2),
        last.v + q * dt,
    )


@compiled
def _with_position(m: _Motion, east: float, north: float, r: float) -> _Motion:
    """Corrected by a position of variance r."""
    gain = 1.0 / (m.p + r)
    of_position, of_velocity = m.p * gain, m.c * gain
    off_east, off_north = east - m.east, north - m.north
    return _Motion(
        m.east + of_position * off_east,
        m.north + of_position * off_north,
        m.speed_east + of_velocity * off_east,
        m.speed_north + of_velocity * off_north,
        (1 - of_position) * m.p,
        (1 - of_position) * m.c,
        m.v - of_velocity * m.c,
    )


@compiled
def _with_velocity(m: _Motion, east: float, north: float) -> _Motion:
    """Corrected by a device's own velocity."""
    gain = 1.0 / (m.v + VELOCITY_SIGMA_MPS**2)
    of_position, of_velocity = m.c * gain, m.v * gain
    off_east, off_north = east - m.speed_east, north - m.speed_north
    return _Motion(
        m.east + of_position * off_east,
        m.north + of_position * off_north,
        m.speed_east + of_velocity * off_east,
        m.speed_north + of_velocity * off_north,
        m.p - of_position * m.c,
        (1 - of_velocity) * m.c,
        (1 - of_velocity) * m.v,
    )
