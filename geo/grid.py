"""Boxes in a hierarchical grid over the globe, in flat arrays for compiled code: which boxes does a leg touch?

Each level is rows of latitude, each row as many columns as keep its cells about square, so a pole is a cell like
others. A box lies on the finest level where it covers few cells. Cells are hashed into buckets; what shares one by
chance fails when the boxes are compared. A change touches the buckets of one box.
"""

from math import floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.arena import Arena
from geo.compiled import compiled, helper
from geo.globe import Rows, apart

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVELS = 8
FINEST_ROWS = 2**15
"""Cells of the finest level are 0.0055 degrees high, 610 m; a quarter as many rows on each next level."""
MOST_CELLS = 6
"""A box lies on the finest level where it covers no more than this."""
BUCKETS = 2**16
_ROUNDING = np.float32(4e-5)
"""Boxes are compared in single precision, so they are this much larger, degrees."""


BUCKET = np.dtype([("start", np.int32), ("count", np.int32), ("room", np.int32)])
"""Which of the boxes are in a cell."""
BOX = np.dtype(
    [(name, np.float32) for name in ("latitude", "longitude", "half_height", "half_width")] + [("key", np.int32)]
)
"""Centre and extent, degrees."""


class Cells(NamedTuple):
    """The arrays of a grid."""

    columns: NDArray[np.int32]  # how many in each row, of all levels
    first_row: Ints  # (LEVELS,) where a level's begin in `columns`
    in_use: Ints  # (LEVELS,) how many boxes there are
    buckets: Rows  # (BUCKETS,) of BUCKET
    boxes: Rows  # (n,) of BOX
    found: Ints  # room for the keys of all of them, twice


def _rows() -> tuple[NDArray[np.int32], Ints]:
    """Columns of each row, from the latitude of its edge nearer to the equator; where each level's rows begin."""
    levels = []
    for level in range(LEVELS):
        rows = FINEST_ROWS >> 2 * level
        edges = np.linspace(-90.0, 90.0, rows + 1)
        nearer = np.minimum(np.abs(edges[:-1]), np.abs(edges[1:]))
        levels.append(np.maximum(np.floor(2 * rows * np.cos(np.radians(nearer))), 1).astype(np.int32))
    return np.concatenate(levels), np.cumsum([0] + [len(level) for level in levels[:-1]])


_COLUMNS, _FIRST_ROW = _rows()


class Grid:
    """Boxes by small integer key."""

    def __init__(self) -> None:
        self._in_use = np.zeros(LEVELS, np.int64)
        self._buckets = np.zeros(BUCKETS, BUCKET)
        self._boxes = Arena(BOX)
        self._found = np.empty(0, np.int64)
        self._place: dict[int, tuple[int, list[int]]] = {}  # by key: level, buckets
        self.cells = self._arrays()

    def put(self, key: int, latitude: float, longitude: float, half_height: float, half_width: float) -> None:
        """Add or replace a box around a centre; degrees."""
        self.drop(key)
        level, found = _place(_COLUMNS, _FIRST_ROW, latitude, longitude, half_height, half_width)
        distinct = sorted(set(found.tolist()))
        box = latitude, longitude, half_height + _ROUNDING, half_width + _ROUNDING, key
        for bucket in distinct:
            start, count, room = self._buckets[bucket].item()
            if count == room:
                start, room = self._moved(start, count, room)
            self._boxes.rows[start + count] = box
            self._buckets[bucket] = start, count + 1, room
        self._in_use[level] += 1
        self._place[key] = level, distinct
        self.cells = self._arrays()

    def drop(self, key: int) -> None:
        """Remove a box, if it is there."""
        if key not in self._place:
            return
        level, buckets = self._place.pop(key)
        for bucket in buckets:
            start, count, room = self._buckets[bucket].item()
            boxes = self._boxes.rows[start : start + count]
            boxes[np.flatnonzero(boxes["key"] == key)[0]] = boxes[-1]
            self._buckets[bucket] = start, count - 1, room
        self._in_use[level] -= 1

    def query(self, latitude: float, longitude: float, half_height: float, half_width: float) -> list[int]:
        """Keys of the boxes that touch a box, in order; some that only nearly do."""
        count = touching(self.cells, latitude, longitude, half_height, half_width)
        return sorted(set(self.cells.found[:count].tolist()))

    def _moved(self, start: int, count: int, room: int) -> tuple[int, int]:
        """Where a bucket's boxes are after they moved to a block with more room, and how much."""
        to, size = self._boxes.take(max(2 * room, 4))
        self._boxes.rows[to : to + count] = self._boxes.rows[start : start + count]
        if room:
            self._boxes.give(start, room)
        return to, size

    def _arrays(self) -> Cells:
        if len(self._found) < 2 * len(self._boxes.rows):
            self._found = np.empty(2 * len(self._boxes.rows), np.int64)
        return Cells(_COLUMNS, _FIRST_ROW, self._in_use, self._buckets, self._boxes.rows, self._found)


@helper
def bucket_of(level: int, row: int, column: int) -> int:
    """The bucket of a cell (Fibonacci hashing, Knuth, The Art of Computer Programming 3, 6.4)."""
    mixed = np.uint64(column) + np.uint64(row) * np.uint64(0x9E3779B1) + np.uint64(level) * np.uint64(0x85EBCA77)
    return np.int64((mixed * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(48))  # type: ignore[return-value]


@helper
def rows_under(level: int, latitude: float, half_height: float) -> tuple[int, int]:
    """First and last row of a level under a box."""
    rows = FINEST_ROWS >> 2 * level
    low = floor((latitude - half_height + 90.0) / 180.0 * rows)
    high = floor((latitude + half_height + 90.0) / 180.0 * rows)
    return min(max(low, 0), rows - 1), min(max(high, 0), rows - 1)


@helper
def columns_under(columns: int, longitude: float, half_width: float) -> tuple[int, int]:
    """First and last column, of so many in a row, under a box; they may run past the end, where the row starts anew."""
    low = floor((longitude - half_width + 180.0) / 360.0 * columns)
    high = floor((longitude + half_width + 180.0) / 360.0 * columns)
    return low, min(high, low + columns - 1)


@compiled
def _place(
    columns: NDArray[np.int32],
    first_row: Ints,
    latitude: float,
    longitude: float,
    half_height: float,
    half_width: float,
) -> tuple[int, Ints]:
    """The level of a box, and the buckets of the cells it covers."""
    found = np.empty(4 * MOST_CELLS, np.int64)  # the coarsest level has 8 cells
    for level in range(LEVELS):
        low, high = rows_under(level, latitude, half_height)
        cells = 0
        for row in range(low, high + 1):
            n = columns[first_row[level] + row]
            west, east = columns_under(n, longitude, half_width)
            if cells + east - west + 1 > len(found):
                cells = len(found) + 1
                break
            for column in range(west, east + 1):
                found[cells] = bucket_of(level, row, column % n)
                cells += 1
        if cells <= MOST_CELLS:
            break
    return level, found[:cells]


@helper
def touching(cells: Cells, latitude: float, longitude: float, half_height: float, half_width: float) -> int:
    """Put the keys of the boxes that touch a box into `found`, some more than once. Returns how many."""
    count = 0
    for level in range(LEVELS):
        if cells.in_use[level] == 0:
            continue
        low, high = rows_under(level, latitude, half_height)
        for row in range(low, high + 1):
            n = cells.columns[cells.first_row[level] + row]
            west, east = columns_under(n, longitude, half_width)
            for column in range(west, east + 1):
                bucket = cells.buckets[bucket_of(level, row, column % n)]
                start, end = bucket["start"], bucket["start"] + bucket["count"]
                if count + end - start > len(cells.found):  # only where cells share a bucket, which was seen before
                    continue
                for i in range(start, end):
                    box = cells.boxes[i]
                    near = abs(latitude - box["latitude"]) <= half_height + box["half_height"]
                    near &= apart(longitude, box["longitude"]) <= half_width + box["half_width"]
                    cells.found[count] = box["key"]
                    count += near  # no branch: it could not be predicted
    return count
