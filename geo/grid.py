"""Boxes in a hierarchical grid over the globe, in flat arrays for compiled code: which boxes does a leg touch?

Each level is rows of latitude, each row as many columns as keep its cells about square, so a pole is a cell like
others. A box lies on the finest level where it covers few cells. Cells are hashed into buckets; what shares one by
chance fails when the boxes are compared. A change touches the buckets of one box.
"""

from math import floor, isnan, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled, helper
from geo.globe import Row, Rows, apart

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


_SMALLEST, _SIZES, _USED = 2, 31, 0
"""Buckets have blocks of 2**_SMALLEST boxes and more. `blocks` tells how many boxes are in blocks so far, and of each
size where a free one starts, -1 for none; the key of its first box is where the next one does."""


class Cells(NamedTuple):
    """The arrays of a grid."""

    columns: NDArray[np.int32]  # how many in each row, of all levels
    first_row: Ints  # (LEVELS,) where a level's begin in `columns`
    in_use: Ints  # (LEVELS,) how many boxes there are
    buckets: Rows  # (BUCKETS,) of BUCKET
    boxes: Rows  # (n,) of BOX
    found: Ints  # room for the keys of all of them, three times


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
    """Boxes by small integer key. A box costs the time of a few cells, one at a time or many at once."""

    def __init__(self) -> None:
        self._in_use = np.zeros(LEVELS, np.int64)
        self._buckets = np.zeros(BUCKETS, BUCKET)
        self._boxes = np.zeros(64, BOX)
        self._blocks = np.full(1 + _SIZES, -1, np.int64)
        self._blocks[_USED] = 0
        self._found = np.empty(0, np.int64)
        self._of_key = np.full((64, 4), np.nan)
        self.cells = self._arrays()

    def put(self, keys: Ints, boxes: Floats) -> None:
        """Add or replace boxes (n, 4): latitude and longitude of the centre, half height, half width; degrees."""
        self.drop(keys)
        most = int(keys.max(initial=-1))
        if most >= len(self._of_key):
            more = max(most + 1 - len(self._of_key), len(self._of_key))
            self._of_key = np.concatenate([self._of_key, np.full((more, 4), np.nan)])
        self._of_key[keys] = boxes
        done = np.zeros(2, np.int64)  # boxes, and buckets of the next one
        while not _insert(
            _COLUMNS, _FIRST_ROW, self._in_use, self._buckets, self._boxes, self._blocks, keys, boxes, done
        ):
            self._boxes = np.concatenate([self._boxes, np.zeros_like(self._boxes)])
        self.cells = self._arrays()

    def drop(self, keys: Ints) -> None:
        """Remove boxes, those that are there."""
        _remove(
            _COLUMNS, _FIRST_ROW, self._in_use, self._buckets, self._boxes, keys[keys < len(self._of_key)], self._of_key
        )

    def query(self, latitude: float, longitude: float, half_height: float, half_width: float) -> list[int]:
        """Keys of the boxes that touch a box, in order; some that only nearly do."""
        count = touching(self.cells, 0, latitude, longitude, half_height, half_width)
        return sorted(set(self.cells.found[:count].tolist()))

    def _arrays(self) -> Cells:
        if len(self._found) < 3 * len(self._boxes):
            self._found = np.empty(3 * len(self._boxes), np.int64)
        return Cells(_COLUMNS, _FIRST_ROW, self._in_use, self._buckets, self._boxes, self._found)


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


@compiled
def _insert(
    columns: NDArray[np.int32],
    first_row: Ints,
    in_use: Ints,
    buckets: Rows,
    boxes: Rows,
    blocks: Ints,
    keys: Ints,
    added: Floats,
    done: Ints,
) -> bool:
    """Put boxes into their buckets, going on from `done`; False where there is no room for the next block."""
    for i in range(done[0], len(keys)):
        latitude, longitude, half_height, half_width = added[i]
        level, found = _place(columns, first_row, latitude, longitude, half_height, half_width)
        for k in range(done[1], len(found)):
            if _seen(found, k):
                continue
            bucket = buckets[found[k]]
            if bucket["count"] == bucket["room"] and not _more_room(bucket, boxes, blocks):
                done[0], done[1] = i, k
                return False
            box = boxes[bucket["start"] + bucket["count"]]
            box["latitude"], box["longitude"], box["key"] = latitude, longitude, keys[i]
            box["half_height"], box["half_width"] = half_height + _ROUNDING, half_width + _ROUNDING
            bucket["count"] += 1
        in_use[level] += 1
        done[1] = 0
    return True


@compiled
def _remove(
    columns: NDArray[np.int32],
    first_row: Ints,
    in_use: Ints,
    buckets: Rows,
    boxes: Rows,
    keys: Ints,
    of_key: Floats,
) -> None:
    """Take the boxes of these keys, (keys, 4) in `of_key`, NaN where there is none, from their buckets."""
    for key in keys:
        latitude, longitude, half_height, half_width = of_key[key]
        if isnan(latitude):
            continue
        of_key[key] = nan
        level, found = _place(columns, first_row, latitude, longitude, half_height, half_width)
        in_use[level] -= 1
        for k in range(len(found)):
            if _seen(found, k):
                continue
            bucket = buckets[found[k]]
            last = bucket["start"] + bucket["count"] - 1
            for at in range(bucket["start"], last):
                if boxes[at]["key"] == key:
                    boxes[at] = boxes[last]
                    break
            bucket["count"] -= 1


@helper
def _seen(found: Ints, k: int) -> bool:
    """Whether bucket k is one of those before it: cells that share one by chance."""
    seen = False
    for before in range(k):
        seen |= found[before] == found[k]
    return seen


@helper
def _more_room(bucket: Row, boxes: Rows, blocks: Ints) -> bool:
    """Move a bucket's boxes to a block of twice the size, and free theirs; False where there is no such block."""
    size, room = _SMALLEST, max(2 * bucket["room"], 1 << _SMALLEST)
    while 1 << size < room:
        size += 1
    to = blocks[1 + size]
    if to >= 0:
        blocks[1 + size] = boxes[to]["key"]
    elif blocks[_USED] + room <= len(boxes):
        to = blocks[_USED]
        blocks[_USED] += room
    else:
        return False
    for i in range(bucket["count"]):
        boxes[to + i] = boxes[bucket["start"] + i]
    if bucket["room"]:
        boxes[bucket["start"]]["key"] = blocks[size]  # of half the size
        blocks[size] = bucket["start"]
    bucket["start"], bucket["room"] = to, room
    return True


@helper
def touching(cells: Cells, count: int, latitude: float, longitude: float, half_height: float, half_width: float) -> int:
    """Put the keys of the boxes that touch a box into `found`, behind `count`, some more than once; how many then."""
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
