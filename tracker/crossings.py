"""What legs do to the visits of geofences: compiled, leg by leg in each driver's order of time.

A crossing inwards, or a position inside, begins a visit; it ends with a position outside by the margin, and is then
stamped with the last crossing outwards. Most legs touch nothing: as long as a driver stays within his safe distance of
where it was measured, nothing is looked at.
"""

from math import erf, sqrt
from typing import NamedTuple

import numpy as np

from geo.clearance import clearance
from geo.compiled import compiled, helper
from geo.cuts import CUT, Shapes, boundary_distance, cut_leg
from geo.globe import MOST_PIECES, POINT, Row, Rows, put_point, split, squared, wrap
from geo.grid import Cells, touching
from tracker.records import Floats, Ints
from tracker.visits import CHANGE, LEFT, TURN, VISIT, add, grown, remove

EXIT, ENTER, DWELL = 0, 1, 2
"""Kinds of changes, in the order that they have at one instant."""
PASS_WITHIN_M = 30_000.0
"""A pass through a fence between two positions further apart than this is not believed."""
SHORTEST_S = 0.001
"""A visit lasts at least this long, so that its exit comes after its enter where only a corner was touched."""
SURE_M = 0.1
"""No position is taken for more certain than this."""
_CHANGES_A_STEP = 3
"""One leg can enter a fence, have dwelt in it and leave it."""
_SLOWEST_MPS = 0.1
_UNSAFE_M = 3.0


class Rules(NamedTuple):
    """When something is told."""

    margin_m: float
    margin_sigmas: float
    pass_within_s: float
    dwell_after_s: float


class Leg(NamedTuple):
    """One leg, its way in pieces."""

    driver: int
    t0: float
    t1: float
    sigma: float
    margin: float
    silent: bool  # over such a silence that passes are not believed
    start: float  # speed at its start over its mean speed, 0 to 2; 1: not known
    pieces: int


@compiled
def follow(
    driver: Ints,
    t0: Floats,
    lat0: Floats,
    lon0: Floats,
    t1: Floats,
    lat1: Floats,
    lon1: Floats,
    sigma1: Floats,
    cells: Cells,
    shapes: Shapes,
    pool: Rows,
    drivers: Rows,
    counters: Ints,
    seen: Ints,
    rules: Rules,
) -> tuple[Rows, int, Rows]:
    """Move the visits on by these legs, columns (k,) by driver, then time.

    Returns changes in the rows of CHANGE, how many, and the pool of visits, which grows.
    """
    changes, told = np.empty(256, CHANGE), 0
    points, found = np.empty(MOST_PIECES + 2, POINT), np.empty(shapes.most_cuts, CUT)
    fresh = np.empty(1, VISIT)
    pieces = 0
    for i in range(len(driver)):
        d = driver[i]
        if i and d == driver[i - 1] and lat0[i] == lat1[i - 1] and lon0[i] == lon1[i - 1]:
            points[0] = points[pieces]
        else:
            put_point(points[0], lat0[i], lon0[i])
        put_point(points[1], lat1[i], lon1[i])
        if t1[i] < drivers[d]["due"] and _is_safe(drivers[d], points):
            pieces = 1
            _keep_pace(drivers[d], t0[i], t1[i], points, pieces)
            continue
        pieces = split(points)
        start = _keep_pace(drivers[d], t0[i], t1[i], points, pieces)
        leg = _leg(d, t0[i], t1[i], sigma1[i], start, points, pieces, rules)
        counters[TURN] += 1
        visits = _mark(pool, drivers[d]["first"], seen, counters[TURN])
        others = _near(cells, leg, points, seen, counters[TURN])
        if told + _CHANGES_A_STEP * (visits + others) > len(changes):
            changes = _longer(changes, told + _CHANGES_A_STEP * (visits + others))
        if counters[LEFT] < others:
            pool = grown(pool, counters, others)
        told = _go_on(leg, points, shapes, pool, drivers, counters, rules, found, changes, told)
        told = _enter(leg, points, cells, others, shapes, pool, drivers, counters, rules, fresh, found, changes, told)
        _measure(drivers[d], pool, cells, shapes, points, pieces)
    return changes, told, pool


@helper
def _is_safe(at: Row, points: Rows) -> bool:
    """Whether a leg lies where no boundary can be touched."""
    return bool(squared(at, points[1]) <= at["safe2"] and squared(at, points[0]) <= at["safe2"])


@helper
def _leg(driver: int, t0: float, t1: float, sigma: float, start: float, points: Rows, pieces: int, rules: Rules) -> Leg:
    far = squared(points[0], points[pieces]) > PASS_WITHIN_M * PASS_WITHIN_M
    silent = far or t1 - t0 > rules.pass_within_s
    return Leg(driver, t0, t1, max(sigma, SURE_M), rules.margin_m + rules.margin_sigmas * sigma, silent, start, pieces)


@compiled
def _longer(changes: Rows, needed: int) -> Rows:
    longer = np.empty(4 * needed, CHANGE)
    longer[: len(changes)] = changes
    return longer


@helper
def _mark(pool: Rows, place: int, seen: Ints, turn: int) -> int:
    """How many visits a driver is on, from that at `place`; their fences are seen in this turn."""
    count = 0
    while place >= 0:
        if pool[place]["key"] >= 0:
            seen[pool[place]["key"]] = turn
            count += 1
        place = pool[place]["next"]
    return count


@helper
def _near(cells: Cells, leg: Leg, points: Rows, seen: Ints, turn: int) -> int:
    """How many fences not yet seen are near a leg: their keys are in `cells.found`. Over a silence its end counts."""
    count = 0
    for piece in range(leg.pieces - 1 if leg.silent else 0, leg.pieces):
        p, q = points[leg.pieces if leg.silent else piece], points[piece + 1]
        high, wide = (q["latitude"] - p["latitude"]) / 2, wrap(q["longitude"] - p["longitude"]) / 2
        more = touching(cells, count, p["latitude"] + high, p["longitude"] + wide, abs(high), abs(wide))
        for c in range(count, more):
            key = cells.found[c]
            if seen[key] != turn:
                seen[key], cells.found[count] = turn, key
                count += 1
    return count


@helper
def _go_on(
    leg: Leg,
    points: Rows,
    shapes: Shapes,
    pool: Rows,
    drivers: Rows,
    counters: Ints,
    rules: Rules,
    found: Rows,
    changes: Rows,
    told: int,
) -> int:
    """The visits that the driver is on; how many changes are told then."""
    before, place = -1, drivers[leg.driver]["first"]
    while place >= 0:
        after, key = pool[place]["next"], pool[place]["key"]
        stays = False
        if key >= 0:
            stays, told = _step(pool[place], True, key, leg, points, shapes, rules, found, changes, told)
        if stays:
            before = place
        else:
            remove(pool, drivers, counters, leg.driver, place, before)
        place = after
    return told


@helper
def _enter(
    leg: Leg,
    points: Rows,
    cells: Cells,
    others: int,
    shapes: Shapes,
    pool: Rows,
    drivers: Rows,
    counters: Ints,
    rules: Rules,
    fresh: Rows,
    found: Rows,
    changes: Rows,
    told: int,
) -> int:
    """Visits of `others` fences, by the keys found, where they begin; how many changes are told then."""
    for c in range(others):
        key = cells.found[c]
        stays, told = _step(fresh[0], False, key, leg, points, shapes, rules, found, changes, told)
        if stays:
            place = add(pool, drivers, counters, leg.driver)
            after = pool[place]["next"]
            pool[place] = fresh[0]
            pool[place]["key"], pool[place]["next"] = key, after
    return told


@helper
def _step(
    visit: Row,
    there: bool,
    key: int,
    leg: Leg,
    points: Rows,
    shapes: Shapes,
    rules: Rules,
    found: Rows,
    changes: Rows,
    told: int,
) -> tuple[bool, int]:
    """One visit, or what may become one, and one leg. Returns whether it goes on, and how many changes are told."""
    area = shapes.areas[key]
    count, inside0, inside1 = cut_leg(shapes, area, points, leg.pieces, found)
    if leg.silent and not inside1 and count % 2 == 0:
        count = 0
    if not there and count == 0 and not inside1:
        return False, told
    there, passed = _cross(visit, there, leg, rules, inside0, found, count)
    if inside1:
        visit["left_at"] = np.nan
        if not there:
            _begin(visit, leg.t1, 0.0, False, rules)
    elif not there:
        return False, told
    pass_depth = np.nan
    if passed >= 0.0 and not inside1:
        pass_depth = _depth(shapes, area, points, leg.pieces, passed)
        visit["depth"], visit["sigmas"] = pass_depth, pass_depth / leg.sigma
    until = leg.t1 if visit["left_at"] != visit["left_at"] else visit["left_at"]
    due = until >= visit["dwell_at"]
    if inside1 and visit["told"] and not due:
        return True, told
    distance = boundary_distance(shapes, area, points[leg.pieces], np.inf)
    gone = not inside1 and distance > leg.margin
    if inside1:
        distance = -distance
        if -distance / leg.sigma > visit["sigmas"]:
            visit["depth"], visit["sigmas"] = -distance, -distance / leg.sigma
    told = _tell(visit, key, leg, distance, pass_depth, until, due, gone, rules, changes, told)
    return not gone, told


@helper
def _keep_pace(at: Row, t0: float, t1: float, points: Rows, pieces: int) -> float:
    """Note the mean speed over a leg. Returns the speed at its start, between that and the one before, over it."""
    pace, connected = np.nan, at["until"] == t0
    if t1 > t0:
        pace = sqrt(squared(points[0], points[pieces])) / (t1 - t0)
    before = at["pace"]
    at["pace"], at["until"] = pace, t1
    if not (connected and before >= 0.0 and pace > 0.0):
        return 1.0
    return float(min((before + pace) / 2 / pace, 2.0))


@helper
def _share_of_time(share: float, start: float) -> float:
    """The share of a leg's time after which such a share of it is done, at constant acceleration from the start."""
    if abs(1.0 - start) < 1e-6:
        return share
    return (sqrt(start * start + 4.0 * (1.0 - start) * share) - start) / (2.0 * (1.0 - start))


@helper
def _cross(
    visit: Row, there: bool, leg: Leg, rules: Rules, inside: bool, found: Rows, count: int
) -> tuple[bool, float]:
    """The crossings of a leg in turn. Whether there is a visit then; the middle of the chord where it began, or -1."""
    passed = -1.0
    for c in range(count):
        inside = not inside
        when = leg.t0 + _share_of_time(found[c]["fraction"], leg.start) * (leg.t1 - leg.t0)
        sigma = _time_sigma(found[c], leg)
        if not inside:
            visit["left_at"], visit["left_sigma"] = when, sigma
        elif there:
            visit["left_at"] = np.nan
        else:
            there = True
            _begin(visit, when, sigma, True, rules)
            if c + 1 < count:
                passed = (found[c]["fraction"] + found[c + 1]["fraction"]) / 2
    return there, passed


@helper
def _begin(visit: Row, when: float, sigma: float, crossed: bool, rules: Rules) -> None:
    visit["entered_at"], visit["entered_sigma"], visit["crossed"] = when, sigma, crossed
    visit["left_at"], visit["dwell_at"] = np.nan, when + rules.dwell_after_s
    visit["depth"], visit["sigmas"], visit["told"] = 0.0, 0.0, False


@helper
def _tell(
    visit: Row,
    key: int,
    leg: Leg,
    distance: float,
    pass_depth: float,
    until: float,
    due: bool,
    gone: bool,
    rules: Rules,
    changes: Rows,
    told: int,
) -> int:
    """Write down what there is to tell of a visit now."""
    if not visit["told"]:
        visit["told"] = True
        told = _added(changes, told, ENTER, key, leg, visit, distance)
        changes[told - 1]["occurred_at"] = visit["entered_at"]
        if visit["crossed"]:
            changes[told - 1]["occurred_sigma"] = visit["entered_sigma"]
        _weigh(
            changes[told - 1], visit["depth"], leg.sigma if visit["depth"] == 0.0 else visit["depth"] / visit["sigmas"]
        )
    if due:
        told = _added(changes, told, DWELL, key, leg, visit, distance)
        changes[told - 1]["occurred_at"] = visit["dwell_at"]
        changes[told - 1]["crossed"] = True
        _weigh(changes[told - 1], -distance, leg.sigma)
        visit["dwell_at"] = np.inf
    if gone and visit["told"]:
        told = _added(changes, told, EXIT, key, leg, visit, distance)
        changes[told - 1]["occurred_at"] = max(until, visit["entered_at"] + SHORTEST_S)
        changes[told - 1]["crossed"] = True
        if visit["left_at"] == visit["left_at"]:
            changes[told - 1]["occurred_sigma"] = visit["left_sigma"]
        _weigh(changes[told - 1], distance if not pass_depth < distance else pass_depth, leg.sigma)
    return told


@helper
def _added(changes: Rows, told: int, kind: int, key: int, leg: Leg, visit: Row, distance: float) -> int:
    change = changes[told]
    change["kind"], change["driver"], change["key"], change["detected_at"] = kind, leg.driver, key, leg.t1
    change["entered_at"], change["crossed"] = visit["entered_at"], visit["crossed"]
    change["distance"], change["sigma"], change["occurred_sigma"] = distance, leg.sigma, np.nan
    return told + 1


@helper
def _weigh(change: Row, depth: float, sigma: float) -> None:
    """The probability that a position so deep on one side, of normal error, is on that side."""
    change["depth"] = depth
    change["confidence"] = (1.0 + erf(depth / max(sigma, SURE_M) / sqrt(2.0))) / 2.0


@helper
def _time_sigma(cut: Row, leg: Leg) -> float:
    """Seconds that a crossing may be off: how long the leg takes to go one sigma through the boundary."""
    return float(leg.sigma / max(cut["rate"] / max(leg.t1 - leg.t0, 1e-3), _SLOWEST_MPS))


@helper
def _depth(shapes: Shapes, area: Row, points: Rows, pieces: int, share: float) -> float:
    """Metres from the boundary of the place at such a share of a leg, which becomes the last of `points`."""
    i = min(int(share * pieces), pieces - 1)
    f, p, q = share * pieces - i, points[i], points[i + 1]
    latitude = p["latitude"] + f * (q["latitude"] - p["latitude"])
    put_point(points[-1], latitude, p["longitude"] + f * wrap(q["longitude"] - p["longitude"]))
    return boundary_distance(shapes, area, points[-1], np.inf)


@helper
def _measure(at: Row, pool: Rows, cells: Cells, shapes: Shapes, points: Rows, pieces: int) -> None:
    """How far a driver may go from a leg's end without touching a boundary, and until when nothing else happens.

    It is of use where it is more than a leg's length.
    """
    at["safe2"], at["due"] = -1.0, np.inf
    visit = at["first"]
    while visit >= 0:
        if pool[visit]["left_at"] == pool[visit]["left_at"] or not pool[visit]["told"]:
            return
        at["due"] = min(at["due"], pool[visit]["dwell_at"])
        visit = pool[visit]["next"]
    place, least = points[pieces], max(sqrt(squared(points[0], points[pieces])), _UNSAFE_M)
    safe = clearance(cells, shapes, place, least)
    if safe > least:
        at["x"], at["y"], at["z"] = place["x"], place["y"], place["z"]
        at["safe2"] = (0.999 * safe - 0.5) ** 2
