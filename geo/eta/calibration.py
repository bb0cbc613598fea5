"""From one expected time to a distribution: quantiles of what trips took over what was expected of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARES = (0.1, 0.5, 0.9)
PRIOR = np.log([0.6, 1.0, 1.7])
"""Quantiles of log(taken / expected) before any trip has said better."""
PRIOR_TRIPS = 20.0
"""How many trips the prior counts as."""
MIDDLE = 0.5
"""The middle is the value whose error is least on average over shares (weight 1) and over seconds (weight 0)."""
GROUP = 250
"""Trips in a group of similar length, at least."""
MOST_GROUPS = 12
FLOOR_S = 30.0
"""What is expected counts as so much longer: short trips are less certain than their share says."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Knots at expected seconds (g,), ascending, and there the log quantiles (g, 3)."""

    at: Floats
    quantile: Floats

    @classmethod
    def empty(cls) -> "Calibration":
        """One that has seen nothing."""
        return cls(np.array([0.0]), PRIOR[None, :])

    @classmethod
    def of(cls, expected: Floats, taken: Floats) -> "Calibration":
        """Learn from trips that the expectation has not seen (out of fold), (n,) s each.

        Split conformal prediction on the ratio, in groups of expected length: the rank is q (n + 1), so that a new trip
        falls below with probability q (Vovk et al., Algorithmic Learning in a Random World, 2005).
        """
        if not len(expected):
            return cls.empty()
        order = np.argsort(expected)
        groups = np.array_split(order, int(np.clip(len(order) // GROUP, 1, MOST_GROUPS)))
        ratio = np.log((taken + FLOOR_S) / (expected + FLOOR_S))
        at = np.array([np.median(expected[g]) for g in groups])
        return cls(at, np.array([_quantiles(ratio[g]) for g in groups]))

    def quantiles(self, expected: Floats) -> Floats:
        """(n, 3) seconds that 10, 50 and 90 % of such trips stay below; nothing is expected of NaN."""
        log = np.stack([np.interp(expected, self.at, column) for column in self.quantile.T], axis=1)
        seconds = (expected[:, None] + FLOOR_S) * np.exp(log) - FLOOR_S
        return np.sort(np.maximum(seconds, 0.0), axis=1)


def _middle(ratio: Floats) -> float:
    """The weighted median of log ratios, weight ratio ** -MIDDLE."""
    order = np.argsort(ratio)
    weight = np.cumsum(np.exp(-MIDDLE * ratio[order]))
    return float(ratio[order][np.searchsorted(weight, 0.5 * weight[-1])])


def _quantiles(ratio: Floats) -> Floats:
    n = len(ratio)
    low, high = (np.quantile(ratio, q, method="weibull") for q in (SHARES[0], SHARES[2]))
    found = np.array([low, _middle(ratio), high])
    trust = n / (n + PRIOR_TRIPS)
    return trust * found + (1.0 - trust) * PRIOR
