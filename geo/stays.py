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
from geo.earth import PARTS, metric_scale, parts, wrapped
from geo.globe import Row, Rows

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
ANCHOR_FIXES = 30
"""The place of a stay is the mean of about so many positions."""
LEAD_M = 10.0
"""So far ahead of one who goes at the slowest speed that is moving, a driver has left."""
RADIUS_SIGMAS = 0.9
"""The radius is at least so many sigmas of the position; 0.6 of its accuracy."""
SURE_M, CHORD_SIGMAS = 3.0, 2.0
"""Speed is measured over the last two legs; where sigma is worse than SURE_M, over as long as it takes one who moves to
get on by so many times what it is worse by."""

STATE = np.dtype(
    [
        ("time", np.float64),  # of his newest fix; NaN before the first
        ("change", np.float64),  # since when `lead` grows: when he may have stopped, or left
        ("since", np.float64),  # when the stay he is in began, or the last one, which may still go on; NaN: none
        ("under_way", np.float64),  # since when he has been under way; NaN while he stays
        ("from_time", np.float64),  # of the fix that speed is measured from
        ("metres", np.float64),  # that he has gone since he has been under way
        ("stopping", np.float32),  # how many of them since he may have stopped
        ("lead", np.float32),  # m behind (moving) or ahead of (staying) one who moves at the slowest
        ("cruise", np.float32),  # m/s when moving
        ("latitude", np.int32),  # where he may be staying, or stays; these and the next in PARTS
        ("longitude", np.int32),
        ("stay_latitude", np.int32),  # of the last stay
        ("stay_longitude", np.int32),
        ("last_latitude", np.int32),  # of his newest fix
        ("last_longitude", np.int32),
        ("from_latitude", np.int32),
        ("from_longitude", np.int32),
        ("count", np.uint8),  # of how many positions `latitude` and `longitude` are the mean
    ],
    align=True,
)
"""What is known of a driver."""


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


def empty(rows: int) -> Rows:
    """The state of drivers never seen, (rows,) of STATE."""
    state = np.zeros(rows, STATE)
    state["time"] = state["since"] = state["under_way"] = nan
    return state


def staying(state: Rows) -> Floats:
    """Since when the drivers of a state have been staying; NaN who is not; (rows,)."""
    since: Floats = np.where(np.isnan(state["under_way"]), state["since"], nan)
    return since


def place(state: Rows) -> tuple[Floats, Floats]:
    """Where those who are staying are: latitude, longitude (rows,)."""
    return state["latitude"] / PARTS, state["longitude"] / PARTS


def advance(
    state: Rows,
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


def finish(state: Rows) -> Spans:
    """The last stay and the last trip of each driver as far as they got, which nothing later has made certain."""
    time, since, left = state["time"], state["since"], state["under_way"]
    here, none = np.isfinite(staying(state)), np.full(len(state), nan)
    last_stay = since, left, state["stay_latitude"] / PARTS, state["stay_longitude"] / PARTS, none
    found = [
        _spans(STAY, np.isfinite(since) & np.isfinite(left), last_stay, ongoing=False),
        _spans(STAY, here, (since, time, *place(state), none), ongoing=True),
        _spans(TRIP, time > left, (left, time, none, none, state["metres"]), ongoing=True),
    ]
    return Spans(*(np.concatenate([getattr(part, name) for part in found]) for name in Spans.__slots__))


def _spans(kind: int, which: Bools, columns: tuple[Floats, ...], *, ongoing: bool) -> Spans:
    (row,) = np.nonzero(which)
    start, end, latitude, longitude, metres = (column[which] for column in columns)
    kinds, goes_on = np.full(len(row), kind, np.uint8), np.full(len(row), ongoing)
    return Spans(kinds, row, start, end, latitude, longitude, metres, goes_on)


@compiled
def _advance(
    state: Rows,
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
        if isnan(s["time"]):
            _begin(s, t, here)
            continue
        seconds = t - s["time"]
        if not seconds > 0.0:
            continue
        radius = max(rule[0], RADIUS_SIGMAS * sigma[i])
        v = speed[i]
        if not isfinite(v):
            v = _metres(s["from_latitude"], s["from_longitude"], here) / (t - s["from_time"])
        before = k
        if isnan(s["under_way"]):
            _stay_on(s, t, here, seconds, v, radius, rule)
        else:
            k = _move_on(s, t, here, seconds, v, radius, rule, kind, spans, k)
        if t - s["from_time"] >= CHORD_SIGMAS * (sigma[i] - SURE_M) / rule[1]:
            s["from_time"] = s["time"]
            s["from_latitude"], s["from_longitude"] = s["last_latitude"], s["last_longitude"]
        s["time"] = t
        s["last_latitude"], s["last_longitude"] = parts(here[0]), parts(here[1])
        of[before:k] = row[i]
    return kind[:k], of[:k], spans[0, :k], spans[1, :k], spans[2, :k], spans[3, :k], spans[4, :k]


@helper
def _begin(s: Row, t: float, here: Place) -> None:
    s["time"] = s["from_time"] = s["under_way"] = s["change"] = t
    s["last_latitude"] = s["from_latitude"] = parts(here[0])
    s["last_longitude"] = s["from_longitude"] = parts(here[1])


@helper
def _place(latitude: float, longitude: float) -> Place:
    """With the metres of a degree there, of latitude and of longitude."""
    north, east = metric_scale(latitude)
    return latitude, longitude, north, east


@helper
def _metres(latitude: int, longitude: int, here: Place) -> float:
    return hypot((here[0] - latitude / PARTS) * here[2], wrapped(here[1] - longitude / PARTS) * here[3])


@helper
def _seconds_for(metres: float, cruise: float) -> float:
    """From standing to so many metres away, or the reverse: accelerating up to a cruising speed."""
    if not cruise > 0.0 or 2 * ACCELERATION_MPS2 * metres <= cruise * cruise:
        return sqrt(2 * metres / ACCELERATION_MPS2)
    return metres / cruise + cruise / (2 * ACCELERATION_MPS2)


@helper
def _anchor(s: Row, here: Place) -> None:
    """One more position at the place."""
    s["count"] = min(s["count"] + 1, ANCHOR_FIXES)
    latitude, longitude = s["latitude"] / PARTS, s["longitude"] / PARTS
    s["latitude"] = parts(latitude + (here[0] - latitude) / s["count"])
    s["longitude"] = parts(wrapped(longitude + wrapped(here[1] - longitude) / s["count"]))


@helper
def _stay_on(
    s: Row,
    t: float,
    here: Place,
    seconds: float,
    v: float,
    radius: float,
    rule: tuple[float, float, float, float],
) -> None:
    """One more position of a driver who stays; he may be leaving."""
    away, was = _metres(s["latitude"], s["longitude"], here), s["lead"]
    s["lead"] = max(was + (v - rule[1]) * seconds, 0.0)
    if away <= radius:
        _anchor(s, here)
    if s["lead"] == 0.0:
        s["change"] = t
    elif was == 0.0:
        lately = min(away, _metres(s["from_latitude"], s["from_longitude"], here))
        s["change"] = max(t - _seconds_for(lately, s["cruise"]), s["since"])
    if s["lead"] < LEAD_M and away <= radius:
        return
    slow = s["lead"] >= LEAD_M and was > 0.0
    s["under_way"] = max(s["change"] if slow else t - _seconds_for(away, s["cruise"]), s["since"] + rule[2])
    s["stay_latitude"], s["stay_longitude"] = s["latitude"], s["longitude"]
    s["metres"], s["stopping"] = away, 0.0
    s["lead"], s["change"] = 0.0, t


@helper
def _move_on(
    s: Row,
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
    leg = _metres(s["last_latitude"], s["last_longitude"], here)
    candidate = s["lead"] > 0.0
    s["lead"] = max(s["lead"] + (still - v) * seconds, 0.0)
    if candidate and _metres(s["latitude"], s["longitude"], here) > radius:
        away = _metres(s["latitude"], s["longitude"], here)
        left = t - _seconds_for(away, s["cruise"])
        if left - s["change"] >= shortest:  # too short for a fix to show it, but a stay
            k = _settle(s, radius, merge, kind, spans, k)
            s["stay_latitude"], s["stay_longitude"] = s["latitude"], s["longitude"]
            s["under_way"], s["metres"] = left, away - leg
        candidate = False
    if candidate:
        _anchor(s, here)
    elif s["lead"] > 0.0 and leg <= radius and leg < 2 * still * seconds:
        last = _place(s["last_latitude"] / PARTS, s["last_longitude"] / PARTS)
        before = _metres(s["from_latitude"], s["from_longitude"], last)
        s["change"] = min(s["from_time"] + _seconds_for(before, s["cruise"]), s["time"])
        s["stopping"] = 0.0
        s["latitude"], s["longitude"], s["count"] = s["last_latitude"], s["last_longitude"], 1
        _anchor(s, here)
    else:
        s["lead"] = 0.0
    if s["lead"] == 0.0:
        s["cruise"] += (1.0 - exp(-seconds / CRUISE_MEMORY_S)) * (leg / seconds - s["cruise"])
        s["change"] = t
    s["metres"] += leg
    s["stopping"] += leg
    if s["lead"] > 0.0:
        away = _metres(s["latitude"], s["longitude"], here)
        going = _seconds_for(min(away, LEAD_M), s["cruise"])  # he may be leaving already
        if t - going - s["change"] >= shortest:
            return _settle(s, radius, merge, kind, spans, k)
    if t - s["under_way"] > merge and not (s["lead"] > 0.0 and s["change"] - s["under_way"] <= merge):
        k = _tell(s, kind, spans, k)
    return k


@helper
def _settle(s: Row, radius: float, merge: float, kind: Flags, spans: Floats, k: int) -> int:
    """What may be a stay is one: a new one, which ends a trip, or the last one still."""
    here = _place(s["latitude"] / PARTS, s["longitude"] / PARTS)
    near = isfinite(s["since"]) and _metres(s["stay_latitude"], s["stay_longitude"], here) <= radius
    if not (near and s["change"] - s["under_way"] <= merge):
        k = _tell(s, kind, spans, k)
        if s["change"] > s["under_way"]:
            kind[k] = TRIP
            spans[0, k], spans[1, k], spans[2, k], spans[3, k] = s["under_way"], s["change"], nan, nan
            spans[4, k] = s["metres"] - s["stopping"]
            k += 1
        s["since"] = s["change"]
    s["under_way"] = nan
    s["lead"], s["change"] = 0.0, s["time"]
    return k


@helper
def _tell(s: Row, kind: Flags, spans: Floats, k: int) -> int:
    """The last stay is certainly over."""
    if isnan(s["since"]):
        return k
    kind[k] = STAY
    spans[0, k], spans[1, k] = s["since"], s["under_way"]
    spans[2, k], spans[3, k], spans[4, k] = s["stay_latitude"] / PARTS, s["stay_longitude"] / PARTS, nan
    s["since"] = nan
    return k + 1
