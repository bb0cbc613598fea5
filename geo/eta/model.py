"""A model of how long trips take: learned from finished ones, asked for coming ones, kept as bytes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geo.eta import boost, hierarchy
from geo.eta.boost import Trees
from geo.eta.calibration import MIDDLE, Calibration
from geo.eta.features import features
from geo.eta.hierarchy import Hierarchy
from geo.eta.trips import Trips

Floats = NDArray[np.float64]

FOLDS = 4
"""Parts of the trips that are in turn left out, to see how wrong a prediction for an unseen trip is."""
MANY = 20_000
"""With more trips than this, so many of them are left out once, which says enough."""
LEAST_TRIPS = 40
"""With fewer there is nothing to leave out, and intervals stay as wide as before any."""
FAR_OFF = 0.7
"""A trip whose log ratio is larger counts as this: someone had a coffee."""


class UnfitModel(Exception):
    """The model cannot be used here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Model:
    """How long trips take, as a distribution."""

    hierarchy: Hierarchy
    trees: Trees
    """What they give is the log of a factor to what the hierarchy expects."""
    calibration: Calibration
    kind: str
    classes: tuple[str, ...]
    trips: int
    """How many finished trips it was learned from."""

    @classmethod
    def empty(cls, kind: str = "edges") -> "Model":
        """One that has seen no trip: a usual speed in town, and wide intervals."""
        return cls(Hierarchy.empty(), Trees.none(), Calibration.empty(), kind, (), 0)

    @classmethod
    def fit(cls, trips: Trips, seconds: ArrayLike, progress: Callable[[float], object] = lambda share: None) -> "Model":
        """Learn from finished trips and the seconds (n,) they took; impossible ones (NaN, no length) are left out.

        `progress` is called with the share of the work done.
        """
        taken = np.asarray(seconds, np.float64)
        good = np.isfinite(taken) & (taken > 0) & usable(trips)
        trips, taken = trips.take(good), taken[good]
        if not len(trips):
            return cls.empty(trips.kind)
        parts = _left_out(len(trips))
        expected = np.full(len(trips), np.nan)
        for i, out in enumerate(parts):
            part = hierarchy.fit(trips.take(~out), taken[~out])
            expected[out] = part.seconds(trips.take(out))
            progress((i + 1) / (len(parts) + 1))
        learned = hierarchy.fit(trips, taken)
        known = np.flatnonzero(np.isfinite(expected))
        expected = np.maximum(expected[known], hierarchy.LEAST_S)
        trees, unseen = _refine(trips.take(known), expected, taken[known])
        calibration = Calibration.of(unseen, taken[known])
        progress(1.0)
        return cls(learned, trees, calibration, trips.kind, trips.classes, len(trips))

    def predict(self, trips: Trips) -> Floats:
        """Seconds that 10, 50 and 90 % of such trips stay below, (n, 3).

        No way to go (no steps, or none with length) takes no time: 0, 0, 0. A length that is NaN, infinite or negative,
        or an unknown departure gives NaN. Raises UnfitModel where edges are named otherwise than in what it learned.
        """
        trips = self._fitting(trips)
        good = valid(trips)
        seconds = np.full((len(trips), 3), np.nan)
        seconds[good] = self._predict(trips if good.all() else trips.take(good))
        return seconds

    def _predict(self, trips: Trips) -> Floats:
        expected = np.maximum(self.hierarchy.seconds(trips), hierarchy.LEAST_S)
        if len(self.trees.leaf):
            expected *= np.exp(self.trees.predict(features(trips, expected)))
        return np.where(trips.metres[:, None] > 0.0, self.calibration.quantiles(expected), 0.0)

    def speeds(self, trips: Trips) -> Floats:
        """Expected m/s on each step (k,), by the hierarchy alone. Raises UnfitModel."""
        trips = self._fitting(trips)
        return self.hierarchy.speeds(trips)

    def _fitting(self, trips: Trips) -> Trips:
        if trips.kind != self.kind:
            raise UnfitModel(
                f"the model knows {self.kind}, and the trips are made of {trips.kind}: train one on such trips"
            )
        return trips.recoded(self.classes)


def _left_out(n: int) -> list[NDArray[np.bool_]]:
    """Masks (n,) of the trips to leave out, in turn."""
    place = np.random.default_rng(0).permutation(n)
    if n < LEAST_TRIPS:
        return []
    return [place % FOLDS == i for i in range(FOLDS)] if n <= MANY else [place < MANY]


def _refine(trips: Trips, expected: Floats, taken: Floats) -> tuple[Trees, Floats]:
    """Trees on what the hierarchy expects of trips that it has not seen; and the seconds then expected of each trip,

    by trees that have not seen it either. Trees give only that share of what they say which held for unseen trips.
    """
    seen, off = features(trips, expected), np.log(taken / expected)
    target, weight = np.clip(off, -FAR_OFF, FAR_OFF), np.exp(-MIDDLE * np.clip(off, -FAR_OFF, FAR_OFF))
    said, judged = np.zeros(len(trips)), np.zeros(len(trips), np.bool_)
    for out in _left_out(len(trips)):
        said[out] = boost.fit(seen[~out], target[~out], weight[~out]).predict(seen[out])
        judged |= out
    share = _share(said[judged], target[judged], weight[judged])
    trees = boost.fit(seen, target, weight)
    return trees._replace(leaf=share * trees.leaf), expected * np.exp(share * said)


def _share(said: Floats, target: Floats, weight: Floats) -> float:
    """How much of what was said (n,) of unseen trips held: the slope of the target on it, in [0, 1]; 0 of nothing."""
    squares = float(np.sum(weight * said**2))
    return min(max(float(np.sum(weight * said * target)) / squares, 0.0), 1.0) if squares > 0.0 else 0.0


def valid(trips: Trips) -> NDArray[np.bool_]:
    """(n,) whether each trip's lengths and departure are numbers that can be."""
    wrong = ~np.isfinite(trips.length) | (trips.length < 0)
    fine: NDArray[np.bool_] = (trips.sums(wrong.astype(np.float64)) == 0) & np.isfinite(trips.minute)
    return fine


def usable(trips: Trips) -> NDArray[np.bool_]:
    """(n,) whether something can be learned from each trip."""
    return valid(trips) & (trips.metres > 0)
