"""Places by integer key, for compiled loops: how far inside one a point is, and where a leg crosses its boundary.

The same frames as in `geo.fences`, whose index answers for many legs and areas at once; here a loop asks one at a time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import helper
from geo.earth import metres_per_degree
from geo.fences import Area, Circle, check
from geo.polygons import outline

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Places(NamedTuple):
    """Columns by key."""

    frame: Floats  # (n, 6) latitude, longitude, m per degree north and east, how a parallel bends, radius or NaN
    span: Ints  # (n, 2) where its edges begin, and how many; none for a circle
    edges: Floats  # (m, 4) of all polygons, and of some that are gone: from, to; east, north


class PlaceTable:
    """Circles and polygons; keys are small integers that the caller gives out and may use again."""

    def __init__(self) -> None:
        self.places = Places(np.full((64, 6), np.nan), np.zeros((64, 2), np.int64), np.empty((256, 4)))
        self._used = 0

    def put(self, key: int, shape: Circle | Area) -> None:
        """Add or replace a place. Raises ValueError with a sentence that says what is wrong with the shape."""
        check(shape)
        edges, radius, bend = np.empty((0, 4)), np.nan, 0.0
        if isinstance(shape, Circle):
            latitude, longitude, radius = shape.latitude, shape.longitude, shape.radius
            bend = np.radians(np.sin(np.radians(latitude)))
        else:
            found = outline(shape.polygons)
            latitude, longitude = found.latitude, found.longitude
            north, east = metres_per_degree(latitude)
            edges = (found.edges - [0.0, latitude, 0.0, latitude]) * [east, north, east, north]
        while key >= len(self.places.frame):
            frame, span, pool = self.places
            self.places = Places(
                np.concatenate([frame, np.full_like(frame, np.nan)]), np.concatenate([span, np.zeros_like(span)]), pool
            )
        self.drop(key)
        self._reserve(len(edges))
        self.places.frame[key] = latitude, longitude, *metres_per_degree(latitude), bend, radius
        self.places.edges[self._used : self._used + len(edges)] = edges
        self.places.span[key] = self._used, len(edges)
        self._used += len(edges)

    def drop(self, key: int) -> None:
        """Remove a place, if it is there."""
        self.places.span[key : key + 1] = 0

    def _reserve(self, extra: int) -> None:
        """Make room for edges: move together what is still in use, in twice the space that it needs."""
        frame, span, edges = self.places
        if self._used + extra <= len(edges):
            return
        kept = [edges[start : start + count] for start, count in span.tolist()]
        span[:, 0] = np.cumsum(span[:, 1]) - span[:, 1]
        self._used = int(span[:, 1].sum())
        pool = np.empty((2 * (self._used + extra), 4))
        pool[: self._used] = np.concatenate(kept)
        self.places = Places(frame, span, pool)


@helper
def local(places: Places, key: int, latitude: float, longitude: float) -> tuple[float, float]:
    """Metres east and north of a place's centre; for circles to the second order."""
    frame = places.frame
    north, east, bend = frame[key, 2], frame[key, 3], frame[key, 4]
    dlat, dlon = latitude - frame[key, 0], longitude - frame[key, 1]
    dlon -= 360.0 * np.floor((dlon + 180.0) / 360.0)
    return dlon * (east - bend * north * dlat), dlat * north + bend / 2 * east * dlon * dlon


@helper
def depth(places: Places, key: int, x: float, y: float) -> float:
    """Metres from a point in the place's frame to its boundary, positive inside."""
    radius = places.frame[key, 5]
    if radius == radius:
        return float(radius - np.sqrt(x * x + y * y))
    edges, first, count = places.edges, places.span[key, 0], places.span[key, 1]
    nearest, inside = np.inf, False
    for i in range(first, first + count):
        ax, ay, bx, by = edges[i, 0], edges[i, 1], edges[i, 2], edges[i, 3]
        dx, dy = bx - ax, by - ay
        share = ((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-12)
        share = min(max(share, 0.0), 1.0)
        off_x, off_y = x - ax - share * dx, y - ay - share * dy
        nearest = min(nearest, off_x * off_x + off_y * off_y)
        if (ay > y) != (by > y) and x < ax + (y - ay) * dx / dy:  # even-odd rule along a ray to the east
            inside = not inside
    distance = float(np.sqrt(nearest))
    return distance if inside else -distance


@helper
def crossings(places: Places, key: int, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float]:
    """The shares of a leg at which it crosses the boundary first and last; NaN where it does not."""
    dx, dy = x1 - x0, y1 - y0
    radius = places.frame[key, 5]
    first, last = np.inf, -np.inf
    if radius == radius:
        a, b, c = dx * dx + dy * dy, x0 * dx + y0 * dy, x0 * x0 + y0 * y0 - radius * radius
        root = b * b - a * c
        if a > 0.0 and root > 0.0:
            root = np.sqrt(root)
            if 0.0 <= (-b - root) / a <= 1.0:
                first = last = (-b - root) / a
            if 0.0 <= (-b + root) / a <= 1.0:
                first, last = min(first, (-b + root) / a), (-b + root) / a
    else:
        edges, start, count = places.edges, places.span[key, 0], places.span[key, 1]
        for i in range(start, start + count):
            ax, ay, bx, by = edges[i, 0], edges[i, 1], edges[i, 2], edges[i, 3]
            if (dx * (ay - y0) - dy * (ax - x0) > 0.0) != (dx * (by - y0) - dy * (bx - x0) > 0.0):
                share = ((ax - x0) * (by - ay) - (ay - y0) * (bx - ax)) / (dx * (by - ay) - dy * (bx - ax))
                if 0.0 <= share <= 1.0:
                    first, last = min(first, share), max(last, share)
    return (first, last) if last >= first else (np.nan, np.nan)
