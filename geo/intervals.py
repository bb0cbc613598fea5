"""From a reckoned time to 10 %, 50 % and 90 % quantiles: how far trips have strayed from what was reckoned for them."""

from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import helper

Floats = NDArray[np.float64]

QUANTILES = (0.1, 0.5, 0.9)
SPREAD_S = 60.0
"""Even a trip of no length strays by a share of this."""
AT_S: Floats = np.array([60.0, 180.0, 480.0, 1200.0, 3000.0, 7200.0])
"""Reckoned times that quantiles are kept for; between them they are interpolated on the logarithm."""
COLD = (-0.4, 0.0, 0.7)
"""Quantiles of the strayed share before any of the fleet's own trips say better: wide, and rather late than early."""


class Intervals(NamedTuple):
    """Quantiles of (actual - reckoned) / (reckoned + SPREAD_S)."""

    strayed: Floats
    """(2, len(AT_S), 3): to the next stop, and through stops before it."""


def cold_intervals() -> Intervals:
    """What is assumed before anything is learned."""
    return Intervals(np.tile(np.array(COLD), (2, len(AT_S), 1)))


@helper
def quantiles(intervals: Intervals, reckoned: float, through: int) -> tuple[float, float, float]:
    """10 %, 50 % and 90 % quantiles of the seconds left where `reckoned` were reckoned, `through` stops before."""
    strayed, row, last = intervals.strayed, min(through, 1), len(AT_S) - 1
    i = 0
    while i < last - 1 and AT_S[i + 1] < reckoned:
        i += 1
    share = min(max(log(max(reckoned, 1.0) / AT_S[i]) / log(AT_S[i + 1] / AT_S[i]), 0.0), 1.0)
    scale = reckoned + SPREAD_S
    low = reckoned + scale * (strayed[row, i, 0] + share * (strayed[row, i + 1, 0] - strayed[row, i, 0]))
    middle = reckoned + scale * (strayed[row, i, 1] + share * (strayed[row, i + 1, 1] - strayed[row, i, 1]))
    high = reckoned + scale * (strayed[row, i, 2] + share * (strayed[row, i + 1, 2] - strayed[row, i, 2]))
    return max(low, 0.0), max(middle, 0.0), max(high, 0.0)
