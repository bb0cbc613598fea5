"""What a trip's seconds are made of: so many seconds a metre, a crossing, a start, each the sum of nested effects."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.earth import metres_per_degree, wrap_degrees
from geo.eta.trips import WEEK_MIN, Trips

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_MIN = 1440.0
FREE_MIN = 5 * DAY_MIN
"""From when on in a week people are free: Saturday and Sunday are days of another kind."""
KNOT_MIN = 60.0
"""An effect that changes with time of day or week is linear between its values at whole hours."""
PER_CROSSING = 50.0
PER_TRIP = 100.0
PER_PLANNED = 7.0
"""A crossing, a trip and a planned second count as so many metres, so that all effects compare in seconds a metre."""
TURNS = np.radians([-150.0, -110.0, -60.0, -25.0, 25.0, 60.0, 110.0, 150.0])
DELAYS = np.array([3.0, 6.0, 10.0, 15.0, 20.0, 30.0, 45.0])
"""Bounds, s, between groups of planned delays."""


class Effect(NamedTuple):
    """One level of the hierarchy; a higher ridge draws it more to its parents.

    The best ridge is the variance of the relative error, about 0.04, over that of the effect, in s/m.
    """

    name: str
    ridge: float
    period: float = KNOT_MIN  # it repeats after so many minutes: an hour (no change), a day or a week
    per: str = "metre"  # or "crossing", "trip", "planned"

    @property
    def knots(self) -> int:
        """Values a key has."""
        return round(self.period / KNOT_MIN)


EFFECTS = (
    Effect("everywhere", 10.0),
    Effect("hour of week", 1000.0, WEEK_MIN),
    Effect("class", 3.0),
    Effect("class, kind of day, hour", 300.0, DAY_MIN),
    Effect("area 3 km, kind of day, hour", 3000.0, DAY_MIN),
    Effect("area 1 km, hour of week", 300.0, WEEK_MIN),
    Effect("area 1 km, heading, kind of day, hour", 300.0, DAY_MIN),
    Effect("area 200 m", 100.0),
    Effect("edge", 10.0),
    Effect("edge, each time", 10.0, per="crossing"),
    Effect("crossing", 3.0, per="crossing"),
    Effect("from edge to edge", 3.0, per="crossing"),
    Effect("turn", 1.0, per="crossing"),
    Effect("trip", 1.0, per="trip"),
    Effect("trip, hour", 100.0, DAY_MIN, per="trip"),
    Effect("last, class", 1.0, per="trip"),
    Effect("first edge", 3.0, per="trip"),
    Effect("last edge", 3.0, per="trip"),
    Effect("straight", 0.1, per="trip"),
    Effect("planned", 0.1, per="planned"),
    Effect("planned, class", 0.3, per="planned"),
    Effect("delay", 0.1, per="planned"),
    Effect("delay, each time", 1.0, per="crossing"),
)


class Term(NamedTuple):
    """Where an effect acts: in which trip, under which key (-1: none), how many metres' worth; all (q,), by trip."""

    trip: Ints
    key: Ints
    value: Floats


def terms(trips: Trips) -> dict[str, Term]:
    """Of every effect, where it acts in these trips."""
    return {name: term for part in (_steps, _crossings, _wholes, _plans) for name, term in part(trips).items()}


def _steps(trips: Trips) -> dict[str, Term]:
    """Effects a metre."""
    trip, road = trips.trip, _road(trips)
    middle = trips.latitude.mean(axis=1), trips.longitude.mean(axis=1)
    everywhere = np.zeros(len(trip), np.int64)
    kilometre, district = cell(*middle, 1000.0), cell(*middle, 3000.0)
    free = (trips.minute >= FREE_MIN).astype(np.int64)[trip]
    heading = np.floor(np.nan_to_num(courses(trips)) / (np.pi / 2) + 0.5).astype(np.int64) % 4
    keys = {
        "everywhere": everywhere,
        "hour of week": everywhere,
        "class": road,
        "class, kind of day, hour": np.where(road >= 0, road * 2 + free, -1),
        "area 3 km, kind of day, hour": np.where(district >= 0, district * 2 + free, -1),
        "area 1 km, hour of week": kilometre,
        "area 1 km, heading, kind of day, hour": np.where(kilometre >= 0, (kilometre * 4 + heading) * 2 + free, -1),
        "area 200 m": cell(*middle, 200.0),
        "edge": trips.edge,
    }
    return {name: Term(trip, key, trips.length) for name, key in keys.items()}


def _crossings(trips: Trips) -> dict[str, Term]:
    """Effects of each edge, however long, and of what lies between it and the next."""
    trip = trips.trip
    inner = np.flatnonzero(trip[1:] == trip[:-1])
    angle = turns(trips, inner)
    known = np.isfinite(angle)
    turn = np.digitize(np.where(known, angle, 0.0), TURNS)
    node = cell(trips.latitude[inner, 1], trips.longitude[inner, 1], 1.0)
    between = trip[inner], np.full(len(inner), PER_CROSSING)
    return {
        "edge, each time": Term(trip, trips.edge, np.full(len(trip), PER_CROSSING)),
        "crossing": Term(between[0], node if trips.kind == "edges" else np.full(len(inner), -1), between[1]),
        "from edge to edge": Term(between[0], _pair(trips.edge[inner], trips.edge[inner + 1]), between[1]),
        "turn": Term(between[0], np.where(known, turn, -1), between[1]),
    }


def _wholes(trips: Trips) -> dict[str, Term]:
    """Effects of a trip as a whole: its start and end, and how far it leads."""
    every, once = np.arange(len(trips)), np.zeros(len(trips), np.int64)
    each = Term(every, once, np.full(len(trips), PER_TRIP))
    some = np.flatnonzero(np.diff(trips.offset))
    last = trips.offset[1:][some] - 1
    far = straight(trips)
    return {
        "trip": each,
        "trip, hour": each,
        "last, class": Term(some, _road(trips)[last], trips.length[last]),
        "first edge": Term(some, trips.edge[trips.offset[:-1][some]], np.full(len(some), PER_TRIP)),
        "last edge": Term(some, trips.edge[last], np.full(len(some), PER_TRIP)),
        "straight": Term(every, np.where(np.isfinite(far), 0, -1), np.nan_to_num(far)),
    }


def _plans(trips: Trips) -> dict[str, Term]:
    """Effects of what a planner reckons, where there is one."""
    trip, road = trips.trip, _road(trips)
    planned, delayed = np.isfinite(trips.planned), np.isfinite(trips.delay)
    seconds, delay = np.nan_to_num(trips.planned) * PER_PLANNED, np.nan_to_num(trips.delay)
    group = np.where(delayed, np.digitize(delay, DELAYS), -1)
    return {
        "planned": Term(trip, np.where(planned, 0, -1), seconds),
        "planned, class": Term(trip, np.where(planned, road, -1), seconds),
        "delay": Term(trip, np.where(delayed, 0, -1), delay * PER_PLANNED),
        "delay, each time": Term(trip, group, np.full(len(trip), PER_CROSSING)),
    }


def knots(effect: Effect, minute: Floats) -> tuple[Ints, Ints, Floats]:
    """The knots before and after each minute of week, and the share of the later: (n,) each."""
    place = np.mod(minute, effect.period) / KNOT_MIN
    before = np.floor(place).astype(np.int64) % effect.knots
    return before, (before + 1) % effect.knots, place - np.floor(place)


def cell(latitude: Floats, longitude: Floats, size_m: float) -> Ints:
    """A number for the square of about `size_m` that holds each point; -1 where it is not known."""
    known = np.isfinite(latitude) & np.isfinite(longitude)
    latitude, longitude = np.where(known, latitude, 0.0), np.where(known, longitude, 0.0)
    north, _ = metres_per_degree(0.0)
    row = np.floor((latitude + 90.0) * north / size_m)
    _, east = metres_per_degree((row + 0.5) * size_m / north - 90.0)
    column = np.floor((longitude + 180.0) * np.maximum(east, 1.0) / size_m)
    return np.where(known, row.astype(np.int64) << 28 | column.astype(np.int64), -1)


def courses(trips: Trips) -> Floats:
    """(k,) radians from east, anticlockwise, in which each step leads."""
    north, east = metres_per_degree(trips.latitude[:, 0])
    dx = wrap_degrees(trips.longitude[:, 1] - trips.longitude[:, 0]) * east
    course: Floats = np.arctan2((trips.latitude[:, 1] - trips.latitude[:, 0]) * north, dx)
    return course


def turns(trips: Trips, inner: Ints) -> Floats:
    """Radians, in [-π, π), to the left from each of the steps `inner` to the one after it."""
    course = courses(trips)
    angle: Floats = np.mod(course[inner + 1] - course[inner] + np.pi, 2 * np.pi) - np.pi
    return angle


def straight(trips: Trips) -> Floats:
    """(n,) metres from where each trip starts to where it ends, as the crow flies; NaN is not known."""
    far, some = np.full(len(trips), np.nan), np.flatnonzero(np.diff(trips.offset))
    first, last = trips.offset[:-1][some], trips.offset[1:][some] - 1
    north, east = metres_per_degree(trips.latitude[first, 0])
    dx = wrap_degrees(trips.longitude[last, 1] - trips.longitude[first, 0]) * east
    far[some] = np.hypot(dx, (trips.latitude[last, 1] - trips.latitude[first, 0]) * north)
    return far


def _pair(before: Ints, after: Ints) -> Ints:
    """A number for two numbers in turn; -1 where one of them is not known."""
    mixed = (before.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + after.astype(np.uint64)) >> np.uint64(2)
    return np.where((before >= 0) & (after >= 0), mixed.astype(np.int64), -1)


def _road(trips: Trips) -> Ints:
    return np.where(trips.road >= 0, trips.road, len(trips.classes))
