"""Drivers inside geofences, in arrays for compiled code: each driver's visits are a list, linked through one pool."""

import numpy as np

from geo.compiled import compiled, helper
from geo.globe import Rows
from tracker.records import Ints

VISIT = np.dtype(
    [
        ("entered_at", np.float64),
        ("entered_sigma", np.float64),  # uncertainty of that, s
        ("left_at", np.float64),  # the last crossing outwards of one not yet outside by the margin; NaN inside
        ("left_sigma", np.float64),
        ("dwell_at", np.float64),  # when the dwell is due; infinite once told
        ("depth", np.float64),  # the surest position inside was so deep, m
        ("sigmas", np.float64),  # and so many of its sigmas
        ("key", np.int32),  # of the geofence; -1: it is gone
        ("next", np.int32),  # visit of the driver, or free one; -1: none
        ("crossed", np.bool_),  # False: found inside, at a first position or when a fence was put around the driver
        ("told", np.bool_),  # whether the enter is
    ],
    align=True,
)
DRIVER = np.dtype(
    [
        ("x", np.float64),
        ("y", np.float64),
        ("z", np.float64),
        ("safe2", np.float64),  # within the root of this of x, y, z no boundary can be touched; negative: not known
        ("due", np.float64),  # when something happens even so
        ("pace", np.float64),  # mean speed over the last leg, m/s; NaN: not known
        ("until", np.float64),  # when that ended
        ("first", np.int32),  # visit; -1: none
    ],
    align=True,
)
CHANGE = np.dtype(
    [
        ("occurred_at", np.float64),
        ("detected_at", np.float64),
        ("entered_at", np.float64),  # of the visit
        ("occurred_sigma", np.float64),  # uncertainty of occurred_at where a boundary was crossed, else NaN; s
        ("sigma", np.float64),  # of the position that revealed it, m
        ("distance", np.float64),  # of that from the boundary, m, negative inside
        ("depth", np.float64),  # how far on the side that it tells of, m
        ("confidence", np.float64),
        ("driver", np.int64),
        ("key", np.int64),
        ("kind", np.int8),
        ("crossed", np.bool_),  # False: found inside
    ],
    align=True,
)
FREE, LEFT, TURN = range(3)
"""In `counters`: the first free visit, and how many there are; how many legs were looked at."""


class Visits:
    """Who is inside what."""

    def __init__(self) -> None:
        self.counters: Ints = np.array([-1, 0, 0])
        self.pool: Rows = grown(np.zeros(0, VISIT), self.counters, 256)
        self.drivers: Rows = np.zeros(0, DRIVER)
        self.seen: Ints = np.zeros(0, np.int64)
        """By key: the turn in which a leg was last compared with it."""

    def reserve(self, drivers: int, keys: int) -> None:
        """Make room for so many drivers and keys."""
        if drivers > len(self.drivers):
            more = np.zeros(max(drivers, 2 * len(self.drivers), 256) - len(self.drivers), DRIVER)
            more["first"], more["safe2"], more["pace"] = -1, -1.0, np.nan
            self.drivers = np.concatenate([self.drivers, more])
        if keys > len(self.seen):
            self.seen = np.concatenate([self.seen, np.zeros(max(keys, len(self.seen)), np.int64)])

    def of(self, driver: int) -> list[int]:
        """Places in the pool of a driver's visits."""
        found = []
        place = int(self.drivers["first"][driver]) if driver < len(self.drivers) else -1
        while place >= 0:
            if self.pool["key"][place] >= 0:
                found.append(place)
            place = int(self.pool["next"][place])
        return found

    def put(self, driver: int, key: int, entered_at: float, dwell_at: float) -> None:
        """A visit that has been told of, replacing what there was of it."""
        self.reserve(driver + 1, key + 1)
        for place in self.of(driver):
            if self.pool["key"][place] == key:
                self.pool["key"][place] = -1
        if not self.counters[LEFT]:
            self.pool = grown(self.pool, self.counters, 1)
        add(self.pool, self.drivers, self.counters, driver)
        visit = self.pool[self.drivers["first"][driver]]
        visit["key"], visit["entered_at"], visit["dwell_at"] = key, entered_at, dwell_at
        visit["left_at"], visit["told"], visit["crossed"] = np.nan, True, True
        self.drivers["safe2"][driver] = -1.0

    def forget(self, key: int) -> None:
        """Nobody is inside this any more."""
        self.pool["key"][self.pool["key"] == key] = -1


@compiled
def grown(pool: Rows, counters: Ints, extra: int) -> Rows:
    """The pool with at least so many more free visits."""
    n = len(pool)
    larger = np.empty(n + max(n, extra), VISIT)
    larger[:n] = pool
    for place in range(n, len(larger)):
        larger[place]["key"], larger[place]["next"] = -1, counters[FREE]
        counters[FREE] = place
    counters[LEFT] += len(larger) - n
    return larger


@helper
def add(pool: Rows, drivers: Rows, counters: Ints, driver: int) -> int:
    """Make a free visit the driver's first; its place."""
    place = counters[FREE]
    counters[FREE] = pool[place]["next"]
    counters[LEFT] -= 1
    pool[place]["next"] = drivers[driver]["first"]
    drivers[driver]["first"] = place
    return int(place)


@helper
def remove(pool: Rows, drivers: Rows, counters: Ints, driver: int, place: int, before: int) -> None:
    """Free a driver's visit, which comes after `before` in his list; -1: it is his first."""
    if before < 0:
        drivers[driver]["first"] = pool[place]["next"]
    else:
        pool[before]["next"] = pool[place]["next"]
    pool[place]["key"], pool[place]["next"] = -1, counters[FREE]
    counters[FREE] = place
    counters[LEFT] += 1
