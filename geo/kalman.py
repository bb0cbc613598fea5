"""The live filter: constant velocity, many drivers at once, one fix each. Gates outliers, stands still at stops.

State and covariance are the same for east and north, so a driver's covariance is three numbers. Phones filter their own
fixes, so where a fix carries no accuracy the filter follows it closely and only gates; it must do no harm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geo.earth import metres_per_degree, wrap_degrees

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

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
) -> tuple[NDArray[np.bool_], Floats]:
    """Advance each driver of `rows` (n, each once) by one fix; the fixes are columns (n,) in degrees, m/s and m.

    Returns which fixes are outliers and left no trace, (n,), and estimates (5, n) in the rows of ESTIMATE; that of an
    outlier is the prediction for its time.
    Standard Kalman equations for a constant-velocity model with white acceleration (Bar-Shalom, Li, Kirubarajan,
    Estimation with Applications to Tracking and Navigation, 2001, 6.2.2), position and velocity updates in sequence.
    """
    t0, lat0, lon0, ve, vn, p, c, v, misses, _, course0, _ = state.array[:, rows]
    dt = time - t0
    north, east = metres_per_degree(latitude)
    fresh = ~(dt <= noise.filter_reset_s)
    dt = np.where(fresh, 0.0, dt)

    # Predict. Drivers turn and brake: the longer the gap, the less a velocity says.
    q = np.clip(0.5 * dt, 0.5, 8.0)
    p = p + dt * (2 * c + dt * (v + q * dt / 3))
    c = c + dt * (v + q * dt / 2)
    v = v + q * dt
    x = wrap_degrees(longitude - lon0) * east  # the fix, seen from the last estimate
    y = (latitude - lat0) * north
    dx = x - ve * dt  # innovation
    dy = y - vn * dt

    predicted = np.stack([lat0 + vn * dt / north, lon0 + ve * dt / east, np.hypot(ve, vn), course0, np.sqrt(p)])

    # Gate
    known = np.isfinite(accuracy)
    sigma = np.maximum(np.where(known, accuracy, noise.default_accuracy_m), noise.min_accuracy_m) / ACCURACY_PER_SIGMA
    r = np.where(known, sigma, JITTER_SIGMA_M) ** 2
    wild = ~fresh & (dx * dx + dy * dy > noise.outlier_gate * (p + sigma * sigma))
    misses = np.where(wild, misses + 1, 0.0)
    outlier = wild & (misses < noise.outlier_patience)
    fresh |= wild & ~outlier

    # Update position, then velocity from the device
    s = 1.0 / (p + r)
    kp, kv = p * s, c * s
    ex, ey = ve * dt + kp * dx, vn * dt + kp * dy
    ve, vn = ve + kv * dx, vn + kv * dy
    p, c, v = (1 - kp) * p, (1 - kp) * c, v - kv * c
    still = speed < noise.still_speed_mps
    measured = still | (np.isfinite(speed) & np.isfinite(course))
    angle = np.radians(np.where(measured & ~still, course, 0.0))
    device = np.where(still, 0.0, speed)
    de, dn = device * np.sin(angle), device * np.cos(angle)
    s = np.where(measured, 1.0 / (v + VELOCITY_SIGMA_MPS**2), 0.0)
    de_, dn_ = np.where(measured, de - ve, 0.0), np.where(measured, dn - vn, 0.0)
    kp, kv = c * s, v * s
    ex, ey, ve, vn = ex + kp * de_, ey + kp * dn_, ve + kv * de_, vn + kv * dn_
    p, c, v = p - kp * c, (1 - kv) * c, (1 - kv) * v

    # Stand still where the device does and the fix stays near
    hold = still & ~fresh & (x * x + y * y < np.maximum(4.0, 0.6 * sigma * ACCURACY_PER_SIGMA) ** 2)
    ex, ey = np.where(hold, 0.0, ex), np.where(hold, 0.0, ey)

    # Start afresh where there is nothing to go on
    ex, ey = np.where(fresh, x, ex), np.where(fresh, y, ey)
    ve, vn = np.where(fresh, np.where(measured, de, 0.0), ve), np.where(fresh, np.where(measured, dn, 0.0), vn)
    v_fresh = np.where(measured, VELOCITY_SIGMA_MPS, UNKNOWN_VELOCITY_SIGMA_MPS) ** 2
    p, c, v = np.where(fresh, r, p), np.where(fresh, 0.0, c), np.where(fresh, v_fresh, v)

    first = np.isnan(lat0)
    new_lat = np.where(first | fresh, latitude, lat0 + ey / north)
    new_lon = np.where(first | fresh, longitude, wrap_degrees(lon0 + ex / east))
    pace = np.hypot(ve, vn)
    new_speed = np.where(np.isfinite(speed), speed, pace)
    own = np.isfinite(course) & ~(speed < COURSE_MIN_MPS)
    seen = np.where(pace >= COURSE_MIN_MPS, np.degrees(np.arctan2(ve, vn)) % 360.0, course0)
    new_course = np.where(own, course, seen)
    new_sigma = np.sqrt(p + (BIAS_SHARE * sigma) ** 2)

    believed = ~outlier
    state.array[8, rows] = misses
    new = np.stack([time, new_lat, new_lon, ve, vn, p, c, v, misses, new_speed, new_course, new_sigma])
    state.array[:, rows[believed]] = new[:, believed]
    estimate = new[[1, 2, 9, 10, 11]]
    if outlier.any():
        estimate[:, outlier] = predicted[:, outlier]
    return outlier, estimate
