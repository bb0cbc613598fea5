"""When legs were inside an area, and when they came closest to its centre: visits from crossing in to crossing out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled
from geo.earth import distance, wrap_degrees
from geo.fences import Area, Circle, FenceIndex

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SAME_S = 5e-4
"""Times are of milliseconds; closer together than half of one, an interval goes on in the next."""


@dataclass(frozen=True, slots=True)
class Legs:
    """From fix to fix in columns (k,): Unix seconds, degrees. A fix without a neighbour is a leg of no length."""

    driver: Ints
    t0: Floats
    latitude0: Floats
    longitude0: Floats
    t1: Floats
    latitude1: Floats
    longitude1: Floats

    def take(self, index: Ints | Bools) -> "Legs":
        """Some of them."""
        return Legs(*(getattr(self, name)[index] for name in Legs.__slots__))

    def at(self, fraction: Floats) -> tuple[Floats, Floats, Floats]:
        """Time, latitude and longitude after a share (k,) of each leg."""
        t = np.where(fraction == 1.0, self.t1, self.t0 + fraction * (self.t1 - self.t0))
        latitude = self.latitude0 + fraction * (self.latitude1 - self.latitude0)
        wide = wrap_degrees(self.longitude1 - self.longitude0)
        return t, latitude, wrap_degrees(self.longitude0 + fraction * wide)


@dataclass(frozen=True, slots=True)
class Passes:
    """Visits of an area in columns (v,), by driver, then time."""

    driver: Ints
    entered_at: Floats
    left_at: Floats
    entered: Bools  # whether the way in was seen: else the fixes, or the time asked for, begin inside
    left: Bools
    gap_s: Floats  # the longest time between two fixes from entered_at to left_at
    closest_at: Floats  # to the centre of a circle; of an area the first moment inside
    distance: Floats  # m, then; NaN of an area
    latitude: Floats  # then
    longitude: Floats

    def __len__(self) -> int:
        return len(self.driver)

    def take(self, index: Ints | Bools) -> "Passes":
        """Some of them."""
        return Passes(*(getattr(self, name)[index] for name in Passes.__slots__))


def passes(legs: Legs, shape: Circle | Area, start: float, end: float) -> Passes:
    """The visits of `shape` in [start, end) by drivers on these legs, whatever their order.

    A visit goes on where a leg begins inside at the time and place at which one of the same driver ended.
    """
    legs, gap = _clipped(legs, start, end)
    index = FenceIndex()
    index.put({0: shape})
    every = np.arange(len(legs.t0))
    cuts = index.cut(
        legs.latitude0, legs.longitude0, legs.latitude1, legs.longitude1, every, np.zeros(len(every), np.int64)
    )
    began = np.flatnonzero(cuts.inside ^ (np.bincount(cuts.pair, minlength=len(every)) % 2 == 1))
    ended = np.flatnonzero(cuts.inside)
    leg = np.concatenate([began, cuts.pair, ended])
    fraction = np.concatenate([np.zeros(len(began)), cuts.fraction, np.ones(len(ended))])
    seen = np.concatenate(
        [np.zeros(len(began), np.bool_), np.ones(len(cuts.pair), np.bool_), np.zeros(len(ended), np.bool_)]
    )
    rank = np.repeat([0, 1, 2], [len(began), len(cuts.pair), len(ended)])
    order = np.lexsort((fraction, rank, leg))  # in and out take turns
    leg, fraction, seen = leg[order[::2]], fraction[order].reshape(-1, 2).T, seen[order].reshape(-1, 2).T
    inside = legs.take(leg)
    entered_at, left_at = inside.at(fraction[0])[0], inside.at(fraction[1])[0]
    closest_at, away, latitude, longitude = _closest(inside, fraction, shape)
    place = closest_at, away, latitude, longitude
    found = Passes(inside.driver, entered_at, left_at, seen[0], seen[1], gap[leg], *place)
    return merged([found.take(entered_at < end)])


def merged(parts: Sequence[Passes], joins: Ints | None = None) -> Passes:
    """One visit of those of a driver that touch or overlap, and of those in `joins` and the ones before them.

    `joins` are places in the result without it.
    """
    column = [np.concatenate([getattr(part, name) for part in parts]) for name in Passes.__slots__]
    order = np.lexsort((column[2], column[1], column[0]))
    driver, entered_at, left_at, entered, left, gap, closest_at, away, latitude, longitude = (c[order] for c in column)
    join = np.zeros(len(order), np.bool_)
    if joins is not None:
        join[joins] = True
    first, last, closest, until = _visits(driver, entered_at, left_at, np.where(np.isnan(away), 0.0, away), join)
    silent = np.where(join, entered_at - np.append(0.0, until[:-1]), 0.0)
    longest = np.maximum.reduceat(np.maximum(gap, silent), first) if len(first) else gap
    return Passes(
        driver[first],
        entered_at[first],
        left_at[last],
        entered[first],
        left[last],
        longest,
        closest_at[closest],
        away[closest],
        latitude[closest],
        longitude[closest],
    )


@compiled
def _visits(
    driver: Ints, entered_at: Floats, left_at: Floats, away: Floats, join: Bools
) -> tuple[Ints, Ints, Ints, Floats]:
    """Of each visit the first interval, the one that ends last and the closest one; (n,) how far it had got by then."""
    first, last, closest = (
        np.empty(len(driver), np.int64),
        np.empty(len(driver), np.int64),
        np.empty(len(driver), np.int64),
    )
    until = np.empty(len(driver))
    v = -1
    for i in range(len(driver)):
        goes_on = i > 0 and driver[i] == driver[i - 1] and (join[i] or entered_at[i] <= left_at[last[v]] + _SAME_S)
        if not goes_on:
            v += 1
            first[v], last[v], closest[v] = i, i, i
        if left_at[i] >= left_at[last[v]]:
            last[v] = i
        if away[i] < away[closest[v]]:
            closest[v] = i
        until[i] = left_at[last[v]]
    return first[: v + 1].copy(), last[: v + 1].copy(), closest[: v + 1].copy(), until


def _clipped(legs: Legs, start: float, end: float) -> tuple[Legs, Floats]:
    """What of the legs lies in [start, end), and how long each was as a whole."""
    legs = legs.take((legs.t0 < end) & (legs.t1 >= start))
    gap = legs.t1 - legs.t0
    if not ((legs.t0 < start) | (legs.t1 > end)).any():
        return legs, gap
    length = np.where(gap > 0.0, gap, 1.0)
    begin = legs.at(np.clip((start - legs.t0) / length, 0.0, 1.0))
    finish = legs.at(np.where(legs.t1 > end, (end - legs.t0) / length, 1.0))
    clipped = Legs(legs.driver, np.maximum(legs.t0, start), *begin[1:], np.minimum(legs.t1, end), *finish[1:])
    return clipped, gap


def _closest(legs: Legs, fraction: Floats, shape: Circle | Area) -> tuple[Floats, Floats, Floats, Floats]:
    """When and where each leg, between two shares (2, k) of it, is closest to the centre; the distance second."""
    if isinstance(shape, Area):
        t, latitude, longitude = legs.at(fraction[0])
        return t, np.full(len(t), np.nan), latitude, longitude
    centre = _straight(np.array([shape.latitude]), np.array([shape.longitude]))
    begin, finish = _straight(legs.latitude0, legs.longitude0), _straight(legs.latitude1, legs.longitude1)
    way = finish - begin
    square = (way * way).sum(axis=0)
    share = ((centre - begin) * way).sum(axis=0) / np.where(square > 0.0, square, 1.0)
    t, latitude, longitude = legs.at(np.clip(share, *fraction))
    return t, distance(latitude, longitude, shape.latitude, shape.longitude), latitude, longitude


def _straight(latitude: Floats, longitude: Floats) -> Floats:
    """(3, k) points of the unit sphere of normals."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
