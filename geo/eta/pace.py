"""Remaining distance and a learned speed -> when, with an interval."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOW_SHARE, HIGH_SHARE = 0.6, 1.7
"""The 10-90 % interval as shares of the median time left, before any of the fleet's own trips say better."""
INTERVAL_FLOOR_S = 30.0
PACE_MEMORY_S = 600.0
"""A driver's learned pace forgets with this time constant."""
MOVING_MPS = 1.5
"""Slower than this is not moving, and teaches nothing about speed between stops."""


def time_left(distance_m: Floats, speed_mps: Floats) -> tuple[Floats, Floats, Floats]:
    """10 %, 50 % and 90 % quantiles of the seconds left over `distance_m` at `speed_mps`, both (n,)."""
    middle = distance_m / speed_mps
    low = np.maximum(LOW_SHARE * middle - INTERVAL_FLOOR_S, 0.0)
    return low, middle, HIGH_SHARE * middle + INTERVAL_FLOOR_S


def learn_pace(pace: Floats, speed: Floats, seconds: Floats) -> Floats:
    """A driver's pace after `seconds` at `speed`, m/s: exponentially weighted, moving time only; NaN is not known."""
    weight = 1.0 - np.exp(-np.maximum(seconds, 0.0) / PACE_MEMORY_S)
    weight = np.where(np.isfinite(speed) & (speed >= MOVING_MPS), weight, 0.0)
    known = np.where(np.isnan(pace), speed, pace)
    return np.where(weight > 0.0, known + weight * (speed - known), pace)


def shrunk_speed(pace: Floats, default_mps: float, trust: float = 0.5) -> Floats:
    """The speed to reckon with: the driver's own pace drawn towards the fleet's default."""
    return np.where(np.isnan(pace), default_mps, trust * pace + (1 - trust) * default_mps)
