"""What the live filter knows of each driver: where he is, what is believed of him, and what is doubted."""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Reals = NDArray[np.float32]
Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

SCORE, VERDICTS, MISSES = 12, 13, 14
"""Of a belief, after its Motion: logarithm of its likelihood over the best one's; a bit a fix that is an outlier, the
last fix lowest; outliers in a row."""
BELIEF = 15
TIME, LATITUDE, LONGITUDE, SEEN, SEEN_BEFORE = range(5)
SPEED, COURSE, SIGMA, STANDING = range(4)
"""Columns of `place` and of `shown`."""


class Doubts:
    """Second beliefs, in slots, as few drivers have one; a free slot holds the next free one, -1 the last of them."""

    def __init__(self) -> None:
        self.belief: Reals = np.empty((0, BELIEF), np.float32)
        self.after = np.empty(0, np.int32)
        self.free = np.full(1, -1, np.int32)
        """The first free slot."""

    def grow(self) -> None:
        """Have twice as many slots."""
        n = len(self.after)
        more = max(n, 64)
        self.belief = np.concatenate([self.belief, np.empty((more, BELIEF), np.float32)])
        self.after = np.concatenate([self.after, np.arange(n + 1, n + more + 1, dtype=np.int32)])
        self.after[-1], self.free[0] = self.free[0], n

    def give(self, slots: Slots) -> None:
        """These are free; -1 is none."""
        for slot in slots[slots >= 0]:
            self.after[slot], self.free[0] = self.free[0], slot


@dataclass(frozen=True, slots=True)
class FilterState:
    """What is known of each driver, a row a driver; NaN before the first fix."""

    place: Floats  # (drivers, 5): time, latitude, longitude of the newest believed fix; times of the last two fixes
    belief: Reals  # (drivers, 15): the best belief, in metres from the place
    other: Slots  # (drivers,) where in `doubts` a second one is, -1: nowhere
    shown: Reals  # (drivers, 4): speed, course, sigma, standing (1 or 0)
    doubts: Doubts

    @classmethod
    def empty(cls, capacity: int) -> "FilterState":
        """Drivers never seen."""
        return cls(
            np.full((capacity, 5), nan),
            np.full((capacity, BELIEF), nan, np.float32),
            np.full(capacity, -1, np.int32),
            np.full((capacity, 4), nan, np.float32),
            Doubts(),
        )

    def grown(self, extra: int) -> "FilterState":
        """The same with room for more."""
        more = FilterState.empty(extra)
        return FilterState(
            np.concatenate([self.place, more.place]),
            np.concatenate([self.belief, more.belief]),
            np.concatenate([self.other, more.other]),
            np.concatenate([self.shown, more.shown]),
            self.doubts,
        )

    def forget(self, rows: Ints) -> None:
        """Make these drivers as if never seen."""
        self.doubts.give(self.other[rows])
        self.place[rows], self.belief[rows], self.other[rows], self.shown[rows] = nan, nan, -1, nan

    def __len__(self) -> int:
        return len(self.place)

    @property
    def time(self) -> Floats:
        """fix_time of the newest believed fix, Unix seconds."""
        return self.place[:, TIME]

    @property
    def latitude(self) -> Floats:
        """Estimate, degrees."""
        return self.place[:, LATITUDE]

    @property
    def longitude(self) -> Floats:
        """Estimate, degrees."""
        return self.place[:, LONGITUDE]

    @property
    def speed(self) -> Reals:
        """The device's own where it reports one, else the filter's; m/s."""
        return self.shown[:, SPEED]

    @property
    def course(self) -> Reals:
        """Over ground, degrees; the last one known while standing."""
        return self.shown[:, COURSE]

    @property
    def sigma(self) -> Reals:
        """Standard deviation of the position per axis, m."""
        return self.shown[:, SIGMA]
