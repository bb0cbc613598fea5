"""How near drivers are to their orders' destinations: distances, visits, and how well a place fits a delivery."""

from typing import NamedTuple

import numpy as np

from geo.compiled import helper
from geo.earth import PARTS
from geo.globe import Row
from geo.places import Places, crossings, depth, local
from tracker.records import Floats, Ints
from tracker.stands import LegColumns

ARRIVED, DEPARTED = 2, 3
"""Stages of a delivery: `tracker.orders.Stage`."""
SPREAD = 0.55
"""Of the radius: how far from the centre drivers stop, per axis."""
POLYGON_M = 25.0
"""The same in a polygon."""
BESIDE_M = 25.0
"""A stand so close to the boundary may be an arrival too."""


class Slots(NamedTuple):
    """Orders under way: columns by slot. From `entered_at` on they are about the driver's visit of the destination."""

    stage: Ints
    latitude: Floats  # of the middle of the destination
    longitude: Floats
    since: Floats  # from when on the order is this driver's, and goes there
    routed: Ints  # whether the driver has a route
    following: Ints  # the driver's next slot in the order of delivery, -1 after the last
    distance: Floats  # from the driver to the boundary, m, negative inside
    slack: Floats  # he can drive so far before this slot needs a look, m
    misfit: Floats  # how much the place where he is speaks against the delivery; inf where nobody looked
    entered_at: Floats  # NaN while there is no visit
    left_at: Floats  # NaN inside
    gone: Ints  # positions beyond the margin in a row
    reached_at: Floats  # when an arrival became certain that was no news any more, or that may not be told; NaN
    fixes: Ints
    nearest: Floats
    slowest: Floats
    odds: Floats  # the best
    stand: Floats  # the longest


@helper
def look(slots: Slots, places: Places, legs: LegColumns, k: int, first: int, approaching_m: float) -> tuple[int, bool]:
    """Measure the orders that the driver may be near to; his next one, and whether there is anything to decide."""
    upcoming, looked, slot = -1, False, first
    newest = k + 1 == len(legs.driver) or legs.driver[k + 1] != legs.driver[k]  # `distance` is right after every call
    while slot >= 0:
        if upcoming < 0 and slots.stage[slot] < DEPARTED:
            upcoming = slot
        slots.slack[slot] -= legs.length[k]
        slots.misfit[slot] = np.inf
        visited = not np.isnan(slots.entered_at[slot]) or slots.stage[slot] == ARRIVED
        if visited or newest or not slots.slack[slot] > 0.0:
            x, y = local(places, slot, legs.latitude1[k], legs.longitude1[k])
            deep = depth(places, slot, x, y)
            slots.distance[slot] = -deep
            slots.slack[slot] = -deep - max(approaching_m, BESIDE_M) - 1.0
            slots.misfit[slot] = misfit(places, slot, x, y, deep, legs.sigma1[k])
            looked = True
        slot = slots.following[slot]
    return upcoming, looked


@helper
def misfit(places: Places, key: int, x: float, y: float, deep: float, sigma: float) -> float:
    """How much a place, in the frame of a destination and so deep inside it, speaks against the delivery; log odds."""
    radius = places.frame[key, 5]
    if radius == radius:
        half, square = SPREAD * radius, x * x + y * y
    else:
        half, square = POLYGON_M, (POLYGON_M / 2 + max(-deep, 0.0)) ** 2
    spread = half * half + sigma * sigma
    against = square / (2 * spread) + np.log(spread / (half * half))
    if deep < 0.0:
        against += deep * deep / (2 * (100.0 + sigma * sigma))
    return float(against)


@helper
def begin(slots: Slots, slot: int, entered_at: float) -> None:
    """Begin a visit of which nothing else is known yet."""
    slots.entered_at[slot], slots.left_at[slot], slots.reached_at[slot] = entered_at, np.nan, np.nan
    slots.gone[slot], slots.fixes[slot] = 0, 0
    slots.nearest[slot], slots.slowest[slot] = np.inf, np.inf
    slots.odds[slot], slots.stand[slot] = -np.inf, 0.0


@helper
def visit(slots: Slots, places: Places, legs: LegColumns, k: int, slot: int, row: Row, pass_within_s: float) -> bool:
    """Begin a visit of the destination by leg k, or go on with it; whether there is one."""
    t0, dt, distance = legs.t0[k], legs.t1[k] - legs.t0[k], slots.distance[slot]
    if np.isnan(slots.entered_at[slot]) and distance > legs.length[k]:
        return False
    x0, y0 = local(places, slot, legs.latitude0[k], legs.longitude0[k])
    x1, y1 = local(places, slot, legs.latitude1[k], legs.longitude1[k])
    first, last = crossings(places, slot, x0, y0, x1, y1)
    inside = distance <= 0.0
    if np.isnan(slots.entered_at[slot]):
        if depth(places, slot, x0, y0) >= 0.0:  # here already: since he stands, where he stands inside
            x, y = local(places, slot, row["latitude"] / PARTS, row["longitude"] / PARTS)
            begin(slots, slot, min(row["since"], t0) if depth(places, slot, x, y) >= 0.0 else t0)
        elif inside:
            begin(slots, slot, t0 + (first if first == first else 1.0) * dt)
        elif first < last and dt <= pass_within_s:
            begin(slots, slot, t0 + first * dt)
        else:
            return False
    nearest = distance
    if first < last:
        middle = (first + last) / 2
        nearest = min(nearest, -depth(places, slot, x0 + middle * (x1 - x0), y0 + middle * (y1 - y0)))
    slots.nearest[slot] = min(slots.nearest[slot], nearest)
    slots.slowest[slot] = min(slots.slowest[slot], legs.speed[k])
    if inside:
        slots.fixes[slot] += 1
        slots.left_at[slot] = np.nan
    elif last == last:
        slots.left_at[slot] = t0 + last * dt
    return True
