"""What legs do to deliveries, in one compiled loop: approaching, arrived, departed, passed.

A driver who stands within a destination may be there for the delivery, or at a red light. Log odds weigh it:

    prior          ln 5 where it is his next stop by his route, or at the same address; ln 1.5 where another is; ln 2.5
                   where he has no route
    place          - d² / 2(r² + s²) - ln(1 + s²/r²), d from the centre, r = 0.55 radii, s the position's sigma; beyond
                   the boundary by b, - b² / 2(10² + s²) more. In a polygon, d = r / 2, and b more outside
    time           + 1 for every 15 s: red lights and queues end
    stop and go    - ln(1 + halts on the last few hundred metres)
    a better fit   no arrival where another open order of his, to another place, has the better prior and place by 0.25

The confidence of an arrival is 1 / (1 + exp(-log odds)), and it is announced when that reaches `arrival_confidence`.
Beyond the boundary only a long stand where he is expected counts. A visit that ends without an arrival is a pass.
"""

from math import erf, log, sqrt
from typing import NamedTuple

import numpy as np

from geo.compiled import helper
from geo.globe import Row, Rows
from geo.places import Places, depth, local
from tracker import stands
from tracker.nearness import ARRIVED, BESIDE_M, DEPARTED, Slots, begin, look, misfit, visit
from tracker.records import Floats, Ints
from tracker.stands import LegColumns, span

APPROACHING, PASSED = 1, 4
"""What a row of `follow` tells, with ARRIVED and DEPARTED. All but a pass are stages of a delivery; it begins at 0."""
COLUMNS = 12
"""Of a row: kind, slot, leg, occurred_at, detected_at, confidence, late, then the evidence."""
EVIDENCE = ("fixes", "dwell", "stand", "distance", "speed")
"""Positions inside, s inside, s on one spot, m from the boundary (negative inside) and m/s; of a pass the least two."""
_ROWS_AN_ORDER = 3
"""That one leg can make."""

_NEXT, _NOT_NEXT, _NO_ROUTE, _LIGHT_S = log(5.0), log(1.5), log(2.5), 15.0
_RIVAL = 0.25
"""An order that fits better by this takes the stand, unless it goes to the same place."""
_SAME_PLACE_M = 20.0
"""Stops this close to the next one are expected with it."""
_BESIDE_S = 120.0
"""A stand for so long is an arrival also beside the destination."""
_GONE_SIGMAS, _FAR_M = 2.0, 100.0
"""Beyond the margin and so many sigmas twice in a row, or this much further once, is gone."""


class Rules(NamedTuple):
    """Settings; `quiet` follows visits and tells nothing."""

    approaching_m: float
    arrival_odds: float
    arrival_speed_mps: float
    arrival_dwell_s: float
    departed_margin_m: float
    pass_within_s: float
    stale_after_s: float
    quiet: bool


@helper
def follow(
    start: int,
    legs: LegColumns,
    stand: Rows,
    head: Ints,
    slots: Slots,
    places: Places,
    rules: Rules,
    most: int,
    out: Floats,
) -> tuple[int, int]:
    """Move deliveries on by the legs from `start`; returns (where it ended, rows written).

    `stand`, of stands.STAND, and `head`, each driver's first slot or -1, go by driver; no driver has more than
    `most` orders. Rows go to `out` (r, COLUMNS); it ends early when that could overflow, and wants to be called again.
    """
    count = 0
    for k in range(start, len(legs.driver)):
        if count + _ROWS_AN_ORDER * most > len(out):
            return k, count
        driver = legs.driver[k]
        row = stand[driver]
        stood = stands.advance(row, legs, k, rules.arrival_speed_mps)
        first = head[driver] if driver < len(head) else -1
        if first < 0:
            continue
        upcoming, looked = look(slots, places, legs, k, first, rules.approaching_m)
        slot = first
        while slot >= 0:
            following = slots.following[slot]
            if looked:
                count = _decide(slots, places, legs, k, slot, first, upcoming, stood, row, rules, out, count)
            slot = following
    return len(legs.driver), count


@helper
def _decide(
    slots: Slots,
    places: Places,
    legs: LegColumns,
    k: int,
    slot: int,
    first: int,
    upcoming: int,
    stood: float,
    row: Row,
    rules: Rules,
    out: Floats,
    count: int,
) -> int:
    """What leg k does to one order; how many rows there are then."""
    t1, stage = legs.t1[k], slots.stage[slot]
    telling = t1 >= slots.since[slot] and not rules.quiet
    if slots.misfit[slot] < np.inf:
        visit(slots, places, legs, k, slot, row, rules.pass_within_s)
        if stage < ARRIVED and t1 >= slots.since[slot]:
            odds, stood = _weigh(slots, places, legs, k, slot, first, upcoming, stood, row)
            if _certain(slots, slot, t1, odds, stood, rules):
                if telling and legs.newest[k] - t1 <= rules.stale_after_s:
                    count = _arrived(slots, legs, k, slot, t1, max(odds, rules.arrival_odds), stood, rules, out, count)
                elif np.isnan(slots.reached_at[slot]):
                    slots.reached_at[slot] = t1
        if not np.isnan(slots.entered_at[slot]) or stage == ARRIVED:
            count = _leave(slots, legs, k, slot, telling, rules, out, count)
    if slots.stage[slot] < APPROACHING and slot == upcoming and telling:
        count = _approach(slots, legs, k, slot, rules, out, count)
    return count


@helper
def _weigh(
    slots: Slots,
    places: Places,
    legs: LegColumns,
    k: int,
    slot: int,
    first: int,
    upcoming: int,
    stood: float,
    row: Row,
) -> tuple[float, float]:
    """Log odds that the driver stands, or stood until some way into leg k, for this order; and how long, s."""
    odds, lasted = -np.inf, row["lasted"]
    if stood > 0.0:
        odds = _odds(slots, slot, first, upcoming, stood, row)
    if lasted > stood:
        here = slots.distance[slot], slots.misfit[slot]
        x, y = local(places, slot, legs.latitude0[k], legs.longitude0[k])
        deep = depth(places, slot, x, y)
        slots.distance[slot], slots.misfit[slot] = -deep, misfit(places, slot, x, y, deep, legs.sigma1[k])
        before = _odds(slots, slot, first, upcoming, lasted, row)
        slots.distance[slot], slots.misfit[slot] = here
        if before > odds:
            return before, lasted
    return odds, stood


@helper
def _certain(slots: Slots, slot: int, t1: float, odds: float, stood: float, rules: Rules) -> bool:
    """Whether this is an arrival; beside the destination, a visit begins with it."""
    if np.isnan(slots.entered_at[slot]):
        if odds < rules.arrival_odds:
            return False
        begin(slots, slot, t1 - stood)
    slots.odds[slot] = max(slots.odds[slot], odds)
    slots.stand[slot] = max(slots.stand[slot], stood)
    dwelt = slots.distance[slot] <= 0.0 and t1 - slots.entered_at[slot] >= rules.arrival_dwell_s
    return dwelt or odds >= rules.arrival_odds


@helper
def _expected(slots: Slots, slot: int, upcoming: int) -> bool:
    """Whether an order is the driver's next, or goes to the same place."""
    return (
        slot == upcoming
        or span(slots.latitude[slot], slots.longitude[slot], slots.latitude[upcoming], slots.longitude[upcoming])
        <= _SAME_PLACE_M
    )


@helper
def _fit(slots: Slots, slot: int, upcoming: int) -> float:
    """Log odds before any time is spent."""
    prior = _NO_ROUTE if slots.routed[slot] == 0 else _NEXT if _expected(slots, slot, upcoming) else _NOT_NEXT
    return float(prior - slots.misfit[slot])


@helper
def _odds(slots: Slots, slot: int, first: int, upcoming: int, stood: float, row: Row) -> float:
    """Log odds that the driver stands here for this order."""
    distance, fit = slots.distance[slot], _fit(slots, slot, upcoming)
    if distance > 0.0 and (distance > BESIDE_M or stood < _BESIDE_S or not _expected(slots, slot, upcoming)):
        return -np.inf
    other = first
    while other >= 0:
        rival = slots.stage[other] < DEPARTED and _fit(slots, other, upcoming) > fit + _RIVAL
        if rival and not _expected(slots, other, slot):
            return -np.inf
        other = slots.following[other]
    return float(fit + stood / _LIGHT_S - np.log(1.0 + row["halts"]))


@helper
def _sure(metres: float, sigma: float) -> float:
    """The probability that a normal error of this sigma is less."""
    return 0.5 * (1.0 + erf(metres / max(sigma, 0.1) / sqrt(2.0)))


@helper
def _write(
    out: Floats,
    count: int,
    kind: int,
    slot: int,
    k: int,
    occurred_at: float,
    detected_at: float,
    confidence: float,
    late: bool,
) -> None:
    """Begin a row; there is no evidence yet."""
    out[count, 0], out[count, 1], out[count, 2] = kind, slot, k
    out[count, 3], out[count, 4], out[count, 5], out[count, 6] = occurred_at, detected_at, confidence, late
    for i in range(7, COLUMNS):
        out[count, i] = np.nan


@helper
def _approach(slots: Slots, legs: LegColumns, k: int, slot: int, rules: Rules, out: Floats, count: int) -> int:
    t1, distance = legs.t1[k], slots.distance[slot]
    if not slots.misfit[slot] < np.inf or distance > rules.approaching_m:
        return count
    late = legs.newest[k] - t1 > rules.stale_after_s
    _write(out, count, APPROACHING, slot, k, t1, t1, _sure(rules.approaching_m - distance, legs.sigma1[k]), late)
    out[count, 10] = distance
    slots.stage[slot] = APPROACHING
    return count + 1


@helper
def _arrived(
    slots: Slots,
    legs: LegColumns,
    k: int,
    slot: int,
    t: float,
    odds: float,
    stood: float,
    rules: Rules,
    out: Floats,
    count: int,
) -> int:
    """The row of an arrival that was certain at `t`."""
    since, late = slots.entered_at[slot], legs.newest[k] - t > rules.stale_after_s
    _write(out, count, ARRIVED, slot, k, since, t, 1.0 / (1.0 + np.exp(-odds)), late)
    out[count, 7], out[count, 8], out[count, 9] = slots.fixes[slot], t - since, stood
    out[count, 10], out[count, 11] = slots.distance[slot], legs.speed[k]
    slots.stage[slot] = ARRIVED
    return count + 1


@helper
def _leave(
    slots: Slots, legs: LegColumns, k: int, slot: int, telling: bool, rules: Rules, out: Floats, count: int
) -> int:
    """End the visit once the driver is gone: departed from an arrival, else a pass."""
    t1, distance, sigma = legs.t1[k], slots.distance[slot], legs.sigma1[k]
    margin = rules.departed_margin_m + _GONE_SIGMAS * sigma
    if distance <= margin:
        slots.gone[slot] = 0
        return count
    slots.gone[slot] += 1
    if np.isnan(slots.left_at[slot]):  # never seen to cross
        slots.left_at[slot] = legs.t0[k]
    if slots.gone[slot] < 2 and distance <= margin + _FAR_M:
        return count
    entered_at, left_at = slots.entered_at[slot], slots.left_at[slot]
    late = legs.newest[k] - t1 > rules.stale_after_s
    if slots.stage[slot] < ARRIVED and telling and left_at >= slots.since[slot]:
        if not np.isnan(slots.reached_at[slot]):
            odds, stood = max(slots.odds[slot], rules.arrival_odds), slots.stand[slot]
            count = _arrived(slots, legs, k, slot, slots.reached_at[slot], odds, stood, rules, out, count)
            out[count - 1, 10], out[count - 1, 11] = slots.nearest[slot], slots.slowest[slot]
        else:
            sure = _sure(-slots.nearest[slot], sigma) / (1.0 + np.exp(slots.odds[slot]))
            _write(out, count, PASSED, slot, k, entered_at, t1, sure, late)
            out[count, 7], out[count, 8], out[count, 9] = slots.fixes[slot], left_at - entered_at, slots.stand[slot]
            out[count, 10], out[count, 11] = slots.nearest[slot], slots.slowest[slot]
            count += 1
    elif slots.stage[slot] == ARRIVED and not telling:
        return count
    if slots.stage[slot] == ARRIVED:
        _write(out, count, DEPARTED, slot, k, left_at, t1, _sure(distance, sigma), late)
        out[count, 10] = distance
        slots.stage[slot] = DEPARTED
        count += 1
    slots.entered_at[slot] = np.nan
    slots.left_at[slot] = np.nan
    slots.reached_at[slot] = np.nan
    return count
