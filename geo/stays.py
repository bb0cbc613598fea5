"""Staying and moving: when drivers stopped, where, and when they went on. One step a fix, constant memory a driver.

Two tests in series. Speed: how far a driver is behind one who goes at the slowest speed that is moving; while that
grows, he may be staying (a cumulative sum: Page, Continuous inspection schemes, Biometrika 1954). Place: he keeps
within a radius of the mean of his positions since. When both hold for long enough it is a stay. It begins and ends
between two fixes: where he must have stopped, or started, to be where he was seen, braking and accelerating steadily.
"""

from dataclasses import dataclass
from math import exp, hypot, isfinite, isnan, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled, helper
from geo.earth import metric_scale, wrapped

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Place = tuple[float, float, float, float]

STAY, TRIP = 0, 1
ACCELERATION_MPS2 = 1.0
"""How drivers brake and accelerate."""
CRUISE_MEMORY_S = 20.0
"""The speed that a driver goes at is remembered for so long."""
ANCHOR_FIXES = 30.0
"""The place of a stay is the mean of about so many positions."""
LEAD_M = 10.0
"""So far ahead of one who goes at the slowest speed that is moving, a driver has left."""
RADIUS_SIGMAS = 0.9
"""The radius is at least so many sigmas of the position; 0.6 of its accuracy."""
SURE_M, CHORD_SIGMAS = 3.0, 2.0
"""Speed is measured over the last two legs; where sigma is worse than SURE_M, over as long as it takes one who moves to
get on by so many times what it is worse by."""

_LEAD, _CHANGE, _SINCE, _UNTIL, _CRUISE, _LATITUDE, _LONGITUDE, _COUNT, _STAY_LATITUDE, _STAY_LONGITUDE = range(10)
_TIME, _LAST_LATITUDE, _LAST_LONGITUDE, _FROM_TIME, _FROM_LATITUDE, _FROM_LONGITUDE = range(10, 16)
_TRIP_SINCE, _METRES, _METRES_BEFORE = range(16, 19)
FIELDS = 19
"""The state of a driver:

_LEAD           metres behind (moving) or ahead of (staying) one who goes at the slowest speed that is moving
_CHANGE         since when that grows: when he may have stopped, or left
_SINCE, _UNTIL  the stay he is in (until is NaN), or the last one, which may still go on; NaN, NaN when there is none
_CRUISE         m/s when moving
_LATITUDE ...   where he may be staying, or stays, and of how many positions that is the mean; _STAY_: the last stay
_TIME, _LAST_   his newest fix; _FROM_: that from which speed is measured
_TRIP_SINCE     since when he has been under way, _METRES since then, and how many of them _BEFORE he may have stopped
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is a stay."""

    radius_m: float
    still_mps: float
    shortest_s: float
    merge_s: float


@dataclass(frozen=True, slots=True)
class Spans:
    """Stays and trips, in columns (k,), in the order in which they became certain."""

    kind: Flags  # STAY or TRIP
    row: Ints
    start: Floats
    end: Floats
    latitude: Floats  # of a stay
    longitude: Floats
    metres: Floats  # of a trip
    ongoing: Bools


def empty(rows: int) -> Floats:
    """The state of drivers never seen, (rows, FIELDS)."""
    return np.full((rows, FIELDS), np.nan)


def staying(state: Floats) -> Floats:
    """Since when the drivers of a state (rows, FIELDS) have been staying; NaN who is not; (rows,)."""
    since: Floats = np.where(np.isnan(state[:, _UNTIL]), state[:, _SINCE], np.nan)
    return since


def place(state: Floats) -> tuple[Floats, Floats]:
    """Where those who are staying are: latitude, longitude (rows,)."""
    return state[:, _LATITUDE], state[:, _LONGITUDE]


def advance(
    state: Floats,
    row: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    sigma: Floats,
    rule: Rule,
) -> Spans:
    """Take positions, columns (n,) by time within a row of `state`; returns what is certain by now.

    `speed` is the device's own, m/s, or NaN; `sigma` that of the position per axis, m.
    """
    settings = rule.radius_m, rule.still_mps, rule.shortest_s, rule.merge_s
    columns = _advance(state, row, time, latitude, longitude, speed, sigma, settings)
    return Spans(*columns, np.zeros(len(columns[0]), np.bool_))


def finish(state: Floats) -> Spans:
    """The last stay and the last trip of each driver as far as they got, which nothing later has made certain."""
    time, since, until = state[:, _TIME], state[:, _SINCE], state[:, _UNTIL]
    here, none = np.isfinite(staying(state)), np.full(len(state), np.nan)
    gone = np.isfinite(until)
    under_way = np.isfinite(time) & ~here & (time > state[:, _TRIP_SINCE])
    last_stay = since, until, state[:, _STAY_LATITUDE], state[:, _STAY_LONGITUDE], none
    parts = [
        _spans(STAY, gone, last_stay, ongoing=False),
        _spans(STAY, here, (since, time, *place(state), none), ongoing=True),
        _spans(TRIP, under_way, (state[:, _TRIP_SINCE], time, none, none, state[:, _METRES]), ongoing=True),
    ]
    return Spans(*(np.concatenate([getattr(part, name) for part in parts]) for name in Spans.__slots__))


def _spans(kind: int, which: Bools, columns: tuple[Floats, ...], *, ongoing: bool) -> Spans:
    (row,) = np.nonzero(which)
    start, end, latitude, longitude, metres = (column[which] for column in columns)
    kinds, goes_on = np.full(len(row), kind, np.uint8), np.full(len(row), ongoing)
    return Spans(kinds, row, start, end, latitude, longitude, metres, goes_on)


@compiled
def _advance(
    state: Floats,
    row: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    sigma: Floats,
    rule: tuple[float, float, float, float],
) -> tuple[Flags, Ints, Floats, Floats, Floats, Floats, Floats]:
    n = len(row)
    kind, of, spans = np.empty(3 * n, np.uint8), np.empty(3 * n, np.int64), np.empty((5, 3 * n))
    k = 0
    for i in range(n):
        s = state[row[i]]
        t, here = time[i], _place(latitude[i], longitude[i])
        if isnan(s[_TIME]):
            _begin(s, t, here)
            continue
        seconds = t - s[_TIME]
        if not seconds > 0.0:
            continue
        radius = max(rule[0], RADIUS_SIGMAS * sigma[i])
        v = speed[i]
        if not isfinite(v):
            v = _metres(s[_FROM_LATITUDE], s[_FROM_LONGITUDE], here) / (t - s[_FROM_TIME])
        before = k
        if isnan(s[_UNTIL]) and isfinite(s[_SINCE]):
            _stay_on(s, t, here, seconds, v, radius, rule)
        else:
            k = _move_on(s, t, here, seconds, v, radius, rule, kind, spans, k)
        if t - s[_FROM_TIME] >= CHORD_SIGMAS * (sigma[i] - SURE_M) / rule[1]:
            s[_FROM_TIME], s[_FROM_LATITUDE], s[_FROM_LONGITUDE] = s[_TIME], s[_LAST_LATITUDE], s[_LAST_LONGITUDE]
        s[_TIME], s[_LAST_LATITUDE], s[_LAST_LONGITUDE] = t, here[0], here[1]
        of[before:k] = row[i]
    return kind[:k], of[:k], spans[0, :k], spans[1, :k], spans[2, :k], spans[3, :k], spans[4, :k]


@helper
def _begin(s: Floats, t: float, here: Place) -> None:
    s[:] = nan
    s[_LEAD] = s[_CRUISE] = s[_METRES] = s[_METRES_BEFORE] = 0.0
    s[_TIME] = s[_FROM_TIME] = s[_TRIP_SINCE] = s[_CHANGE] = t
    s[_LAST_LATITUDE] = s[_FROM_LATITUDE] = here[0]
    s[_LAST_LONGITUDE] = s[_FROM_LONGITUDE] = here[1]


@helper
def _place(latitude: float, longitude: float) -> Place:
    """With the metres of a degree there, of latitude and of longitude."""
    north, east = metric_scale(latitude)
    return latitude, longitude, north, east


@helper
def _metres(latitude: float, longitude: float, here: Place) -> float:
    return hypot((here[0] - latitude) * here[2], wrapped(here[1] - longitude) * here[3])


@helper
def _seconds_for(metres: float, cruise: float) -> float:
    """From standing to so many metres away, or the reverse: accelerating up to a cruising speed."""
    if not cruise > 0.0 or 2 * ACCELERATION_MPS2 * metres <= cruise * cruise:
        return sqrt(2 * metres / ACCELERATION_MPS2)
    return metres / cruise + cruise / (2 * ACCELERATION_MPS2)


@helper
def _anchor(s: Floats, here: Place) -> None:
    """One more position at the place."""
    s[_COUNT] = min(s[_COUNT] + 1.0, ANCHOR_FIXES)
    s[_LATITUDE] += (here[0] - s[_LATITUDE]) / s[_COUNT]
    s[_LONGITUDE] = wrapped(s[_LONGITUDE] + wrapped(here[1] - s[_LONGITUDE]) / s[_COUNT])


@helper
def _stay_on(
    s: Floats,
    t: float,
    here: Place,
    seconds: float,
    v: float,
    radius: float,
    rule: tuple[float, float, float, float],
) -> None:
    """One more position of a driver who stays; he may be leaving."""
    away, was = _metres(s[_LATITUDE], s[_LONGITUDE], here), s[_LEAD]
    s[_LEAD] = max(was + (v - rule[1]) * seconds, 0.0)
    if away <= radius:
        _anchor(s, here)
    if s[_LEAD] == 0.0:
        s[_CHANGE] = t
    elif was == 0.0:
        lately = min(away, _metres(s[_FROM_LATITUDE], s[_FROM_LONGITUDE], here))
        s[_CHANGE] = max(t - _seconds_for(lately, s[_CRUISE]), s[_SINCE])
    if s[_LEAD] < LEAD_M and away <= radius:
        return
    slow = s[_LEAD] >= LEAD_M and was > 0.0
    s[_UNTIL] = max(s[_CHANGE] if slow else t - _seconds_for(away, s[_CRUISE]), s[_SINCE] + rule[2])
    s[_STAY_LATITUDE], s[_STAY_LONGITUDE] = s[_LATITUDE], s[_LONGITUDE]
    s[_TRIP_SINCE], s[_METRES], s[_METRES_BEFORE] = s[_UNTIL], away, away
    s[_LEAD], s[_CHANGE] = 0.0, t


@helper
def _move_on(
    s: Floats,
    t: float,
    here: Place,
    seconds: float,
    v: float,
    radius: float,
    rule: tuple[float, float, float, float],
    kind: Flags,
    spans: Floats,
    k: int,
) -> int:
    """One more position of a driver who moves, or may have stopped; returns how many records there are now."""
    _, still, shortest, merge = rule
    leg = _metres(s[_LAST_LATITUDE], s[_LAST_LONGITUDE], here)
    candidate = s[_LEAD] > 0.0
    s[_LEAD] = max(s[_LEAD] + (still - v) * seconds, 0.0)
    if candidate and _metres(s[_LATITUDE], s[_LONGITUDE], here) > radius:
        away = _metres(s[_LATITUDE], s[_LONGITUDE], here)
        left = t - _seconds_for(away, s[_CRUISE])
        if left - s[_CHANGE] >= shortest:  # too short for a fix to show it, but a stay
            k = _settle(s, radius, merge, kind, spans, k)
            s[_UNTIL], s[_STAY_LATITUDE], s[_STAY_LONGITUDE] = left, s[_LATITUDE], s[_LONGITUDE]
            s[_TRIP_SINCE], s[_METRES] = left, away - leg
        candidate = False
    if candidate:
        _anchor(s, here)
    elif s[_LEAD] > 0.0 and leg <= radius and leg < 2 * still * seconds:
        before = _metres(s[_FROM_LATITUDE], s[_FROM_LONGITUDE], _place(s[_LAST_LATITUDE], s[_LAST_LONGITUDE]))
        s[_CHANGE] = min(s[_FROM_TIME] + _seconds_for(before, s[_CRUISE]), s[_TIME])
        s[_METRES_BEFORE] = s[_METRES]
        s[_LATITUDE], s[_LONGITUDE], s[_COUNT] = s[_LAST_LATITUDE], s[_LAST_LONGITUDE], 1.0
        _anchor(s, here)
    else:
        s[_LEAD] = 0.0
    if s[_LEAD] == 0.0:
        s[_CRUISE] += (1.0 - exp(-seconds / CRUISE_MEMORY_S)) * (leg / seconds - s[_CRUISE])
        s[_CHANGE] = t
    s[_METRES] += leg
    if s[_LEAD] > 0.0:
        away = _metres(s[_LATITUDE], s[_LONGITUDE], here)
        going = _seconds_for(min(away, LEAD_M), s[_CRUISE])  # he may be leaving already
        if t - going - s[_CHANGE] >= shortest:
            return _settle(s, radius, merge, kind, spans, k)
    if t - s[_UNTIL] > merge and not (s[_LEAD] > 0.0 and s[_CHANGE] - s[_UNTIL] <= merge):
        k = _tell(s, kind, spans, k)
    return k


@helper
def _settle(s: Floats, radius: float, merge: float, kind: Flags, spans: Floats, k: int) -> int:
    """What may be a stay is one: a new one, which ends a trip, or the last one still."""
    near = _metres(s[_STAY_LATITUDE], s[_STAY_LONGITUDE], _place(s[_LATITUDE], s[_LONGITUDE])) <= radius
    if not (s[_CHANGE] - s[_UNTIL] <= merge and near):
        k = _tell(s, kind, spans, k)
        if s[_CHANGE] > s[_TRIP_SINCE]:
            kind[k] = TRIP
            spans[0, k], spans[1, k], spans[2, k], spans[3, k] = s[_TRIP_SINCE], s[_CHANGE], nan, nan
            spans[4, k] = s[_METRES_BEFORE]
            k += 1
        s[_SINCE] = s[_CHANGE]
    s[_UNTIL] = nan
    s[_LEAD], s[_CHANGE] = 0.0, s[_TIME]
    return k


@helper
def _tell(s: Floats, kind: Flags, spans: Floats, k: int) -> int:
    """The last stay is certainly over."""
    if isnan(s[_UNTIL]):
        return k
    kind[k] = STAY
    spans[0, k], spans[1, k] = s[_SINCE], s[_UNTIL]
    spans[2, k], spans[3, k], spans[4, k] = s[_STAY_LATITUDE], s[_STAY_LONGITUDE], nan
    s[_SINCE] = s[_UNTIL] = nan
    return k + 1
