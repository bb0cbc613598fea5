"""Counts of values by size, cheap enough for every frame."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from tracker.records import Floats

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Bounds for latencies."""


class Histogram:
    """How many values were at most each of the `bounds`, and their sum."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.sum = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add_all(self, values: Floats) -> None:
        """Count these (n,)."""
        found = np.bincount(np.searchsorted(self.bounds, values), minlength=len(self._counts))
        self._counts = [count + int(more) for count, more in zip(self._counts, found, strict=True)]
        self.sum += float(values.sum())

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def cumulated(self) -> Iterator[tuple[float, int]]:
        """Each bound, and how many were at most that; the last is infinite."""
        return zip((*self.bounds, float("inf")), accumulate(self._counts), strict=True)
