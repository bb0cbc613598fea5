"""The live filter: constant velocity, many drivers at once, one fix each. Gates outliers, stands still at stops.

State and covariance are the same for east and north, so a driver's covariance is three numbers. Phones filter their own
fixes, so where a fix carries no accuracy the filter follows it closely and only gates; it must do no harm.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.earth import metres_per_degree, wrap_degrees

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
_FIELDS = 12


@dataclass(frozen=True, slots=True)
class FilterState:
    """Columns of shape (drivers,), all views into one array so that a round gathers and scatters once."""

    array: Floats  # (_FIELDS, drivers)

    @classmethod
    def empty(cls, capacity: int) -> "FilterState":
        """Drivers never seen: all NaN."""
        return cls(np.full((_FIELDS, capacity), np.nan))

    def grown(self, extra: int) -> "FilterState":
        """The same with room for more."""
        return FilterState(np.concatenate([self.array, np.full((_FIELDS, extra), np.nan)], axis=1))

    def _row(self, field: int) -> Floats:
        row: Floats = self.array[field]
        return row

    @property
    def time(self) -> Floats:
        """fix_time of the newest believed fix, Unix seconds."""
        return self._row(0)

    @property
    def latitude(self) -> Floats:
        """Estimate, degrees."""
        return self._row(1)

    @property
    def longitude(self) -> Floats:
        """Estimate, degrees."""
        return self._row(2)

    @property
    def speed(self) -> Floats:
        """The device's own where it reports one, else the filter's; m/s."""
        return self._row(9)

    @property
    def course(self) -> Floats:
        """Over ground, degrees; the last one known while standing."""
        return self._row(10)

    @property
    def sigma(self) -> Floats:
        """Standard deviation of the position per axis, m."""
        return self._row(11)


@dataclass(frozen=True, slots=True)
class Noise:
    """How the filter weighs what it sees."""

    default_accuracy_m: float
    min_accuracy_m: float
    outlier_gate: float
    outlier_patience: int
    filter_reset_s: float
    still_speed_mps: float


class _Motion(NamedTuple):
    """Where drivers are, in metres from their last estimates, how fast, and how sure that is; columns (n,)."""

    east: Floats
    north: Floats
    speed_east: Floats
    speed_north: Floats
    p: Floats  # variance of the position per axis
    c: Floats  # covariance of position and velocity
    v: Floats  # variance of the velocity


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
    """Advance each driver of `rows` (n, each once) by one fix; the fixes are columns (n,) in degrees, m/s and m.

    Returns which fixes are outliers and left no trace, (n,), and estimates (5, n) in the rows of ESTIMATE; that of an
    outlier is the prediction for its time.

    Standard Kalman equations for a constant-velocity model with white acceleration (Bar-Shalom, Li, Kirubarajan,
    Estimation with Applications to Tracking and Navigation, 2001, 6.2.2), position and velocity updates in sequence.
    """
    t0, lat0, lon0, ve, vn, p, c, v, misses, _, course0, _ = state.array[:, rows]
    metres_north, metres_east = metres_per_degree(latitude)
    east, north = wrap_degrees(longitude - lon0) * metres_east, (latitude - lat0) * metres_north
    fresh = ~(time - t0 <= noise.filter_reset_s)
    zero = np.zeros(len(rows))
    predicted = _predict(_Motion(zero, zero, ve, vn, p, c, v), np.where(fresh, 0.0, time - t0))

    # Gate
    sigma, r = _spread(accuracy, noise)
    wild = ~fresh & (
        _square(east - predicted.east, north - predicted.north) > noise.outlier_gate * (predicted.p + sigma**2)
    )
    misses = np.where(wild, misses + 1, 0.0)
    outlier = wild & (misses < noise.outlier_patience)
    fresh |= wild & ~outlier

    # Correct, stand still at stops, start afresh where there is nothing to go on
    still = speed < noise.still_speed_mps
    measured, own_east, own_north = _own_velocity(speed, course, still)
    after = _with_velocity(_with_position(predicted, east, north, r), own_east, own_north, measured)
    hold = still & (_square(east, north) < np.maximum(HOLD_M, HOLD_SHARE * sigma * ACCURACY_PER_SIGMA) ** 2)
    after = after._replace(east=np.where(hold, 0.0, after.east), north=np.where(hold, 0.0, after.north))
    unsure = np.where(measured, VELOCITY_SIGMA_MPS, UNKNOWN_VELOCITY_SIGMA_MPS) ** 2
    first = _Motion(east, north, np.where(measured, own_east, 0.0), np.where(measured, own_north, 0.0), r, zero, unsure)
    after = _Motion(*(np.where(fresh, a, b) for a, b in zip(first, after, strict=True)))

    pace = np.hypot(after.speed_east, after.speed_north)
    seen = np.degrees(np.arctan2(after.speed_east, after.speed_north)) % 360.0
    seen = np.where(pace >= COURSE_MIN_MPS, seen, course0)
    new = np.stack(
        [
            time,
            np.where(fresh, latitude, lat0 + after.north / metres_north),
            np.where(fresh, longitude, wrap_degrees(lon0 + after.east / metres_east)),
            *after[2:],
            misses,
            np.where(np.isfinite(speed), speed, pace),
            np.where(np.isfinite(course) & ~(speed < COURSE_MIN_MPS), course, seen),
            np.sqrt(after.p + (BIAS_SHARE * sigma) ** 2),
        ]
    )
    state.array[8, rows] = misses
    state.array[:, rows[~outlier]] = new[:, ~outlier]
    estimate = new[[1, 2, 9, 10, 11]]
    if outlier.any():
        there = lat0 + predicted.north / metres_north, wrap_degrees(lon0 + predicted.east / metres_east)
        instead = np.stack([*there, np.hypot(ve, vn), course0, np.sqrt(predicted.p)])
        estimate[:, outlier] = instead[:, outlier]
    return outlier, estimate


def _spread(accuracy: Floats, noise: Noise) -> tuple[Floats, Floats]:
    """Sigma of a fix for the gate, and the variance of its white part for the update."""
    known = np.isfinite(accuracy)
    sigma = np.maximum(np.where(known, accuracy, noise.default_accuracy_m), noise.min_accuracy_m) / ACCURACY_PER_SIGMA
    return sigma, np.where(known, sigma, JITTER_SIGMA_M) ** 2


def _own_velocity(speed: Floats, course: Floats, still: Bools) -> tuple[Bools, Floats, Floats]:
    """Whether a device tells its velocity, and that velocity east and north; standing still is one."""
    measured = still | (np.isfinite(speed) & np.isfinite(course))
    angle = np.radians(np.where(measured & ~still, course, 0.0))
    length = np.where(still, 0.0, speed)
    return measured, length * np.sin(angle), length * np.cos(angle)


def _predict(m: _Motion, dt: Floats) -> _Motion:
    """Seconds later. Drivers turn and brake: the longer the gap, the less a velocity says."""
    q = np.clip(0.5 * dt, 0.5, 8.0)
    return _Motion(
        m.east + m.speed_east * dt,
        m.north + m.speed_north * dt,
        m.speed_east,
        m.speed_north,
        m.p + dt * (2 * m.c + dt * (m.v + q * dt / 3)),
        m.c + dt * (m.v + q * dt / 2),
        m.v + q * dt,
    )


def _with_position(m: _Motion, east: Floats, north: Floats, r: Floats) -> _Motion:
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


def _with_velocity(m: _Motion, east: Floats, north: Floats, measured: Bools) -> _Motion:
    """Corrected by a device's own velocity, where it is measured."""
    gain = np.where(measured, 1.0 / (m.v + VELOCITY_SIGMA_MPS**2), 0.0)
    of_position, of_velocity = m.c * gain, m.v * gain
    off_east, off_north = np.where(measured, east - m.speed_east, 0.0), np.where(measured, north - m.speed_north, 0.0)
    return _Motion(
        m.east + of_position * off_east,
        m.north + of_position * off_north,
        m.speed_east + of_velocity * off_east,
        m.speed_north + of_velocity * off_north,
        m.p - of_position * m.c,
        (1 - of_velocity) * m.c,
        (1 - of_velocity) * m.v,
    )


def _square(east: Floats, north: Floats) -> Floats:
    return east * east + north * north
