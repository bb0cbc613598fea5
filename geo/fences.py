"""Areas on earth by integer key: which legs cut which boundary and where, and how far inside or outside a point is.

Every area has a metric frame of its own around its centre, in which longitude and latitude stay straight; so what is
cut is exact for polygons as GeoJSON means them. Distances and circles are good to a part in a thousand up to 10 km.
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


class FenceIndex:
    """Circles and polygons by key; keys are small integers that the caller gives out and may use again."""

    def __init__(self) -> None:
        self._grid = Grid()
        self._frame = np.full((5, 64), np.nan)  # latitude, longitude, m per degree north and east, radius
        self._edges: dict[int, Floats] = {}
        self._pool: tuple[Floats, Ints, Ints] | None = (
            None  # edges of all polygons, and where each key's begin and how many
        )

    def put(self, key: int, shape: Circle | Area) -> None:
        """Add or replace an area. Raises ValueError with a sentence that says what is wrong with the shape."""
        if isinstance(shape, Circle):
            _check_circle(shape)
            latitude, longitude = shape.latitude, shape.longitude
            edges = None
            reach = np.array([shape.radius, shape.radius])
        else:
            latitude, longitude, edges = _edges_of(shape)
            reach = np.abs(edges).max(axis=(0, 1))
        north, east = metres_per_degree(latitude)
        while key >= self._frame.shape[1]:
            self._frame = np.concatenate([self._frame, np.full_like(self._frame, np.nan)], axis=1)
        radius = shape.radius if isinstance(shape, Circle) else np.nan
        self._frame[:, key] = latitude, longitude, north, east, radius
        if edges is None:
            self._edges.pop(key, None)
        else:
            self._edges[key] = edges
        self._pool = None
        self._grid.put(key, latitude, longitude, reach[1] / north, min(reach[0] / max(east, 1e-9), 180.0))

    def drop(self, key: int) -> None:
        """Remove an area."""
        self._grid.drop(key)
        if self._edges.pop(key, None) is not None:
            self._pool = None

    def candidates(self, lat0: Floats, lon0: Floats, lat1: Floats, lon1: Floats) -> tuple[Ints, Ints]:
        """Pairs (leg, key) of the legs (n,) whose box touches the box of an area; each once, sorted by leg."""
        return self._grid.query(lat0, lon0, lat1, lon1)

    def cut(self, lat0: Floats, lon0: Floats, lat1: Floats, lon1: Floats, leg: Ints, key: Ints) -> Cuts:
        """Where the legs cut the boundaries of the areas they are paired with; legs are columns (n,), pairs (p,)."""
        x0, y0 = self._local(lat0[leg], lon0[leg], key)
        x1, y1 = self._local(lat1[leg], lon1[leg], key)
        round_ = np.isfinite(self._frame[4, key])
        circles, polygons = np.flatnonzero(round_), np.flatnonzero(~round_)
        parts = [
            _cut_circles(x0[circles], y0[circles], x1[circles], y1[circles], self._frame[4, key[circles]]),
            self._cut_polygons(x0[polygons], y0[polygons], x1[polygons], y1[polygons], key[polygons]),
        ]
        pair = np.concatenate([circles[parts[0][0]], polygons[parts[1][0]]])
        fraction = np.concatenate([parts[0][1], parts[1][1]])
        inward = np.concatenate([parts[0][2], parts[1][2]])
        order = np.lexsort((fraction, pair))
        return Cuts(pair[order], fraction[order], inward[order])

    def signed_distance(self, latitude: Floats, longitude: Floats, key: Ints) -> Floats:
        """Metres from each point (n,) to the boundary of its area, negative inside."""
        x, y = self._local(latitude, longitude, key)
        result: Floats = np.hypot(x, y) - self._frame[4, key]
        polygons = np.flatnonzero(np.isnan(self._frame[4, key]))
        if len(polygons):
            px, py = x[polygons], y[polygons]
            pair, edge, starts = self._expand(key[polygons])
            distance = np.minimum.reduceat(_distance_to_edges(px[pair], py[pair], edge), starts)
            result[polygons] = np.where(_parity(px[pair], py[pair], edge, starts), -distance, distance)
        return result

    def _local(self, latitude: Floats, longitude: Floats, key: Ints) -> tuple[Floats, Floats]:
        centre_lat, centre_lon, north, east, _ = self._frame[:, key]
        return wrap_degrees(longitude - centre_lon) * east, (latitude - centre_lat) * north

    def _expand(self, key: Ints) -> tuple[Ints, Floats, Ints]:
        """Each pair with each edge of its polygon: index of the pair (e,), edges (4, e), where a pair's begin (p,)."""
        if self._pool is None:
            count = np.zeros(self._frame.shape[1], np.int64)
            for k, edges in self._edges.items():
                count[k] = len(edges)
            start = np.cumsum(count) - count
            pool = [self._edges[k].reshape(-1, 4) for k in sorted(self._edges)]
            self._pool = np.concatenate(pool).T.copy(), start, count
        flat, start, count = self._pool
        counts = count[key]
        starts = np.cumsum(counts) - counts
        pair = np.repeat(np.arange(len(key)), counts)
        return pair, flat[:, np.arange(len(pair)) - np.repeat(starts - start[key], counts)], starts

    def _cut_polygons(self, x0: Floats, y0: Floats, x1: Floats, y1: Floats, key: Ints) -> tuple[Ints, Floats, Bools]:
        if not len(key):
            return np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_)
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
        return _alternate(pair[hit], fraction[hit], inside0, inside1)


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


def _cut_circles(x0: Floats, y0: Floats, x1: Floats, y1: Floats, radius: Floats) -> tuple[Ints, Floats, Bools]:
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
    return pair, fraction, np.arange(len(pair)) < len(into)


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
    """The centre of an area, and its edges (e, 2, 2) in metres from there: from, to; east, north."""
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
    return latitude, float(wrap_degrees(longitude)), np.concatenate(edges) * scale


def _check_ring(ring: Floats) -> None:
    if len(ring) < 4 or not np.array_equal(ring[0], ring[-1]):
        raise ValueError("A ring needs at least four positions, the last the same as the first.")
    if not (np.isfinite(ring).all() and (np.abs(ring[:, 1]) <= 90).all() and (np.abs(ring[:, 0]) <= 180).all()):
        raise ValueError("A position must be a longitude from -180 to 180 and a latitude from -90 to 90.")
