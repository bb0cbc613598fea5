"""What each finished trip and each stop adds to what the fleet knows; forgets slowly, so that last year does not rule.

Speeds are drawn from a cell in an hour of the week to the cell, to the fleet in that hour, to the fleet, to the
settings: each level counts as so many metres of the one above it, so little driven says little.
"""

from dataclasses import dataclass, field

import numpy as np

from geo.compiled import compiled
from geo.earth import distance
from geo.intervals import Intervals, cold_intervals
from geo.speeds import ANY, HEADINGS, HOURS, cell_of, heading_of, hour_of, known_speeds
from tracker import corridors
from tracker.corridors import Corridors
from tracker.eta_model import COLD_PACE_TRUST, SERVICE_SHRINK, EtaModel, ServiceTimes, place_of
from tracker.records import Floats, Ints
from tracker.settings import EngineSettings

FLEET_M, HOUR_M, CELL_M, CELL_HOUR_M, HEADING_M = 5_000.0, 20_000.0, 1_000.0, 2_000.0, 1_000.0
"""What weighs as much as the level above: metres of the fleet, in an hour, in a cell, in a cell in an hour or one way.
"""
LEAST_SHARE, MOST_SHARE = 0.4, 2.5
"""A way through a cell is no faster and no slower than this, measured by the cell."""
SLOWEST, FASTEST = 3.0, 0.02
"""No pace beyond these is believed, s/m."""
PAUSE_S = 120.0
"""A longer silence within a trip is left out."""
STANDING_S = 300.0
"""Standing still for longer than this is a break, and not the road's."""
LEAST_M = 200.0
"""Shorter trips teach nothing of circuity."""
SERVICE_MOST_S = 3600.0
HALF_LIFE_DAYS = 60.0
MOST_CELLS = 20_000
"""So many cells are kept, those that were driven through most lately."""
MOST_PLACES = 20_000
"""So many addresses are kept, those of the most stops."""
LEAST_STOPS = 0.1
"""What has faded below this is forgotten."""
PACE_TRUST, TRUST_TRIPS = 0.15, 20.0
"""How much a driver's own pace counts in the end, and after how many trips of the fleet it is half way there."""


@dataclass(slots=True)
class Learned:
    """Sums over what was driven; the state from which a model follows."""

    trips: float = 0.0
    until: float = 0.0
    """occurred_at of the newest arrival in it, Unix seconds."""
    cell: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    driven: Floats = field(default_factory=lambda: np.empty((2, 0, HOURS)))
    """(2, cells, HOURS) seconds and metres; cells sorted."""
    headed: Floats = field(default_factory=lambda: np.empty((2, 0, HEADINGS)))
    """(2, cells, HEADINGS) the same by heading; what led nowhere is in none."""
    circuity: Floats = field(default_factory=lambda: np.zeros(2))
    """Metres driven, and in a straight line."""
    service: Floats = field(default_factory=lambda: np.zeros(2))
    """Stops and their seconds; so the next two, by driver and by place."""
    by_driver: dict[str, tuple[float, float]] = field(default_factory=dict)
    by_place: dict[str, tuple[float, float]] = field(default_factory=dict)
    intervals: Intervals = field(default_factory=cold_intervals)
    assumed: Intervals = field(default_factory=cold_intervals)
    """What intervals are drawn to where few announced ETAs have said better."""
    corridors: Corridors = field(default_factory=dict)

    def add_trip(self, t: Floats, latitude: Floats, longitude: Floats, *, whole: bool = True) -> None:
        """Learn from the positions (n,) of a trip in order of time; a `whole` one leads from stop to stop."""
        if len(t) < 2:
            return
        length = distance(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:])
        seconds = np.diff(t)
        good = (seconds > 0) & (seconds <= PAUSE_S) & ~_breaks(length, seconds)
        if not good.any():
            return
        ends = latitude[:-1][good], longitude[:-1][good], latitude[1:][good], longitude[1:][good]
        self.add_driven(*where(*ends, t[:-1][good]), seconds[good], length[good])
        line = float(distance(latitude[0], longitude[0], latitude[-1], longitude[-1]))
        if whole and line >= LEAST_M:
            self.circuity += [float(length.sum()), line]
            corridors.add(self.corridors, latitude, longitude)
        self.trips += 1

    def add_driven(self, cell: Ints, hour: Ints, heading: Ints, seconds: Floats, metres: Floats) -> None:
        """Add pieces of ways (n,), each in a cell in an hour of the week."""
        self._make_room(np.unique(cell))
        row, led = np.searchsorted(self.cell, cell), heading != ANY
        for i, sums in enumerate((seconds, metres)):
            np.add.at(self.driven[i], (row, hour), sums)
            np.add.at(self.headed[i], (row[led], heading[led]), sums[led])

    def add_stop(self, driver_id: str, place: str, seconds: float) -> None:
        """Learn how long a stop took."""
        seconds = min(max(seconds, 0.0), SERVICE_MOST_S)
        self.service += [1.0, seconds]
        for known, key in ((self.by_driver, driver_id), (self.by_place, place)):
            stops, total = known.get(key, (0.0, 0.0))
            known[key] = stops + 1.0, total + seconds

    def forget(self, days: float) -> None:
        """Let what was learned fade by so many days; what has nearly faded is dropped."""
        keep = 0.5 ** (max(days, 0.0) / HALF_LIFE_DAYS)
        self.driven *= keep
        self.headed *= keep
        self.circuity *= keep
        self.service *= keep
        for known in (self.by_driver, self.by_place):
            faded = sorted(((key, stops * keep, total * keep) for key, (stops, total) in known.items()), key=_stops)
            known.clear()
            known.update({key: (stops, total) for key, stops, total in faded[-MOST_PLACES:] if stops >= LEAST_STOPS})
        metres = self.driven[1].sum(axis=1)
        if len(self.cell) > MOST_CELLS:
            kept = np.sort(np.argsort(-metres, kind="stable")[:MOST_CELLS])
            self.cell, self.driven, self.headed = self.cell[kept], self.driven[:, kept], self.headed[:, kept]

    def forget_driver(self, driver_id: str) -> bool:
        """Drop how long a driver's stops take; whether that was known."""
        return self.by_driver.pop(driver_id, None) is not None

    def forget_place(self, latitude: float, longitude: float) -> bool:
        """Drop how long stops at an address take and which way leads there; whether anything was known."""
        stops = self.by_place.pop(place_of(latitude, longitude), None) is not None
        return corridors.forget(self.corridors, latitude, longitude) or stops

    def model(self, version: int, settings: EngineSettings) -> EtaModel:
        """The model that follows from it."""
        seconds, metres = self.driven
        default = 1.0 / settings.default_speed_mps
        fleet = (seconds.sum() + FLEET_M * default) / (metres.sum() + FLEET_M)
        anywhere = (seconds.sum(axis=0) + HOUR_M * fleet) / (metres.sum(axis=0) + HOUR_M)
        cell = (seconds.sum(axis=1) + CELL_M * fleet) / (metres.sum(axis=1) + CELL_M)
        parent = cell[:, None] * (anywhere / fleet)
        pace = (seconds + CELL_HOUR_M * parent) / (metres + CELL_HOUR_M)
        one_way = (self.headed[0] + HEADING_M * cell[:, None]) / (self.headed[1] + HEADING_M)
        driven, line = self.circuity + FLEET_M * np.array([settings.circuity, 1.0])
        stops, service = self.service + np.array([1.0, settings.service_s]) * SERVICE_SHRINK
        trust = PACE_TRUST + (COLD_PACE_TRUST - PACE_TRUST) * TRUST_TRIPS / (TRUST_TRIPS + self.trips)
        speeds = known_speeds(
            self.cell.copy(),
            np.clip(pace, FASTEST, SLOWEST).T,
            np.clip(one_way / cell[:, None], LEAST_SHARE, MOST_SHARE).T,
            np.clip(anywhere, FASTEST, SLOWEST),
            float(driven / line),
        )
        times = ServiceTimes(float(service / stops), dict(self.by_driver), dict(self.by_place))
        ways = {end: list(drives) for end, drives in self.corridors.items()}
        return EtaModel(version, speeds, self.intervals, times, trust, ways)

    def _make_room(self, cells: Ints) -> None:
        new = cells[~np.isin(cells, self.cell)]
        if len(new):
            at = np.searchsorted(self.cell, new)
            self.cell = np.insert(self.cell, at, new)
            self.driven = np.insert(self.driven, at, 0.0, axis=1)
            self.headed = np.insert(self.headed, at, 0.0, axis=1)


def _stops(known: tuple[str, float, float]) -> float:
    return known[1]


@compiled
def _breaks(length: Floats, seconds: Floats) -> np.ndarray:
    """(n,) which legs belong to a standstill of more than STANDING_S."""
    found = np.zeros(len(length), np.bool_)
    start, stood = 0, 0.0
    for i in range(len(length) + 1):
        if i < len(length) and length[i] < seconds[i]:  # slower than 1 m/s
            stood += seconds[i]
            continue
        if stood > STANDING_S:
            found[start:i] = True
        start, stood = i + 1, 0.0
    return found


@compiled
def where(
    latitude0: Floats, longitude0: Floats, latitude1: Floats, longitude1: Floats, t: Floats
) -> tuple[Ints, Ints, Ints]:
    """Of short legs (n,) the cell of their middle, the hour of the week and the heading."""
    cell, hour, heading = np.empty(len(t), np.int64), np.empty(len(t), np.int64), np.empty(len(t), np.int64)
    for i in range(len(t)):
        east = (longitude1[i] - longitude0[i] + 180.0) % 360.0 - 180.0
        cell[i] = cell_of((latitude0[i] + latitude1[i]) / 2.0, longitude0[i] + east / 2.0)
        hour[i] = hour_of(t[i])
        heading[i] = heading_of(latitude0[i], longitude0[i], latitude1[i], longitude1[i])
    return cell, hour, heading
