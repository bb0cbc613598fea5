"""Areas on earth by integer key: which legs cut which boundary and where, and how far inside or outside a point is.

Right anywhere: circles by straight distances between points of the ellipsoid, polygons on the cylinder of longitude
and latitude as GeoJSON means them, their distances by the metres of a degree where the point is. A leg is cut into
pieces so short that it is straight in both. Nothing here is a numpy operation per call: compiled code over flat arrays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geo.arena import Arena
from geo.compiled import compiled
from geo.cuts import AREA, CUT, EDGE, Shapes, boundary_distance, cut_leg, inside
from geo.globe import MOST_PIECES, POINT, Rows, chord, put_point, split
from geo.grid import Cells, Grid
from geo.polygons import InvalidShape, Outline, banded, outline

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LARGEST_RADIUS_M = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Circle:
    """All points within `radius` metres of a centre."""

    latitude: float
    longitude: float
    radius: float


@dataclass(frozen=True, slots=True)
class Area:
    """Polygons with holes, as GeoJSON's MultiPolygon coordinates: polygons of rings of (longitude, latitude)."""

    polygons: Sequence[Sequence[Sequence[Sequence[float]]]]


@dataclass(frozen=True, slots=True)
class Cuts:
    """Crossings of boundaries, sorted by pair, then fraction of the leg; columns (c,)."""

    pair: Ints
    fraction: Floats
    inward: Bools
    inside: Bools
    """(p,) whether each pair's leg ends inside its area."""


class FenceIndex:
    """Circles and polygons by key; keys are small integers that the caller gives out and may use again."""

    def __init__(self) -> None:
        self._grid = Grid()
        self.changes = 0
        """How often an area was put or dropped."""
        self._areas = np.zeros(64, AREA)
        self._edges = Arena(EDGE)
        self._starts = Arena(np.int64)
        self._most_edges = 0
        self._blocks: dict[int, tuple[tuple[int, int], tuple[int, int]]] = {}  # of edges and starts, by key
        self.shapes = self._arrays()

    @property
    def cells(self) -> Cells:
        """Where the areas are, for compiled code."""
        return self._grid.cells

    def put(self, shapes: Mapping[int, Circle | Area]) -> None:
        """Add or replace areas by key. Raises InvalidShape, a ValueError, with a sentence that says what is wrong."""
        circles = {key: shape for key, shape in shapes.items() if isinstance(shape, Circle)}
        for circle in circles.values():
            _check_circle(circle)
        lines = {key: outline(shape.polygons) for key, shape in shapes.items() if isinstance(shape, Area)}
        self.drop(shapes)
        most = max(shapes, default=-1)
        if most >= len(self._areas):
            self._areas = np.concatenate([self._areas, np.zeros(max(most + 1, len(self._areas)), AREA)])
        keys, boxes = np.array([*circles, *lines], np.int64), np.empty((len(shapes), 4))
        measures = np.array([(c.latitude, c.longitude, c.radius) for c in circles.values()]).reshape(-1, 3)
        _put_circles(keys[: len(circles)], measures, self._areas, boxes)
        for row, (key, line) in enumerate(lines.items(), len(circles)):
            self._put_outline(key, line)
            boxes[row] = line.latitude, line.longitude, line.half_height, line.half_width
        self._grid.put(keys, boxes)
        self.shapes = self._arrays()

    def drop(self, keys: Iterable[int]) -> None:
        """Remove areas."""
        self.changes += 1
        keys = list(keys)
        self._grid.drop(np.array(keys, np.int64))
        for key in keys:
            if key in self._blocks:
                edge, start = self._blocks.pop(key)
                self._edges.give(*edge)
                self._starts.give(*start)

    def containing(self, latitude: float, longitude: float) -> list[int]:
        """Keys of the areas that a place is in, in order."""
        keys = np.array(self._grid.query(latitude, longitude, 0.0, 0.0), np.int64)
        n = len(keys)
        away = self.signed_distance(np.full(n, latitude), np.full(n, longitude), keys)
        return [int(key) for key in keys[away <= 0.0]]

    def cut(self, lat0: Floats, lon0: Floats, lat1: Floats, lon1: Floats, leg: Ints, key: Ints) -> Cuts:
        """Where the legs cut the boundaries of the areas they are paired with; legs are columns (n,), pairs (p,)."""
        pair, fraction, inward, inside = _cut_pairs(self.shapes, lat0, lon0, lat1, lon1, leg, key)
        return Cuts(pair, fraction, inward, inside)

    def signed_distance(self, latitude: Floats, longitude: Floats, key: Ints) -> Floats:
        """Metres from each point (n,) to the boundary of its area, negative inside."""
        return _distances(self.shapes, latitude, longitude, key)

    def _put_outline(self, key: int, line: Outline) -> None:
        edges, starts, width = banded(line.edges, line.half_width)
        self._most_edges = max(self._most_edges, len(edges))
        edge, start = self._edges.take(len(edges)), self._starts.take(len(starts))
        self._blocks[key] = edge, start
        self._edges.rows.view(np.float64).reshape(-1, 4)[edge[0] : edge[0] + len(edges)] = edges
        self._starts.rows[start[0] : start[0] + len(starts)] = starts
        place = line.latitude, line.longitude, 0.0, 0.0, 0.0
        self._areas[key] = *place, np.nan, 0.0, width, edge[0], start[0], len(starts) - 1, line.north

    def _arrays(self) -> Shapes:
        return Shapes(self._areas, self._edges.rows, self._starts.rows, 2 * MOST_PIECES + 2 * self._most_edges)


def check(shape: Circle | Area) -> None:
    """Raises InvalidShape with a sentence that says what is wrong with the shape."""
    if isinstance(shape, Circle):
        _check_circle(shape)
    else:
        outline(shape.polygons)


def _check_circle(circle: Circle) -> None:
    if not (abs(circle.latitude) <= 90 and abs(circle.longitude) <= 180):
        raise InvalidShape(
            "out_of_range", "The centre must be a latitude from -90 to 90 and a longitude from -180 to 180."
        )
    if not 0 < circle.radius <= LARGEST_RADIUS_M:
        raise InvalidShape("out_of_range", "The radius must be more than 0 and at most 1,000,000 metres.")


# Columns


@compiled
def _put_circles(keys: Ints, circles: Floats, areas: Rows, boxes: Floats) -> None:
    """Fill in the areas of `keys` (n,), and the boxes (n, 4) around them: circles (n, 3) by centre and radius."""
    points = np.empty(1, POINT)
    for i in range(len(keys)):
        latitude, longitude, radius = circles[i]
        point, area = points[0], areas[keys[i]]
        put_point(point, latitude, longitude)
        area["latitude"], area["longitude"] = latitude, longitude
        area["x"], area["y"], area["z"] = point["x"], point["y"], point["z"]
        area["radius"], area["chord2"], area["width"] = radius, chord(radius) ** 2, 0.0
        area["edges"], area["starts"], area["bands"], area["north"] = 0, 0, 0, False
        height = 1.01 * radius / point["north"]
        nearest = min(abs(latitude) + height, 90.0)
        put_point(point, nearest, longitude)
        width = 180.0 if nearest >= 90.0 else min(1.01 * radius / max(point["east"], 1e-9), 180.0)
        boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = latitude, longitude, height, width


@compiled
def _distances(shapes: Shapes, latitude: Floats, longitude: Floats, key: Ints) -> Floats:
    result, points = np.empty(len(key)), np.empty(1, POINT)
    for i in range(len(key)):
        put_point(points[0], latitude[i], longitude[i])
        area = shapes.areas[key[i]]
        away = boundary_distance(shapes, area, points[0], np.inf)
        result[i] = -away if inside(shapes, area, points[0]) else away
    return result


@compiled
def _cut_pairs(
    shapes: Shapes, lat0: Floats, lon0: Floats, lat1: Floats, lon1: Floats, leg: Ints, key: Ints
) -> tuple[Ints, Floats, Bools, Bools]:
    pairs, fractions = np.empty(len(leg) + 8, np.int64), np.empty(len(leg) + 8)
    inward, ends = np.empty(len(leg) + 8, np.bool_), np.empty(len(leg), np.bool_)
    points, found = np.empty(MOST_PIECES + 1, POINT), np.empty(shapes.most_cuts, CUT)
    total = 0
    for i in range(len(leg)):
        at = leg[i]
        put_point(points[0], lat0[at], lon0[at])
        put_point(points[1], lat1[at], lon1[at])
        pieces = split(points)
        count, within, ends[i] = cut_leg(shapes, shapes.areas[key[i]], points, pieces, found)
        if total + count > len(pairs):
            more = total + count
            pairs = np.concatenate((pairs, np.empty(more, np.int64)))
            fractions = np.concatenate((fractions, np.empty(more)))
            inward = np.concatenate((inward, np.empty(more, np.bool_)))
        for j in range(count):
            within = not within
            pairs[total], fractions[total], inward[total] = i, found[j]["fraction"], within
            total += 1
    return pairs[:total], fractions[:total], inward[:total], ends
