"""How a driver moves and how a fix errs: the model that the live filter and the smoother share.

Constant velocity with white acceleration (Bar-Shalom, Li, Kirubarajan, Estimation with Applications to Tracking and
Navigation, 2001, 6.2.2). A fix errs by a white part and by a bias that wanes slowly (an Ornstein-Uhlenbeck process);
the bias is part of the state, in sigmas of the fix, so its share is neither smoothed away nor counted as certainty. The
covariance is the same for east and north: six numbers.
"""

from math import cos, exp, isfinite, nan, radians, sin, sqrt
from typing import NamedTuple

from geo.compiled import helper

ACCURACY_PER_SIGMA = 1.515
"""Android's accuracy is the 68 % radius; the 68 % radius of a circular normal is 1.515 sigma."""
BEST_ACCURACY_M, WORST_ACCURACY_M = 0.01, 1e6
WHITE_SHARE, BIAS_S = 0.7, 20.0
"""White share of the sigma of a fix that tells its accuracy (half of the variance), and time constant of the rest."""
FILTERED_WHITE_SHARE, FILTERED_BIAS_S = 0.05, 200.0
"""Of a fix that tells none: phone chipsets filter their fixes, what is left hardly jitters and wanes over minutes."""
ACCELERATION = 0.5
"""Spectral density of the acceleration, m²/s³, at one fix a second. Drivers turn and brake: the longer the gap, the
less constant a velocity is."""
MOST_ACCELERATION = 8.0
VELOCITY_SIGMA_MPS, VELOCITY_SHARE = 0.7, 0.05
"""Sigma per axis of a device's own speed and course, and what comes on top as a share of the speed: it lags."""
UNKNOWN_VELOCITY_SIGMA_MPS = 10.0
MOST_SPEED_MPS = 150.0
"""Faster than this no vehicle on the ground drives, and its device tells nothing."""
COURSE_MIN_MPS = 1.0
"""Slower than this a course says nothing."""


class Motion(NamedTuple):
    """Where a driver is, in metres from some place, and how fast; the bias is in sigmas of the fix. And how sure."""

    east: float
    north: float
    speed_east: float
    speed_north: float
    bias_east: float
    bias_north: float
    pp: float  # variance of the position per axis
    pv: float  # covariance of position and velocity
    pb: float
    vv: float
    vb: float
    bb: float


class Spread(NamedTuple):
    """How a fix errs, per axis."""

    sigma: float  # m
    bias: float  # m a unit of bias
    white: float  # variance of the white part, m²
    wane_s: float
    told: bool  # by the device


class Velocity(NamedTuple):
    """What a device tells of its own velocity."""

    east: float
    north: float
    speed: float  # NaN where it tells none
    course_told: bool
    still: bool


@helper
def spread(accuracy: float, default_m: float, least_m: float) -> Spread:
    """How a fix errs that tells this accuracy, or none (NaN)."""
    told = isfinite(accuracy)
    sigma = min(max(accuracy if told else default_m, least_m, BEST_ACCURACY_M), WORST_ACCURACY_M) / ACCURACY_PER_SIGMA
    share = WHITE_SHARE if told else FILTERED_WHITE_SHARE
    return Spread(
        sigma, sigma * sqrt(1.0 - share * share), (sigma * share) ** 2, BIAS_S if told else FILTERED_BIAS_S, told
    )


@helper
def own_velocity(speed: float, course: float, still_mps: float) -> Velocity:
    """Speed and course of a device as a velocity; standing still is one, without a course."""
    if not 0.0 <= speed <= MOST_SPEED_MPS:
        speed = nan
    still = speed < still_mps
    told = still or (isfinite(speed) and isfinite(course))
    if still or not told:
        return Velocity(0.0, 0.0, speed, told, still)
    angle = radians(course)
    return Velocity(speed * sin(angle), speed * cos(angle), speed, told, still)


@helper
def _velocity_variance(speed: float) -> float:
    return VELOCITY_SIGMA_MPS**2 + (VELOCITY_SHARE * speed) ** 2


@helper
def first(east: float, north: float, fix: Spread, own: Velocity) -> Motion:
    """All that one fix tells: it is where it says, less its bias."""
    variance = _velocity_variance(own.speed) if own.course_told else UNKNOWN_VELOCITY_SIGMA_MPS**2
    return Motion(
        east, north, own.east, own.north, 0.0, 0.0,
        fix.sigma * fix.sigma, 0.0, -fix.bias, variance, 0.0, 1.0,
    )  # fmt: skip


@helper
def acceleration(dt: float, told: bool) -> float:
    """Spectral density of the acceleration over a gap; without an accuracy to weigh, a fix is followed more closely."""
    return min(ACCELERATION * max(sqrt(dt) if told else dt, 1.0), MOST_ACCELERATION)


@helper
def predict(m: Motion, dt: float, wane_s: float, q: float) -> Motion:
    """Seconds later, under acceleration of spectral density q."""
    k = exp(-dt / wane_s)
    return Motion(
        m.east + m.speed_east * dt,
        m.north + m.speed_north * dt,
        m.speed_east,
        m.speed_north,
        k * m.bias_east,
        k * m.bias_north,
        m.pp + dt * (2.0 * m.pv + dt * (m.vv + q * dt / 3.0)),
        m.pv + dt * (m.vv + q * dt / 2.0),
        k * (m.pb + dt * m.vb),
        m.vv + q * dt,
        k * m.vb,
        k * k * m.bb + 1.0 - k * k,
    )


@helper
def innovation_variance(m: Motion, fix: Spread) -> float:
    """Variance per axis of a fix about where it is expected."""
    a = fix.bias
    return max(m.pp + a * (2.0 * m.pb + a * m.bb), 0.0) + fix.white


@helper
def innovation(m: Motion, east: float, north: float, fix: Spread) -> tuple[float, float]:
    """How far a fix is from where it is expected, m."""
    return east - m.east - fix.bias * m.bias_east, north - m.north - fix.bias * m.bias_north


@helper
def with_position(m: Motion, east: float, north: float, fix: Spread) -> Motion:
    """Corrected by a fix."""
    off_east, off_north = innovation(m, east, north, fix)
    p, v, b = m.pp + fix.bias * m.pb, m.pv + fix.bias * m.vb, m.pb + fix.bias * m.bb
    return _corrected(m, p, v, b, 1.0 / innovation_variance(m, fix), off_east, off_north, 1.0)


@helper
def with_velocity(m: Motion, own: Velocity) -> Motion:
    """Corrected by a device's own velocity; by a speed without a course along the way it seems to go."""
    gain = 1.0 / (m.vv + _velocity_variance(own.speed))
    if own.course_told:
        return _corrected(m, m.pv, m.vv, m.vb, gain, own.east - m.speed_east, own.north - m.speed_north, 1.0)
    pace = sqrt(m.speed_east**2 + m.speed_north**2)
    if not (isfinite(own.speed) and pace > COURSE_MIN_MPS):
        return m
    off = own.speed / pace - 1.0  # one axis of the two is measured: half the information
    return _corrected(m, m.pv, m.vv, m.vb, gain, off * m.speed_east, off * m.speed_north, 0.5)


@helper
def _corrected(
    m: Motion, p: float, v: float, b: float, gain: float, off_east: float, off_north: float, share: float
) -> Motion:
    """By a measurement whose covariances with position, velocity and bias are p, v and b."""
    return Motion(
        m.east + p * gain * off_east,
        m.north + p * gain * off_north,
        m.speed_east + v * gain * off_east,
        m.speed_north + v * gain * off_north,
        m.bias_east + b * gain * off_east,
        m.bias_north + b * gain * off_north,
        m.pp - share * p * p * gain,
        m.pv - share * p * v * gain,
        m.pb - share * p * b * gain,
        m.vv - share * v * v * gain,
        m.vb - share * v * b * gain,
        m.bb - share * b * b * gain,
    )
