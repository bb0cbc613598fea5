"""What a trip's seconds are made of: so many seconds a metre, a crossing, a start, each the sum of nested effects."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.earth import metres_per_degree, wrap_degrees
from geo.eta.trips import WEEK_MIN, Trips

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_MIN = 1440.0
KNOT_MIN = 60.0
"""An effect that changes with time of day or week is linear between its values at whole hours."""
PER_CROSSING = 50.0
PER_TRIP = 100.0
"""A crossing and a trip count as so many metres, so that all effects are seconds a metre and their ridges compare."""


class Effect(NamedTuple):
    """One level of the hierarchy; a higher ridge draws it more to its parents."""

    name: str
    ridge: float
    period: float = KNOT_MIN  # it repeats after so many minutes: an hour (no change), a day or a week
    per: str = "metre"  # or "crossing" or "trip"

    @property
    def knots(self) -> int:
        """Values a key has."""
        return round(self.period / KNOT_MIN)


EFFECTS = (
    Effect("everywhere", 10.0),
    Effect("hour", 10.0, DAY_MIN),
    Effect("hour of week", 10.0, WEEK_MIN),
    Effect("class", 1.0),
    Effect("class, hour", 30.0, DAY_MIN),
    Effect("area 3 km, hour", 100.0, DAY_MIN),
    Effect("area 1 km", 30.0),
    Effect("area 1 km, hour", 100.0, DAY_MIN),
    Effect("area 400 m", 30.0),
    Effect("edge", 10.0),
    Effect("edge, each time", 100.0, per="crossing"),
    Effect("class, each time", 1.0, per="crossing"),
    Effect("turn", 10.0, per="crossing"),
    Effect("trip", 1.0, per="trip"),
    Effect("trip, hour", 10.0, DAY_MIN, per="trip"),
)


class Term(NamedTuple):
    """Where an effect acts: in which trip, under which key (-1: none), how many metres' worth; all (q,), by trip."""

    trip: Ints
    key: Ints
    value: Floats


def terms(trips: Trips) -> dict[str, Term]:
    """Of every effect, where it acts in these trips."""
    trip, metres = trips.trip, trips.length
    road = np.where(trips.road >= 0, trips.road, len(trips.classes))
    middle = trips.latitude.mean(axis=1), trips.longitude.mean(axis=1)
    nothing = np.zeros(len(trip), np.int64)
    each = np.full(len(trip), PER_CROSSING)
    whole = Term(np.arange(len(trips)), np.zeros(len(trips), np.int64), np.full(len(trips), PER_TRIP))
    kilometre, wide = _cell(*middle, 1000.0), _cell(*middle, 3000.0)
    return {
        "everywhere": Term(trip, nothing, metres),
        "hour": Term(trip, nothing, metres),
        "hour of week": Term(trip, nothing, metres),
        "class": Term(trip, road, metres),
        "class, hour": Term(trip, road, metres),
        "area 3 km, hour": Term(trip, wide, metres),
        "area 1 km": Term(trip, kilometre, metres),
        "area 1 km, hour": Term(trip, kilometre, metres),
        "area 400 m": Term(trip, _cell(*middle, 400.0), metres),
        "edge": Term(trip, trips.edge, metres),
        "edge, each time": Term(trip, trips.edge, each),
        "class, each time": Term(trip, road, each),
        "turn": _turns(trips, road),
        "trip": whole,
        "trip, hour": whole,
    }


def knots(effect: Effect, minute: Floats) -> tuple[Ints, Ints, Floats]:
    """The knots before and after each minute of week, and the share of the later: (n,) each."""
    place = np.mod(minute, effect.period) / KNOT_MIN
    before = np.floor(place).astype(np.int64) % effect.knots
    return before, (before + 1) % effect.knots, place - np.floor(place)


def _cell(latitude: Floats, longitude: Floats, size_m: float) -> Ints:
    """A number for the square of about `size_m` that holds each point; -1 where it is not known."""
    known = np.isfinite(latitude) & np.isfinite(longitude)
    latitude, longitude = np.where(known, latitude, 0.0), np.where(known, longitude, 0.0)
    north, _ = metres_per_degree(0.0)
    row = np.floor((latitude + 90.0) * north / size_m)
    _, east = metres_per_degree((row + 0.5) * size_m / north - 90.0)
    column = np.floor((longitude + 180.0) * np.maximum(east, 1.0) / size_m)
    return np.where(known, row.astype(np.int64) << 32 | column.astype(np.int64), -1)


TURNS = np.radians([-150.0, -110.0, -60.0, -25.0, 25.0, 60.0, 110.0, 150.0])


def _turns(trips: Trips, road: Ints) -> Term:
    """From each step to the next of its trip: the classes of both and how far it turns."""
    trip = trips.trip
    inner = np.flatnonzero(trip[1:] == trip[:-1])
    north, east = metres_per_degree(trips.latitude[:, 0])
    course = np.arctan2(
        wrap_degrees(trips.longitude[:, 1] - trips.longitude[:, 0]) * east,
        (trips.latitude[:, 1] - trips.latitude[:, 0]) * north,
    )
    angle = course[inner + 1] - course[inner]
    known = np.isfinite(angle)
    turn = np.digitize(np.mod(np.where(known, angle, 0.0) + np.pi, 2 * np.pi) - np.pi, TURNS)
    classes = len(trips.classes) + 1
    key = (road[inner] * classes + road[inner + 1]) * (len(TURNS) + 1) + turn
    return Term(trip[inner], np.where(known, key, -1), np.full(len(inner), PER_CROSSING))
