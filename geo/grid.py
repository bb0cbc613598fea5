"""Boxes in a hierarchical grid over the globe: which boxes does a leg touch. No geometry object per leg.

A box lies on the level whose cells are about its size, so it covers few of them, and a leg looks into few cells of
each level.
"""

import numpy as np
from numpy.typing import NDArray

from geo.earth import wrap_degrees

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FINEST = 16
"""2**16 cells around the equator: 0.0055 degrees, 610 m."""
STEP = 2
"""Each level's cells are 2**2 times as wide as the next finer one's."""
MOST_CELLS = 64
"""A leg over more cells of a level than this is compared with all its boxes instead."""


class Grid:
    """Boxes by integer key; changes are cheap, and the next query sorts what changed."""

    def __init__(self) -> None:
        self._boxes: dict[int, tuple[float, float, float, float]] = {}
        self._levels: list[_Level] | None = None

    def put(self, key: int, latitude: float, longitude: float, half_height: float, half_width: float) -> None:
        """Add or replace a box around a centre; degrees."""
        self._boxes[key] = latitude, longitude, half_height, half_width
        self._levels = None

    def drop(self, key: int) -> None:
        """Remove a box."""
        self._boxes.pop(key, None)
        self._levels = None

    def query(self, lat0: Floats, lon0: Floats, lat1: Floats, lon1: Floats) -> tuple[Ints, Ints]:
        """Pairs (leg, key) of legs (n,) and the boxes that theirs touch; each once, sorted by leg, then key."""
        if self._levels is None:
            self._levels = _levels(self._boxes)
        half = wrap_degrees(lon1 - lon0) / 2
        legs = np.stack([(lat0 + lat1) / 2, lon0 + half, np.abs(lat1 - lat0) / 2, np.abs(half)])
        found = [level.query(legs) for level in self._levels]
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        leg, key = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.lexsort((key, leg))
        return leg[order], key[order]


def _levels(boxes: dict[int, tuple[float, float, float, float]]) -> "list[_Level]":
    keys = np.fromiter(boxes, np.int64, len(boxes))
    columns = np.array(list(boxes.values()), np.float64).reshape(-1, 4).T
    size = np.maximum(2 * columns[2:].max(axis=0, initial=0.0), 1e-9)
    bits = np.floor(np.log2(360.0 / size))
    bits = np.clip(bits - (bits - FINEST) % STEP, 0, FINEST).astype(np.int64)
    return [_Level(int(b), keys[bits == b], columns[:, bits == b]) for b in np.unique(bits)]


class _Level:
    """Boxes of about one size, sorted by the cells they cover."""

    def __init__(self, bits: int, keys: Ints, boxes: Floats) -> None:
        self._bits = bits
        self._keys = keys
        self._boxes = boxes
        box, cell = _cover(boxes, bits, np.arange(len(keys)))
        order = np.argsort(cell, kind="stable")
        self._cell, self._box = cell[order], box[order]

    def query(self, legs: Floats) -> tuple[Ints, Ints]:
        """Pairs (leg, key) whose boxes touch; each once."""
        x0, x1, y0, y1 = _cells(legs, self._bits)
        many = (x1 - x0 + 1) * (y1 - y0 + 1) > MOST_CELLS
        leg, cell = _cover(legs, self._bits, np.flatnonzero(~many))
        first = np.searchsorted(self._cell, cell, "left")
        count = np.searchsorted(self._cell, cell, "right") - first
        hit = count > 0
        leg, first, count = leg[hit], first[hit], count[hit]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        leg, box = np.repeat(leg, count), self._box[np.repeat(first, count) + within]
        far = np.flatnonzero(many)
        if len(far):
            leg = np.concatenate([leg, np.repeat(far, len(self._keys))])
            box = np.concatenate([box, np.tile(np.arange(len(self._keys)), len(far))])
        gap = legs[:2, leg] - self._boxes[:2, box]
        gap[1] = wrap_degrees(gap[1])
        touch = (np.abs(gap) <= legs[2:, leg] + self._boxes[2:, box]).all(axis=0)
        pair = np.unique(leg[touch] * len(self._keys) + box[touch])  # once, though found in several cells
        return pair // max(len(self._keys), 1), self._keys[pair % max(len(self._keys), 1)]


def _cells(boxes: Floats, bits: int) -> tuple[Ints, Ints, Ints, Ints]:
    """First and last column and row of the cells under boxes (4, n); columns may run past the last one."""
    per_degree = 2**bits / 360.0
    latitude, longitude, half_height, half_width = boxes
    edges = (longitude - half_width, longitude + half_width, latitude - half_height, latitude + half_height)
    x0, x1, y0, y1 = (np.floor((edge + 180.0) * per_degree).astype(np.int64) for edge in edges)
    return x0, np.minimum(x1, x0 + 2**bits - 1), y0, y1


def _cover(boxes: Floats, bits: int, index: Ints) -> tuple[Ints, Ints]:
    """Each of the boxes `index` with each cell it covers: index (c,), cell number (c,)."""
    x0, x1, y0, y1 = (edge[index] for edge in _cells(boxes, bits))
    width = x1 - x0 + 1
    count = width * (y1 - y0 + 1)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    repeat = np.repeat(np.arange(len(index)), count)
    column = (x0[repeat] + within % width[repeat]) % 2**bits
    row = y0[repeat] + within // width[repeat]
    return index[repeat], row * 2**bits + column
