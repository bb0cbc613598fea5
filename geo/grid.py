"""Boxes in a hierarchical grid over the globe: which boxes does a leg touch. No geometry object per leg.

A box lies on the level whose cells are about its size, so it covers few of them, and a leg looks into few cells of
each level. Cells are hashed into buckets; what shares one by chance fails when the boxes are compared.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from geo.earth import wrap_degrees

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Box = tuple[float, float, float, float]

FINEST = 16
"""2**16 cells around the equator: 0.0055 degrees, 610 m."""
STEP = 2
"""Each level's cells are 2**2 times as wide as the next finer one's."""
AT_ONCE = 1_000_000
"""So many cells are looked into in one go, to bound memory."""
_STRIDE = 40_503
"""Buckets between a cell and the one north of it."""
_KEYS = 2**32


class Grid:
    """Boxes by integer key. What changed since the last build lies in a small grid of its own until it has grown."""

    def __init__(self) -> None:
        self._boxes: dict[int, Box] = {}
        self._built: list[_Level] = []
        self._changed: dict[int, Box | None] = {}  # since `_built`; None: dropped
        self._recent: list[_Level] | None = []  # of what changed; None: build it again

    def put(self, key: int, latitude: float, longitude: float, half_height: float, half_width: float) -> None:
        """Add or replace a box around a centre; degrees."""
        self._boxes[key] = self._changed[key] = latitude, longitude, half_height, half_width
        self._recent = None

    def drop(self, key: int) -> None:
        """Remove a box."""
        self._boxes.pop(key, None)
        self._changed[key] = None
        self._recent = None

    def query(
        self,
        lat0: Floats,
        lon0: Floats,
        lat1: Floats,
        lon1: Floats,
        reach_lat: Floats | float = 0.0,
        reach_lon: Floats | float = 0.0,
    ) -> tuple[Ints, Ints]:
        """Pairs (leg, key) of legs (n,) and the boxes within their reach (n,); each once, sorted by leg, then key."""
        self._build()
        half = wrap_degrees(lon1 - lon0) / 2
        height, width = np.abs(lat1 - lat0) / 2 + reach_lat, np.abs(half) + reach_lon
        legs = np.stack([(lat0 + lat1) / 2, lon0 + half, height, width])
        found = [pair for level in self._built for pair in level.query(legs)]
        if self._changed and found:
            pair = np.concatenate(found)
            found = [pair[~np.isin(pair % _KEYS, list(self._changed))]]
        found += [pair for level in self._recent or () for pair in level.query(legs)]
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        pair = np.unique(np.concatenate(found))  # once, though found in several cells
        return pair // _KEYS, pair % _KEYS

    def _build(self) -> None:
        if self._recent is not None:
            return
        if len(self._changed) > 64 + 4 * len(self._boxes) ** 0.5:
            self._built, self._recent = _levels(self._boxes), []
            self._changed.clear()
        else:
            self._recent = _levels({key: box for key, box in self._changed.items() if box is not None})


def _levels(boxes: Mapping[int, Box]) -> "list[_Level]":
    keys = np.fromiter(boxes, np.int64, len(boxes))
    columns = np.array(list(boxes.values()), np.float64).reshape(-1, 4).T
    size = np.maximum(2 * columns[2:].max(axis=0, initial=0.0), 1e-9)
    bits = np.floor(np.log2(2 * 360.0 / size))
    bits = np.clip(bits - (bits - FINEST) % STEP, 0, FINEST).astype(np.int64)
    return [_Level(int(b), keys[bits == b], columns[:, bits == b]) for b in np.unique(bits)]


class _Level:
    """Boxes of about one size, sorted by the buckets of the cells they cover."""

    def __init__(self, bits: int, keys: Ints, boxes: Floats) -> None:
        self._bits = bits
        self._keys = keys
        self._boxes = boxes.T.copy()
        box, column, row = _cover(*_cells(boxes, bits))
        self._mask = (1 << (2 * len(box)).bit_length()) - 1
        bucket = self._bucket(column, row)
        self._box = box[np.argsort(bucket, kind="stable")]
        self._start = np.concatenate([[0], np.cumsum(np.bincount(bucket, minlength=self._mask + 1))])

    def _bucket(self, column: Ints, row: Ints) -> Ints:
        return np.asarray((column % 2**self._bits + row * _STRIDE) & self._mask)

    def query(self, legs: Floats) -> Iterator[Ints]:
        """Pairs of leg and key whose boxes touch, as leg * _KEYS + key; some more than once."""
        x0, x1, y0, y1 = cells = _cells(legs, self._bits)
        count = (x1 - x0 + 1) * (y1 - y0 + 1)
        every = np.arange(len(self._keys))
        long = count > len(every)  # cheaper to compare with every box
        for part in _parts(np.flatnonzero(long), np.full(len(count), len(every))):
            yield self._touching(legs, np.repeat(part, len(every)), np.tile(every, len(part)))
        for part in _parts(np.flatnonzero(~long), count):
            leg, column, row = _cover(*(edge[part] for edge in cells))
            bucket = self._bucket(column, row)
            leg, first, boxes = part[leg], self._start[bucket], self._start[bucket + 1] - self._start[bucket]
            start = np.repeat(first - np.cumsum(boxes) + boxes, boxes)
            yield self._touching(legs, np.repeat(leg, boxes), self._box[start + np.arange(len(start))])

    def _touching(self, legs: Floats, leg: Ints, box: Ints) -> Ints:
        boxes = self._boxes
        high = np.abs(legs[0, leg] - boxes[box, 0]) <= legs[2, leg] + boxes[box, 2]
        leg, box = leg[high], box[high]
        wide = np.abs(wrap_degrees(legs[1, leg] - boxes[box, 1])) <= legs[3, leg] + boxes[box, 3]
        return np.asarray(leg[wide] * _KEYS + self._keys[box[wide]])


def _parts(index: Ints, count: Ints) -> list[Ints]:
    """Split an index so that no part has many more cells than AT_ONCE."""
    bounds = np.flatnonzero(np.diff(np.cumsum(count[index]) // AT_ONCE)) + 1
    return np.split(index, bounds) if len(index) else []


def _cells(boxes: Floats, bits: int) -> tuple[Ints, Ints, Ints, Ints]:
    """First and last column and row of the cells under boxes (4, n); columns may run past the last one."""
    per_degree = 2**bits / 360.0
    latitude, longitude, half_height, half_width = boxes
    edges = (longitude - half_width, longitude + half_width, latitude - half_height, latitude + half_height)
    x0, x1, y0, y1 = (np.floor((edge + 180.0) * per_degree).astype(np.int64) for edge in edges)
    return x0, np.asarray(np.minimum(x1, x0 + 2**bits - 1)), y0, y1


def _cover(x0: Ints, x1: Ints, y0: Ints, y1: Ints) -> tuple[Ints, Ints, Ints]:
    """Each cell under boxes (n,): index of the box, column and row (c,)."""
    width = x1 - x0 + 1
    count = width * (y1 - y0 + 1)
    box = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(box)) - (np.cumsum(count) - count)[box]
    return box, x0[box] + within % width[box], y0[box] + within // width[box]
