"""A model of how long trips take: learned from finished ones, asked for coming ones, kept as bytes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geo.eta import hierarchy
from geo.eta.calibration import Calibration
from geo.eta.hierarchy import Hierarchy
from geo.eta.trips import Trips

Floats = NDArray[np.float64]

FOLDS = 4
"""Parts of the trips that are in turn left out, to see how wrong a prediction for an unseen trip is."""
LEAST_TRIPS = 40
"""With fewer there is nothing to leave out, and intervals stay as wide as before any."""


class UnfitModel(Exception):
    """The model cannot be used here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Model:
    """How long trips take, as a distribution."""

    hierarchy: Hierarchy
    calibration: Calibration
    kind: str
    classes: tuple[str, ...]
    trips: int
    """How many finished trips it was learned from."""

    @classmethod
    def empty(cls, kind: str = "edges") -> "Model":
        """One that has seen no trip: a usual speed in town, and wide intervals."""
        return cls(Hierarchy.empty(), Calibration.empty(), kind, (), 0)

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
        fold = np.arange(len(trips)) % FOLDS if len(trips) >= LEAST_TRIPS else np.full(len(trips), FOLDS)
        expected = np.full(len(trips), np.nan)
        work = FOLDS + 1 if len(trips) >= LEAST_TRIPS else 1
        for i in range(work - 1):
            part = hierarchy.fit(trips.take(fold != i), taken[fold != i])
            expected[fold == i] = part.seconds(trips.take(fold == i))
            progress((i + 1) / work)
        learned = hierarchy.fit(trips, taken)
        progress(1.0)
        known = np.isfinite(expected)
        calibration = Calibration.of(np.maximum(expected[known], hierarchy.LEAST_S), taken[known])
        return cls(learned, calibration, trips.kind, trips.classes, len(trips))

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


def valid(trips: Trips) -> NDArray[np.bool_]:
    """(n,) whether each trip's lengths and departure are numbers that can be."""
    wrong = ~np.isfinite(trips.length) | (trips.length < 0)
    fine: NDArray[np.bool_] = (trips.sums(wrong.astype(np.float64)) == 0) & np.isfinite(trips.minute)
    return fine


def usable(trips: Trips) -> NDArray[np.bool_]:
    """(n,) whether something can be learned from each trip."""
    return valid(trips) & (trips.metres > 0)
