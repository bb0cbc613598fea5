"""Areas on earth by integer key: which legs cut which boundary and where, and how far inside or outside a point is.

Right anywhere: circles by straight distances between points of the ellipsoid, polygons on the cylinder of longitude
and latitude as GeoJSON means them, their distances by the metres of a degree where the point is. A leg is cut into
pieces so short that it is straight in both. Nothing here is a numpy operation per call: compiled code over flat arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, floor, radians, sin, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.arena import Arena
from geo.compiled import compiled, helper
from geo.earth import metres_per_degree
from geo.globe import MOST_PIECES, POINT, Row, Rows, arc, chord, put_point, split, squared, wrap
from geo.grid import Cells, Grid
from geo.polygons import InvalidShape, banded, outline

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LARGEST_RADIUS_M = 1_000_000.0
_POLAR = 85.0
"""Nearer to a pole than this latitude, distances from edges are taken in a plane around the pole."""


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


AREA = np.dtype(
    [
        ("latitude", np.float64),
        ("longitude", np.float64),
        ("x", np.float64),
        ("y", np.float64),
        ("z", np.float64),
        ("radius", np.float64),  # NaN of a polygon
        ("chord2", np.float64),  # square of the straight distance of the circle from its centre
        ("width", np.float64),  # of a band, degrees
        ("edges", np.int32),  # where the polygon's begin
        ("starts", np.int32),  # where the starts of its bands do
        ("bands", np.int32),  # how many there are
        ("north", np.bool_),  # whether the North Pole is inside
    ],
    align=True,
)
EDGE = np.dtype([(name, np.float64) for name in ("x0", "y0", "x1", "y1")])
"""From, to: degrees east of the centre, latitude."""
CUT = np.dtype([("fraction", np.float64), ("rate", np.float64)])
"""Share of the leg; how fast the leg goes through the boundary there, m a leg."""


class Shapes(NamedTuple):
    """The arrays of an index."""

    areas: Rows  # (k,) of AREA, by key
    edges: Rows  # (e,) of EDGE; of each polygon by band
    starts: Ints  # (b,) where each band's edges begin after the polygon's, and where the last one's end
    most_cuts: int  # that one leg can have with one area


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

    def put(self, key: int, shape: Circle | Area) -> None:
        """Add or replace an area. Raises InvalidShape, a ValueError, with a sentence that says what is wrong."""
        if isinstance(shape, Circle):
            _check_circle(shape)
            self.drop(key)
            self._room(key)
            self._put_circle(key, shape)
        else:
            line = outline(shape.polygons)
            self.drop(key)
            self._room(key)
            edges, starts, width = banded(line.edges, line.half_width)
            self._most_edges = max(self._most_edges, len(edges))
            edge, start = self._edges.take(len(edges)), self._starts.take(len(starts))
            self._blocks[key] = edge, start
            self._edges.rows.view(np.float64).reshape(-1, 4)[edge[0] : edge[0] + len(edges)] = edges
            self._starts.rows[start[0] : start[0] + len(starts)] = starts
            place = line.latitude, line.longitude, 0.0, 0.0, 0.0
            self._areas[key] = *place, np.nan, 0.0, width, edge[0], start[0], len(starts) - 1, line.north
            self._grid.put(key, line.latitude, line.longitude, line.half_height, line.half_width)
        self.shapes = self._arrays()

    def drop(self, key: int) -> None:
        """Remove an area."""
        self.changes += 1
        self._grid.drop(key)
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

    def _room(self, key: int) -> None:
        if key >= len(self._areas):
            self._areas = np.concatenate([self._areas, np.zeros(max(key + 1, len(self._areas)), AREA)])

    def _put_circle(self, key: int, circle: Circle) -> None:
        point = np.zeros(1, POINT)
        put_point(point[0], circle.latitude, circle.longitude)
        self._areas[key] = *point[0].item()[:5], circle.radius, chord(circle.radius) ** 2, 0.0, 0, 0, 0, False
        north, _ = metres_per_degree(circle.latitude)
        height = 1.01 * circle.radius / north
        nearest = min(abs(circle.latitude) + height, 90.0)
        _, east = metres_per_degree(nearest)
        width = 180.0 if nearest >= 90.0 else min(1.01 * circle.radius / max(float(east), 1e-9), 180.0)
        self._grid.put(key, circle.latitude, circle.longitude, height, width)

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


# One area, and one POINT or leg


@helper
def inside(shapes: Shapes, area: Row, point: Row) -> bool:
    """Whether a point is in an area; its boundary is."""
    if area["bands"] == 0:
        return bool(squared(area, point) <= area["chord2"])
    edges, starts = shapes.edges, shapes.starts
    x, y, odd = wrap(point["longitude"] - area["longitude"]), point["latitude"], area["north"]
    band = _band(area, x)
    if 0 <= band < area["bands"]:
        at = area["starts"] + band
        for i in range(area["edges"] + starts[at], area["edges"] + starts[at + 1]):
            edge = edges[i]
            if (edge["x0"] > x) != (edge["x1"] > x):
                slope = (edge["y1"] - edge["y0"]) / (edge["x1"] - edge["x0"])
                if edge["y0"] + (x - edge["x0"]) * slope > y:
                    odd = not odd
    return bool(odd)


@helper
def boundary_distance(shapes: Shapes, area: Row, point: Row, limit: float) -> float:
    """Metres from a point to an area's boundary; where that is more than `limit`, some number that is no less."""
    if area["bands"] == 0:
        return float(abs(arc(sqrt(squared(area, point))) - area["radius"]))
    edges, starts = shapes.edges, shapes.starts
    x, best = wrap(point["longitude"] - area["longitude"]), np.inf
    bands, width = area["bands"], area["width"] * point["east"]
    middle = min(max(_band(area, x), 0), bands - 1)
    polar = abs(point["latitude"]) > _POLAR
    for off in range(max(bands - middle, middle + 1)):
        if off > 1 and (off - 1) * width > min(sqrt(best), limit) and not polar:
            break
        for band in (middle - off, middle + off):
            if 0 <= band < bands and (band >= middle or off > 0):
                at = area["starts"] + band
                for i in range(area["edges"] + starts[at], area["edges"] + starts[at + 1]):
                    best = min(best, _edge_square(edges[i], x, point, polar))
    return sqrt(best)


@helper
def cut_leg(shapes: Shapes, area: Row, points: Rows, pieces: int, found: Rows) -> tuple[int, bool, bool]:
    """Where a leg in `pieces`, as `geo.globe.split` makes them, crosses an area's boundary.

    Fills the CUTs of `found`, which has room for `most_cuts`, by fraction; inwards and outwards take turns. Returns how
    many there are, and whether the leg starts and ends inside.
    """
    inside0, inside1 = inside(shapes, area, points[0]), inside(shapes, area, points[pieces])
    count = 0
    for i in range(pieces):
        if area["bands"] == 0:
            count = _cut_circle(area, points[i], points[i + 1], i, pieces, found, count)
        else:
            count = _cut_polygon(shapes, area, points[i], points[i + 1], i, pieces, found, count)
    if count > 1:
        _sort(found, count)
    if (count % 2 == 1) != (inside0 != inside1):  # rounding, where a corner is touched: the leg's ends decide
        if count:
            count -= 1
        else:
            found[0]["fraction"], found[0]["rate"] = 1.0, 0.0
            count = 1
    return count, inside0, inside1


@helper
def _sort(found: Rows, count: int) -> None:
    """By fraction; insertion sort, for they are few."""
    for i in range(1, count):
        fraction, rate = found[i]["fraction"], found[i]["rate"]
        j = i
        while j > 0 and found[j - 1]["fraction"] > fraction:
            found[j] = found[j - 1]
            j -= 1
        found[j]["fraction"], found[j]["rate"] = fraction, rate


@helper
def _band(area: Row, x: float) -> int:
    """The band of a polygon at x; there may be none."""
    return floor(x / area["width"] + area["bands"] / 2.0) if area["bands"] > 1 else 0


@helper
def _edge_square(edge: Row, x: float, point: Row, polar: bool) -> float:
    """Square of the metres from a point to an edge, by those of a degree there; near a pole in a plane around it."""
    east, north, y = point["east"], point["north"], point["latitude"]
    if not polar:
        return _segment_square(
            (edge["x0"] - x) * east, (edge["y0"] - y) * north, (edge["x1"] - x) * east, (edge["y1"] - y) * north
        )
    pole = 90.0 if y > 0.0 else -90.0
    dx, dy = edge["x1"] - edge["x0"], edge["y1"] - edge["y0"]
    pieces = int(abs(dx)) + 1
    best = np.inf
    for i in range(pieces):
        a, b = i / pieces, (i + 1) / pieces
        angle0, angle1 = radians(edge["x0"] + a * dx - x), radians(edge["x0"] + b * dx - x)
        r0, r1 = abs(pole - edge["y0"] - a * dy) * north, abs(pole - edge["y0"] - b * dy) * north
        y0, y1 = r0 * cos(angle0) - abs(pole - y) * north, r1 * cos(angle1) - abs(pole - y) * north
        best = min(best, _segment_square(r0 * sin(angle0), y0, r1 * sin(angle1), y1))
    return best


@helper
def _segment_square(ax: float, ay: float, bx: float, by: float) -> float:
    """Square of the distance from the origin."""
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    share = min(max(-(ax * dx + ay * dy) / square, 0.0), 1.0) if square > 0.0 else 0.0
    x, y = ax + share * dx, ay + share * dy
    return x * x + y * y


@helper
def _added(found: Rows, count: int, fraction: float, rate: float) -> int:
    if count == len(found):
        return count
    found[count]["fraction"], found[count]["rate"] = fraction, rate
    return count + 1


@helper
def _cut_circle(area: Row, p: Row, q: Row, piece: int, pieces: int, found: Rows, count: int) -> int:
    """Roots of |p + f (q - p) - centre| = chord."""
    square0, square1, chord2 = squared(area, p), squared(area, q), area["chord2"]
    inside0, inside1 = square0 <= chord2, square1 <= chord2
    if inside0 and inside1:
        return count
    dx, dy, dz = q["x"] - p["x"], q["y"] - p["y"], q["z"] - p["z"]
    a = dx * dx + dy * dy + dz * dz
    b = (p["x"] - area["x"]) * dx + (p["y"] - area["y"]) * dy + (p["z"] - area["z"]) * dz
    discriminant = b * b - a * (square0 - chord2)
    if not inside0 and not inside1 and (a == 0.0 or discriminant <= 0.0 or b >= 0.0 or a + b <= 0.0):
        return count
    root = sqrt(max(discriminant, 0.0))
    rate = pieces * root / sqrt(chord2)
    if not inside0:
        count = _added(found, count, (piece + min(max((-b - root) / a, 0.0), 1.0)) / pieces, rate)
    if not inside1:
        count = _added(found, count, (piece + min(max((-b + root) / a, 0.0), 1.0)) / pieces, rate)
    return count


@helper
def _cut_polygon(shapes: Shapes, area: Row, p: Row, q: Row, piece: int, pieces: int, found: Rows, count: int) -> int:
    """Edges whose ends lie on different sides of the piece, and it has its ends on different sides of them."""
    x, y = wrap(p["longitude"] - area["longitude"]), p["latitude"]
    dx, dy = wrap(q["longitude"] - p["longitude"]), q["latitude"] - y
    if dx == 0.0 and dy == 0.0:
        return count
    edges, starts = shapes.edges, shapes.starts
    low, high = max(_band(area, min(x, x + dx)), 0), min(_band(area, max(x, x + dx)), area["bands"] - 1)
    for band in range(low, high + 1):
        at = area["starts"] + band
        for i in range(area["edges"] + starts[at], area["edges"] + starts[at + 1]):
            edge = edges[i]
            side0 = dx * (edge["y0"] - y) - dy * (edge["x0"] - x) > 0.0  # half-open: a vertex is of one of its edges
            side1 = dx * (edge["y1"] - y) - dy * (edge["x1"] - x) > 0.0
            if side0 == side1 or (band > low and _band(area, min(edge["x0"], edge["x1"])) < band):
                continue  # not cut, or seen in a band before
            ex, ey = edge["x1"] - edge["x0"], edge["y1"] - edge["y0"]
            slope = dx * ey - dy * ex
            fraction = ((edge["x0"] - x) * ey - (edge["y0"] - y) * ex) / slope
            if 0.0 <= fraction <= 1.0:
                length = sqrt((ex * p["east"]) ** 2 + (ey * p["north"]) ** 2)
                rate = pieces * abs(slope) * p["east"] * p["north"] / length
                count = _added(found, count, (piece + fraction) / pieces, rate)
    return count


# Columns


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
        pieces = split(points, lat0[at], lon0[at], lat1[at], lon1[at])
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
