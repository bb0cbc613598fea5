"""Areas on earth by integer key: which legs cut which boundary and where, and how far inside or outside a point is.

Every area has a metric frame of its own around its centre. In that of a polygon longitude and latitude stay straight,
so what is cut is exact for polygons as GeoJSON means them; their distances are good to 1 in 1,000 up to 10 km. Circles
are round to 1 in 50,000 up to 10 km, less so near a pole, and not over it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geo.earth import metres_per_degree, wrap_degrees
from geo.grid import Grid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
        self._frame = np.full((64, 6), np.nan)
        """By key: latitude, longitude, m per degree north and east, how a parallel bends, radius."""
        self._span = np.zeros((64, 2), np.int64)
        """By key: where its edges begin, and how many; none for a circle."""
        self._edges = np.empty((256, 4))
        """Edges of all polygons, and of some that are gone: from, to; east, north."""
        self._used = 0

    def put(self, key: int, shape: Circle | Area) -> None:
        """Add or replace an area. Raises ValueError with a sentence that says what is wrong with the shape."""
        if isinstance(shape, Circle):
            _check_circle(shape)
            latitude, longitude, radius, edges = shape.latitude, shape.longitude, shape.radius, np.empty((0, 4))
        else:
            latitude, longitude, edges = _edges_of(shape)
            radius = np.nan
        north, east = metres_per_degree(latitude)
        while key >= len(self._frame):
            self._frame = np.concatenate([self._frame, np.full_like(self._frame, np.nan)])
            self._span = np.concatenate([self._span, np.zeros_like(self._span)])
        if len(edges):
            bend = 0.0
            width, height = np.abs(edges).max(axis=0)[:2] / (east, north)
        else:
            bend = np.radians(np.sin(np.radians(latitude)))
            width, height = min(radius / max(east, 1e-9), 180.0), radius / north
        self._frame[key] = latitude, longitude, north, east, bend, radius
        self._store(key, edges)
        self._grid.put(key, latitude, longitude, height, width)

    def drop(self, key: int) -> None:
        """Remove an area."""
        self._grid.drop(key)
        self._span[key] = 0

    def _store(self, key: int, edges: Floats) -> None:
        """Append a polygon's edges, after moving together what is still in use when there is no room."""
        self._span[key] = 0
        if self._used + len(edges) > len(self._edges):
            start, count = self._span.T
            ends = np.cumsum(count)
            index, _ = _ranges(start, count)
            self._span[:, 0] = ends - count
            self._used = len(index)
            pool = np.empty((2 * (self._used + len(edges)), 4))
            pool[: self._used] = self._edges[index]
            self._edges = pool
        self._edges[self._used : self._used + len(edges)] = edges
        self._span[key] = self._used, len(edges)
        self._used += len(edges)

    def candidates(
        self, lat0: Floats, lon0: Floats, lat1: Floats, lon1: Floats, reach_m: Floats | float = 0.0
    ) -> tuple[Ints, Ints]:
        """Pairs (leg, key) of the legs (n,) whose box, wider by their reach, touches an area's; each once, by leg."""
        north, east = metres_per_degree(lat1)
        reach = reach_m / north, np.minimum(reach_m / np.maximum(east, 1e-9), 180.0)
        return self._grid.query(lat0, lon0, lat1, lon1, *reach)

    def cut(self, lat0: Floats, lon0: Floats, lat1: Floats, lon1: Floats, leg: Ints, key: Ints) -> Cuts:
        """Where the legs cut the boundaries of the areas they are paired with; legs are columns (n,), pairs (p,)."""
        x0, y0 = self._local(lat0[leg], lon0[leg], key)
        x1, y1 = self._local(lat1[leg], lon1[leg], key)
        radius = self._frame[key, 5]
        polygons = np.isnan(radius)
        circles, polygons = np.flatnonzero(~polygons), np.flatnonzero(polygons)
        where, fraction, inward, inside = zip(
            _cut_circles(x0[circles], y0[circles], x1[circles], y1[circles], radius[circles]),
            self._cut_polygons(x0[polygons], y0[polygons], x1[polygons], y1[polygons], key[polygons]),
            strict=True,
        )
        pair = np.concatenate([circles[where[0]], polygons[where[1]]])
        order = np.lexsort((np.concatenate(fraction), pair))
        ends = np.empty(len(leg), np.bool_)
        ends[circles], ends[polygons] = inside
        return Cuts(pair[order], np.concatenate(fraction)[order], np.concatenate(inward)[order], ends)

    def signed_distance(self, latitude: Floats, longitude: Floats, key: Ints) -> Floats:
        """Metres from each point (n,) to the boundary of its area, negative inside."""
        x, y = self._local(latitude, longitude, key)
        radius = self._frame[key, 5]
        result: Floats = np.hypot(x, y) - radius
        polygons = np.flatnonzero(np.isnan(radius))
        if len(polygons):
            px, py = x[polygons], y[polygons]
            pair, edge, starts = self._expand(key[polygons])
            distance = np.minimum.reduceat(_distance_to_edges(px[pair], py[pair], edge), starts)
            result[polygons] = np.where(_parity(px[pair], py[pair], edge, starts), -distance, distance)
        return result

    def _local(self, latitude: Floats, longitude: Floats, key: Ints) -> tuple[Floats, Floats]:
        """Metres east and north of the area's centre; for circles to the second order, so near the poles too."""
        centre_lat, centre_lon, north, east, bend, _ = self._frame[key].T
        dlat, dlon = latitude - centre_lat, wrap_degrees(longitude - centre_lon)
        return dlon * (east - bend * north * dlat), dlat * north + bend / 2 * east * dlon * dlon

    def _expand(self, key: Ints) -> tuple[Ints, Floats, Ints]:
        """Each pair with each edge of its polygon: index of the pair (e,), edges (4, e), where a pair's begin (p,)."""
        start, count = self._span[key].T
        index, pair = _ranges(start, count)
        return pair, self._edges[index].T, np.cumsum(count) - count

    def _cut_polygons(
        self, x0: Floats, y0: Floats, x1: Floats, y1: Floats, key: Ints
    ) -> tuple[Ints, Floats, Bools, Bools]:
        if not len(key):
            return np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_), np.empty(0, np.bool_)
        pair, edge, starts = self._expand(key)
        ax, ay, bx, by = edge
        px, py, dx, dy = x0[pair], y0[pair], (x1 - x0)[pair], (y1 - y0)[pair]
        side_a = dx * (ay - py) - dy * (ax - px) > 0  # half-open: a vertex belongs to one of its two edges
        side_b = dx * (by - py) - dy * (bx - px) > 0
        slope = dx * (by - ay) - dy * (bx - ax)
        with np.errstate(divide="ignore", invalid="ignore"):
            fraction = ((ax - px) * (by - ay) - (ay - py) * (bx - ax)) / slope
        hit = np.flatnonzero((side_a != side_b) & (fraction >= 0) & (fraction <= 1))
        hit = hit[np.lexsort((fraction[hit], pair[hit]))]
        inside0 = _parity(px, py, edge, starts)
        inside1 = _parity(x1[pair], y1[pair], edge, starts)
        return *_alternate(pair[hit], fraction[hit], inside0, inside1), inside1


def _ranges(start: Ints, count: Ints) -> tuple[Ints, Ints]:
    """start[i], start[i] + 1 and so on, count[i] of them, for each i; and the i of each."""
    i = np.repeat(np.arange(len(count)), count)
    return np.arange(len(i)) + (start - np.cumsum(count) + count)[i], i


def _alternate(pair: Ints, fraction: Floats, inside0: Bools, inside1: Bools) -> tuple[Ints, Floats, Bools]:
    """Crossings go in and out in turn, and end where the leg does; at a touched corner, rounding may say otherwise."""
    count = np.bincount(pair, minlength=len(inside0))
    odd = (count % 2 == 1) != (inside0 != inside1)
    if odd.any():
        last = np.zeros(len(pair), np.bool_)
        last[(np.cumsum(count) - 1)[count > 0]] = True
        kept = ~(last & odd[pair])
        missing = np.flatnonzero(odd & (count == 0))
        pair = np.concatenate([pair[kept], missing])
        fraction = np.concatenate([fraction[kept], np.ones(len(missing))])
        order = np.argsort(pair, kind="stable")
        pair, fraction = pair[order], fraction[order]
        count = np.bincount(pair, minlength=len(inside0))
    rank = np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count)
    return pair, fraction, (rank % 2 == 0) != inside0[pair]


def _cut_circles(x0: Floats, y0: Floats, x1: Floats, y1: Floats, radius: Floats) -> tuple[Ints, Floats, Bools, Bools]:
    dx, dy = x1 - x0, y1 - y0
    a = dx * dx + dy * dy
    b = x0 * dx + y0 * dy
    square0, square1 = x0 * x0 + y0 * y0, x1 * x1 + y1 * y1
    inside0, inside1 = square0 <= radius * radius, square1 <= radius * radius
    discriminant = b * b - a * (square0 - radius * radius)
    root = np.sqrt(np.maximum(discriminant, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (-b - root) / a, (-b + root) / a
    through = ~inside0 & ~inside1 & (discriminant > 0) & (first > 0) & (second < 1)
    into = np.flatnonzero((~inside0 & inside1) | through)
    out = np.flatnonzero((inside0 & ~inside1) | through)
    pair = np.concatenate([into, out])
    fraction = np.clip(np.concatenate([first[into], second[out]]), 0.0, 1.0)
    return pair, fraction, np.arange(len(pair)) < len(into), inside1


def _parity(x: Floats, y: Floats, edge: Floats, starts: Ints) -> Bools:
    """Whether each pair's point, given once an edge, lies inside: even-odd rule along a ray to the east; (p,)."""
    ax, ay, bx, by = edge
    spans = (ay > y) != (by > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        east = x < ax + (y - ay) * (bx - ax) / (by - ay)
    return np.asarray(np.logical_xor.reduceat(spans & east, starts))


def _distance_to_edges(x: Floats, y: Floats, edge: Floats) -> Floats:
    ax, ay, bx, by = edge
    dx, dy = bx - ax, by - ay
    share = np.clip(((x - ax) * dx + (y - ay) * dy) / np.maximum(dx * dx + dy * dy, 1e-12), 0.0, 1.0)
    return np.asarray(np.hypot(x - ax - share * dx, y - ay - share * dy))


def check(shape: Circle | Area) -> None:
    """Raises ValueError with a sentence that says what is wrong with the shape."""
    if isinstance(shape, Circle):
        _check_circle(shape)
    else:
        _edges_of(shape)


def _check_circle(circle: Circle) -> None:
    if not (abs(circle.latitude) <= 90 and abs(circle.longitude) <= 180):
        raise ValueError("The centre must be a latitude from -90 to 90 and a longitude from -180 to 180.")
    if not 0 < circle.radius <= 1_000_000:
        raise ValueError("The radius must be more than 0 and at most 1,000,000 metres.")


def _edges_of(area: Area) -> tuple[float, float, Floats]:
    """The centre of an area, and its edges (e, 4) in metres from there: from, to; east, north."""
    rings = [[np.asarray(ring, np.float64)[:, :2] for ring in polygon] for polygon in area.polygons]
    if not rings or not all(rings):
        raise ValueError("A polygon needs at least one ring.")
    origin = rings[0][0][0, 0]
    for polygon in rings:
        for ring in polygon:
            _check_ring(ring)
            ring[:, 0] = origin + wrap_degrees(ring[:, 0] - origin)  # whole across the antimeridian
    shape = shapely.MultiPolygon([(polygon[0], polygon[1:]) for polygon in rings])
    if not shape.is_valid:
        raise ValueError(f"The polygon is not valid: {shapely.is_valid_reason(shape)}.")
    if not shape.area > 0:
        raise ValueError("The polygon has no area.")
    west, south, east, north = shape.bounds
    latitude, longitude = (south + north) / 2, (west + east) / 2
    per_north, per_east = metres_per_degree(latitude)
    scale = np.array([per_east, per_north])
    edges = [np.stack([ring[:-1], ring[1:]], axis=1) - [longitude, latitude] for polygon in rings for ring in polygon]
    return latitude, float(wrap_degrees(longitude)), (np.concatenate(edges) * scale).reshape(-1, 4)


def _check_ring(ring: Floats) -> None:
    if len(ring) < 4 or not np.array_equal(ring[0], ring[-1]):
        raise ValueError("A ring needs at least four positions, the last the same as the first.")
    if not (np.isfinite(ring).all() and (np.abs(ring[:, 1]) <= 90).all() and (np.abs(ring[:, 0]) <= 180).all()):
        raise ValueError("A position must be a longitude from -180 to 180 and a latitude from -90 to 90.")
