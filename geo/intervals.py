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
PRIOR = 10
"""So many imagined trips, strayed as is assumed before any is known, weigh among the real ones."""
NEAR = log(3.0)
"""A trip counts for reckoned times up to three times longer or shorter, the less the further."""


class Intervals(NamedTuple):
    """Quantiles of (actual - reckoned) / (reckoned + SPREAD_S)."""

    strayed: Floats
    """(2, len(AT_S), 3): to the next stop, and through stops before it."""


def cold_intervals() -> Intervals:
    """What is assumed before anything is learned."""
    return Intervals(np.tile(np.array(COLD), (2, len(AT_S), 1)))


def fitted(reckoned: Floats, actual: Floats, through: Floats, weight: Floats, assumed: Intervals) -> Intervals:
    """Quantiles of how far trips (n,) strayed, with `through` stops before, among imagined ones strayed as is assumed.

    The imagined ones keep the intervals of few trips wide, as the finite-sample correction of split conformal
    prediction does (Lei et al., Distribution-Free Predictive Inference for Regression, 2018).
    """
    strayed = (actual - reckoned) / (reckoned + SPREAD_S)
    levels = (np.arange(PRIOR) + 0.5) / PRIOR
    table = np.empty_like(assumed.strayed)
    for row in range(2):
        for i, at in enumerate(AT_S):
            low, middle, high = assumed.strayed[row, i]
            least, most = low - 0.5 * (middle - low), high + 0.5 * (high - middle)
            imagined = np.interp(levels, (0.0, *QUANTILES, 1.0), (least, low, middle, high, most))
            near = np.maximum(1.0 - np.abs(np.log(np.maximum(reckoned, 1.0) / at)) / NEAR, 0.0)
            near = np.where(np.minimum(through, 1) == row, near * weight, 0.0)
            some = near > 0.0
            values, weights = np.append(strayed[some], imagined), np.append(near[some], np.ones(PRIOR))
            table[row, i] = _weighted_quantiles(values, weights)
    return Intervals(table)


def _weighted_quantiles(values: Floats, weights: Floats) -> Floats:
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    middle = np.cumsum(weights) - weights / 2
    return np.interp(QUANTILES, middle / weights.sum(), values)


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
