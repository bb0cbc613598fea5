"""Who is in which geofence, over time: enter, exit, dwell.

Crossing decides, not containment: a leg that cuts a boundary twice is an enter and an exit. A driver has left only when
outside by a margin that grows with the uncertainty of his position; the exit is then stamped with the last crossing.
All drivers are followed at once; only what is told is made one by one.
"""

from collections.abc import Iterator, Sequence
from math import erf, sqrt

import numpy as np

from geo.fences import FenceIndex
from tracker.crossings import Changes, follow
from tracker.errors import InvalidInput
from tracker.records import Geofence, Legs, Transition, TransitionKind, event_id
from tracker.settings import EngineSettings
from tracker.shapes import geofence_shape
from tracker.visits import KEYS, Visits

_RANK = {"exit": 0, "enter": 1, "dwell": 2, "cross": 3}
"""At one instant a driver leaves before he enters."""
_SURE_M = 0.1
"""No position is taken for more certain than this."""


class Fences:
    """The geofences and the drivers inside them."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._index = FenceIndex()
        self._key: dict[str, int] = {}
        self._ids: list[str] = []
        self._free: list[int] = []
        self._since: dict[str, float] = {}
        self._visits = Visits.empty()

    def beside(self) -> "Fences":
        """The same geofences with nobody inside."""
        other = Fences(self._settings)
        other._index, other._key, other._ids, other._since = self._index, self._key, self._ids, self._since
        return other

    def since(self, geofence_id: str) -> float | None:
        """Since when a geofence is as it is; None where there is none."""
        return self._since.get(geofence_id)

    def put(self, geofence: Geofence) -> None:
        """Add or replace a geofence; who was inside stays so until he is seen outside. Raises InvalidInput."""
        known = self._key.get(geofence.geofence_id)
        key = known if known is not None else self._free[-1] if self._free else len(self._ids)
        try:
            self._index.put(key, geofence_shape(geofence))
        except ValueError as error:
            raise InvalidInput(f"geometry: {error}", field="geometry") from None
        self._since[geofence.geofence_id] = geofence.changed_at
        if known is not None:
            return
        if self._free:
            self._ids[self._free.pop()] = geofence.geofence_id
        else:
            self._ids.append(geofence.geofence_id)
        self._key[geofence.geofence_id] = key

    def remove(self, geofence_id: str) -> None:
        """Forget a geofence; nobody is inside any more, without an exit."""
        key = self._key.pop(geofence_id, None)
        if key is None:
            return
        del self._since[geofence_id]
        self._index.drop(key)
        self._free.append(key)
        self._visits.keep(self._visits.code % KEYS != key)

    def restore(self, driver: int, geofence_id: str, entered_at: float, seen_at: float) -> None:
        """A driver is inside since then, and what there was to say of it until `seen_at` has been said."""
        key = self._key.get(geofence_id)
        if key is not None:
            due = entered_at + self._settings.dwell_after_s
            self._visits.put(driver * KEYS + key, entered_at, np.inf if seen_at >= due else due)

    def inside(self, driver: int) -> list[str]:
        """The geofences a driver is in."""
        _, place = self._visits.of_drivers(np.array([driver]))
        return [self._ids[code % KEYS] for code in self._visits.code[place].tolist()]

    def advance(self, legs: Legs, driver_ids: Sequence[str]) -> list[Transition]:
        """What these legs change, in order of time."""
        followed = follow(self._index, self._visits, legs, self._settings)
        if followed is None:
            return []
        found = [
            *self._tell("enter", followed.enter, legs, driver_ids),
            *self._tell("exit", followed.exit, legs, driver_ids),
            *self._tell("dwell", followed.dwell, legs, driver_ids),
        ]
        found.sort(key=lambda t: (t.occurred_at, _RANK[t.kind], t.driver_id, t.geofence_id))
        return found

    def _tell(
        self, kind: TransitionKind, changes: Changes, legs: Legs, driver_ids: Sequence[str]
    ) -> Iterator[Transition]:
        """Changes of one kind as events. A visit dwells once, so its dwell is known by when it began."""
        detected_at, sigma = legs.t1[changes.leg], legs.sigma1[changes.leg]
        moment = changes.entered_at if kind == "dwell" else detected_at
        columns = (
            changes.code // KEYS,
            changes.code % KEYS,
            np.round(moment * 1000).astype(np.int64),
            changes.occurred_at,
            detected_at,
            changes.depth / np.maximum(sigma, _SURE_M) / sqrt(2),
            np.round(sigma, 1),
            np.round(changes.distance, 1),
            np.round(changes.depth, 1),
            changes.crossed,
        )
        for driver, key, ms, occurred, detected, sigmas, accuracy, distance, depth, crossed in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            driver_id, geofence_id = driver_ids[driver], self._ids[key]
            evidence = {"accuracy": accuracy, "distance": distance, "depth": depth}
            yield Transition(
                event_id=event_id(kind, driver_id, geofence_id, ms),
                kind=kind,
                driver_id=driver_id,
                geofence_id=geofence_id,
                occurred_at=occurred,
                detected_at=detected,
                confidence=round((1 + erf(sigmas)) / 2, 3),
                evidence=evidence if crossed else {**evidence, "first_fix": True},
            )
