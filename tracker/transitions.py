"""Who is in which geofence, over time: enter, exit, dwell.

Crossing decides, not containment: a leg that cuts a boundary twice is an enter and an exit. A driver has left only when
outside by a margin that grows with the uncertainty of his position; the exit is then stamped with the last crossing.
"""

from dataclasses import dataclass, field
from math import isnan
from statistics import NormalDist

import numpy as np

from geo.fences import Cuts, FenceIndex
from tracker.errors import InvalidInput
from tracker.records import Bools, Floats, Geofence, Ints, Legs, Transition, TransitionKind, event_id
from tracker.settings import EngineSettings
from tracker.shapes import geofence_shape

_NORMAL = NormalDist()
_RANK = {"exit": 0, "enter": 1, "dwell": 2, "cross": 3}
"""At one instant a driver leaves before he enters."""
_KEYS = 2**32


@dataclass(slots=True)
class _Visit:
    """A driver inside a geofence."""

    entered_at: float
    left_at: float = float("nan")
    """The last crossing outwards, while he is not yet outside by the margin."""
    dwelled: bool = False


@dataclass(frozen=True, slots=True)
class _Cases:
    """Each driver and geofence that may matter, with all of the driver's legs; columns (p,) by case, then time."""

    code: Ints  # (c,) driver * _KEYS + key
    start: Ints  # (c + 1,)
    leg: Ints
    distance: Floats  # of the leg's end from the boundary, negative inside
    cuts: Cuts


class Fences:
    """The geofences and the drivers inside them."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._index = FenceIndex()
        self._key: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []
        self._visits: dict[int, _Visit] = {}  # by code
        self._inside: Ints | None = np.empty(0, np.int64)  # the codes, sorted; None: sort them again
        self._dwelling: dict[int, float] = {}  # code -> when the dwell is due

    def put(self, geofence: Geofence) -> None:
        """Add or replace a geofence; who was inside stays so until he is seen outside. Raises InvalidInput."""
        key = self._key.get(geofence.geofence_id)
        new = key is None
        if key is None:
            key = self._free[-1] if self._free else len(self._ids)
        try:
            self._index.put(key, geofence_shape(geofence))
        except ValueError as error:
            raise InvalidInput(f"geometry: {error}", field="geometry") from None
        if new:
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
        self._index.drop(key)
        self._ids[key] = None
        self._free.append(key)
        for code in [code for code in self._visits if code % _KEYS == key]:
            self._end(code)

    def restore(self, driver: int, geofence_id: str, entered_at: float) -> None:
        """A driver is inside since then, and whatever there was to say of it has been said."""
        key = self._key.get(geofence_id)
        if key is not None:
            self._begin(driver * _KEYS + key, entered_at)

    def inside(self, driver: int) -> list[str]:
        """The geofences a driver is in."""
        codes = self._codes()
        first, last = np.searchsorted(codes, [driver * _KEYS, (driver + 1) * _KEYS])
        return [geofence_id for code in codes[first:last] if (geofence_id := self._ids[int(code) % _KEYS]) is not None]

    def advance(self, legs: Legs, driver_ids: list[str]) -> list[Transition]:
        """What these legs change, in order of time."""
        cases = self._cases(legs)
        found: list[Transition] = []
        for case in np.flatnonzero(self._of_note(cases, legs)):
            found += self._follow(cases, int(case), legs, driver_ids)
        found.sort(key=lambda t: (t.occurred_at, _RANK[t.kind], t.driver_id, t.geofence_id))
        return found

    def _cases(self, legs: Legs) -> _Cases:
        where = legs.latitude0, legs.longitude0, legs.latitude1, legs.longitude1
        leg, key = self._index.candidates(*where)
        starts = np.flatnonzero(np.diff(legs.driver, prepend=-1))
        drivers = legs.driver[starts]
        codes = self._codes()
        codes = codes[np.isin(codes // _KEYS, drivers)]
        code = np.unique(np.concatenate([legs.driver[leg] * _KEYS + key, codes]))
        run = np.searchsorted(drivers, code // _KEYS)
        count = np.diff(starts, append=len(legs.driver))[run]
        start = np.concatenate([[0], np.cumsum(count)])
        leg = np.arange(start[-1]) - np.repeat(start[:-1] - starts[run], count)
        key = np.repeat(code % _KEYS, count)
        distance = self._index.signed_distance(legs.latitude1[leg], legs.longitude1[leg], key)
        near = np.flatnonzero(
            np.abs(distance) <= legs.length[leg] * 1.01
        )  # others end too far off to have cut anything
        cuts = self._index.cut(*where, leg[near], key[near])
        return _Cases(code, start, leg, distance, Cuts(near[cuts.pair], cuts.fraction, cuts.inward))

    def _of_note(self, cases: _Cases, legs: Legs) -> Bools:
        """(c,) which cases can have a transition; all others cost no Python."""
        noted = np.zeros(len(cases.code), np.bool_)
        if not len(noted):
            return noted
        inside = np.isin(cases.code, self._codes())
        noted[np.searchsorted(cases.start, cases.cuts.pair, "right") - 1] = True
        noted |= ~inside & np.logical_or.reduceat(cases.distance <= 0, cases.start[:-1])
        margin = self._settings.exit_margin_m + self._settings.exit_margin_sigmas * legs.sigma1[cases.leg]
        noted |= inside & np.logical_or.reduceat(cases.distance > margin, cases.start[:-1])
        newest = legs.t1[cases.leg[cases.start[1:] - 1]]
        due = [self._dwelling.get(code, np.inf) for code in cases.code[inside].tolist()]
        noted[inside] |= newest[inside] >= due
        return noted

    def _follow(self, cases: _Cases, case: int, legs: Legs, driver_ids: list[str]) -> list[Transition]:
        """Go through one case leg by leg."""
        code = int(cases.code[case])
        geofence_id = self._ids[code % _KEYS]
        assert geofence_id is not None
        teller = _Teller(driver_ids[code // _KEYS], geofence_id)
        start, end = cases.start[case : case + 2].tolist()
        first, last = np.searchsorted(cases.cuts.pair, [start, end])
        cut = cases.cuts.pair, cases.cuts.fraction, cases.cuts.inward
        crossings: dict[int, list[tuple[float, bool]]] = {}
        for pair, share, inward in zip(*(column[first:last].tolist() for column in cut), strict=True):
            crossings.setdefault(pair - start, []).append((share, inward))
        leg = cases.leg[start:end]
        columns = legs.t0[leg], legs.t1[leg], legs.sigma1[leg], cases.distance[start:end]
        for i, (t0, t1, sigma, distance) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            if i in crossings or distance <= 0 or code in self._visits:
                teller.leg(t1, sigma, distance)
                self._step(code, teller, t0, crossings.get(i, []))
        return teller.told

    def _step(self, code: int, teller: "_Teller", t0: float, crossings: list[tuple[float, bool]]) -> None:
        t1, distance = teller.t1, teller.distance
        visit = self._visits.get(code)
        far_apart = t1 - t0 > self._settings.pass_within_s
        if not (far_apart and visit is None and distance > 0):
            for share, inward in crossings:
                when = t0 + share * (t1 - t0)
                if not inward:
                    if visit:
                        visit.left_at = when
                elif visit:
                    visit.left_at = float("nan")
                else:
                    visit = self._begin(code, when)
                    teller.tell("enter", when)
        if visit is None and distance <= 0:  # a first position, or a fence put around him
            visit = self._begin(code, t1)
            teller.tell("enter", t1, first_fix=True)
        if visit is None:
            return
        until = t1 if isnan(visit.left_at) else visit.left_at
        if not visit.dwelled and until - visit.entered_at >= self._settings.dwell_after_s:
            visit.dwelled = True
            self._dwelling.pop(code, None)
            teller.tell("dwell", visit.entered_at + self._settings.dwell_after_s)
        if distance > self._settings.exit_margin_m + self._settings.exit_margin_sigmas * teller.sigma:
            self._end(code)
            teller.tell("exit", until)

    def _begin(self, code: int, entered_at: float) -> _Visit:
        visit = self._visits[code] = _Visit(entered_at)
        self._dwelling[code] = entered_at + self._settings.dwell_after_s
        self._inside = None
        return visit

    def _end(self, code: int) -> None:
        del self._visits[code]
        self._dwelling.pop(code, None)
        self._inside = None

    def _codes(self) -> Ints:
        if self._inside is None:
            self._inside = np.sort(np.fromiter(self._visits, np.int64, len(self._visits)))
        return self._inside


@dataclass(slots=True)
class _Teller:
    """Writes down the transitions of one driver at one geofence."""

    driver_id: str
    geofence_id: str
    t1: float = 0.0
    sigma: float = 0.0
    distance: float = 0.0
    told: list[Transition] = field(default_factory=list)

    def leg(self, t1: float, sigma: float, distance: float) -> None:
        """The next leg ends here."""
        self.t1, self.sigma, self.distance = t1, sigma, distance

    def tell(self, kind: TransitionKind, occurred_at: float, *, first_fix: bool = False) -> None:
        """It happened, as this leg shows."""
        same = sum(t.kind == kind and t.detected_at == self.t1 for t in self.told)
        certain = _NORMAL.cdf(abs(self.distance) / max(self.sigma, 0.1))
        evidence: dict[str, float | bool] = {"accuracy": round(self.sigma, 1), "distance": round(self.distance, 1)}
        if first_fix:
            evidence["first_fix"] = True
        self.told.append(
            Transition(
                event_id=event_id(kind, self.driver_id, self.geofence_id, round(self.t1 * 1000), same),
                kind=kind,
                driver_id=self.driver_id,
                geofence_id=self.geofence_id,
                occurred_at=float(occurred_at),
                detected_at=self.t1,
                confidence=round(certain, 3),
                evidence=evidence,
            )
        )
