"""Who is in which geofence, over time: enter, exit, dwell.

Crossing decides, not containment: a leg that cuts a boundary twice is an enter and an exit. A driver has left only when
outside by a margin that grows with the uncertainty of his position; the exit is then stamped with the last crossing.
All drivers are followed at once; only what is told is made one by one.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np

from geo.compiled import compiled, helper
from geo.fences import FenceIndex
from geo.globe import Rows
from tracker.crossings import Rules, follow
from tracker.errors import InvalidInput
from tracker.records import Geofence, Ints, Legs, Transition, TransitionKind
from tracker.settings import EngineSettings
from tracker.shapes import geofence_shape
from tracker.visits import Visits

_KINDS: tuple[TransitionKind, ...] = ("exit", "enter", "dwell")
"""By number, in `tracker.crossings`: at one instant a driver leaves before he enters."""


class Fences:
    """The geofences and the drivers inside them."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._index = FenceIndex()
        self._key: dict[str, int] = {}
        self._ids: list[str] = []
        self._free: list[int] = []
        self._since: dict[str, float] = {}
        self._visits = Visits()
        self._words = _Words(), _Words()  # of drivers, of geofences
        self._seen = 0  # of the index's changes
        self._rules = Rules(
            settings.exit_margin_m,
            settings.exit_margin_sigmas,
            settings.pass_within_s,
            settings.dwell_after_s,
        )

    def beside(self) -> "Fences":
        """The same geofences with nobody inside."""
        other = Fences(self._settings)
        other._index, other._key, other._ids, other._since = self._index, self._key, self._ids, self._since
        other._words = self._words
        return other

    def since(self, geofence_id: str) -> float | None:
        """Since when a geofence is as it is; None where there is none."""
        return self._since.get(geofence_id)

    def put(self, geofences: Iterable[Geofence]) -> None:
        """Add or replace geofences, all or, with InvalidInput, none; who was inside stays so until seen outside."""
        put = {geofence.geofence_id: geofence for geofence in geofences}
        key, fresh = {}, 0
        for geofence_id in put:
            known = self._key.get(geofence_id)
            key[geofence_id] = self._unused(fresh) if known is None else known
            fresh += known is None
        try:
            self._index.put({key[geofence_id]: geofence_shape(geofence) for geofence_id, geofence in put.items()})
        except ValueError as error:
            raise InvalidInput(f"geometry: {error}", field="geometry") from None
        taken = min(fresh, len(self._free))
        del self._free[len(self._free) - taken :]
        self._ids += [""] * (fresh - taken)
        for geofence_id, geofence in put.items():
            self._since[geofence_id] = geofence.changed_at
            self._key[geofence_id] = key[geofence_id]
            self._ids[key[geofence_id]] = geofence_id

    def _unused(self, n: int) -> int:
        """The key that n more geofences from now is the next one's."""
        return self._free[-1 - n] if n < len(self._free) else len(self._ids) + n - len(self._free)

    def remove(self, geofence_id: str) -> None:
        """Forget a geofence; nobody is inside any more, without an exit."""
        key = self._key.pop(geofence_id, None)
        if key is None:
            return
        del self._since[geofence_id]
        self._index.drop([key])
        self._free.append(key)
        self._visits.forget(key)
        self._words[1].forget(key)

    def restore(self, driver: int, geofence_id: str, entered_at: float, seen_at: float) -> None:
        """A driver is inside since then, and what there was to say of it until `seen_at` has been said."""
        key = self._key.get(geofence_id)
        if key is not None:
            due = entered_at + self._settings.dwell_after_s
            self._visits.put(driver, key, entered_at, np.inf if seen_at >= due else due)

    def inside(self, driver: int) -> list[str]:
        """The geofences a driver is in, as far as is told."""
        visits = self._visits.pool[self._visits.of(driver)]
        return sorted(self._ids[key] for key in visits["key"][visits["told"]].tolist())

    def advance(self, legs: Legs, driver_ids: Sequence[str]) -> list[Transition]:
        """What these legs change, in order of time."""
        if not len(legs.driver) or not self._ids:
            return []
        visits = self._visits
        visits.reserve(int(legs.driver[-1]) + 1, len(self._ids))
        if self._seen != self._index.changes:
            self._seen = self._index.changes
            visits.drivers["safe2"] = -1.0
        changes, told, visits.pool = follow(
            legs.driver,
            legs.t0,
            legs.latitude0,
            legs.longitude0,
            legs.t1,
            legs.latitude1,
            legs.longitude1,
            legs.sigma1,
            self._index.cells,
            self._index.shapes,
            visits.pool,
            visits.drivers,
            visits.counters,
            visits.seen,
            self._rules,
        )
        return self._tell(changes[:told], driver_ids) if told else []

    def _tell(self, changes: Rows, driver_ids: Sequence[str]) -> list[Transition]:
        """Changes as events, in order of time. A visit dwells once, so its dwell is known by when it began."""
        changes = changes[np.lexsort((changes["key"], changes["driver"], changes["kind"], changes["occurred_at"]))]
        moment = np.where(changes["kind"] == _KINDS.index("dwell"), changes["entered_at"], changes["detected_at"])
        ids = _event_ids(
            changes["kind"].astype(np.int64),
            self._words[0].of(changes["driver"], driver_ids),
            self._words[1].of(changes["key"], self._ids),
            np.round(moment * 1000).astype(np.int64),
        )
        columns = [
            *(changes[name].tolist() for name in ("kind", "driver", "key", "occurred_at", "detected_at", "crossed")),
            np.round(changes["confidence"], 3).tolist(),
            *(np.round(changes[name], 1).tolist() for name in ("sigma", "distance", "depth")),
            np.round(changes["occurred_sigma"], 2).tolist(),
        ]
        text = ids.tobytes().hex()
        found = []
        for i, (kind, driver, key, occurred, detected, crossed, confidence, *evident) in enumerate(
            zip(*columns, strict=True)
        ):
            accuracy, distance, depth, seconds = evident
            evidence: dict[str, float | bool] = {"accuracy": accuracy, "distance": distance, "depth": depth}
            if seconds == seconds:
                evidence["seconds"] = seconds
            if not crossed:
                evidence["first_fix"] = True
            found.append(
                Transition(
                    event_id=text[32 * i : 32 * i + 24],
                    kind=_KINDS[kind],
                    driver_id=driver_ids[driver],
                    geofence_id=self._ids[key],
                    occurred_at=occurred,
                    detected_at=detected,
                    confidence=confidence,
                    evidence=evidence,
                )
            )
        return found


class _Words:
    """128 bits of each id, by row, worked out once: what event ids are made of."""

    def __init__(self) -> None:
        self._known = np.zeros((256, 2), np.uint64)

    def of(self, rows: Ints, ids: Sequence[str]) -> np.ndarray:
        """(n, 2)"""
        while len(ids) > len(self._known):
            self._known = np.concatenate([self._known, np.zeros_like(self._known)])
        for row in set(rows[self._known[rows, 0] == 0].tolist()):
            self._known[row] = np.frombuffer(blake2b(ids[row].encode(), digest_size=16).digest(), np.uint64)
        return np.asarray(self._known[rows])

    def forget(self, row: int) -> None:
        """Another id takes the row."""
        if row < len(self._known):
            self._known[row] = 0


@compiled
def _event_ids(kind: Ints, driver: np.ndarray, geofence: np.ndarray, ms: Ints) -> np.ndarray:
    """(n, 2) 128 bits that follow from what happened: the words mixed (SplitMix64; Steele, Lea, Flood 2014)."""
    result = np.empty((len(kind), 2), np.uint64)
    for i in range(len(kind)):
        state = np.uint64(kind[i])
        for word in (driver[i, 0], driver[i, 1], geofence[i, 0], geofence[i, 1], np.uint64(ms[i])):
            state = _mixed(state ^ word)
        result[i, 0] = state
        result[i, 1] = _mixed(state ^ driver[i, 1] ^ geofence[i, 0])
    return result


@helper
def _mixed(state: np.uint64) -> np.uint64:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
