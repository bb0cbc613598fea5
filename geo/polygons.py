"""GeoJSON polygons as edges on a cylinder of longitude and latitude, whole across the antimeridian and over the poles.

Longitude and latitude stay straight along an edge, as RFC 7946 says. What is inside follows from how many edges lie
north of a point, so a ring around a pole needs no other end. An edge of more than 180 degrees goes the short way; a
ring that goes all around the earth holds the pole it is nearer to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from geo.earth import wrap_degrees

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Reason = Literal["empty", "not_closed", "too_few_positions", "out_of_range", "too_many_vertices", "self_intersection"]

MOST_VERTICES = 10_000
_EDGES_A_BAND = 8
_BEYOND = 1.0
"""Edges are repeated so many degrees beyond the seam of an outline that goes around the earth."""


class InvalidShape(ValueError):
    """A shape that no area follows from; `reason` says in a word why."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Outline:
    """An area's boundary."""

    latitude: float
    longitude: float
    half_height: float
    half_width: float
    edges: Floats  # (e, 4) from, to: degrees east of the centre, latitude
    north: bool  # whether the North Pole is inside


def outline(polygons: Sequence[Sequence[Sequence[Sequence[float]]]]) -> Outline:
    """The boundary of GeoJSON MultiPolygon coordinates. Raises InvalidShape."""
    parts = [[_ring(ring) for ring in polygon] for polygon in polygons]
    if not parts or not all(parts):
        raise InvalidShape("empty", "A polygon needs at least one ring.")
    vertices = sum(len(ring) - 1 for polygon in parts for ring in polygon)
    if vertices > MOST_VERTICES:
        raise InvalidShape("too_many_vertices", f"A shape may have {MOST_VERTICES:,} vertices; this has {vertices:,}.")
    around = any(abs(ring[-1, 0] - ring[0, 0]) > 180 for polygon in parts for ring in polygon)
    middle = (parts[0][0][:, 0].min() + parts[0][0][:, 0].max()) / 2
    rings = []
    north = False
    for polygon in parts:
        for ring in polygon:
            ring[:, 0] += 360.0 * np.round((middle - (ring[:, 0].min() + ring[:, 0].max()) / 2) / 360.0)
            north ^= _holds_north(ring)
            rings.append(ring)
    _check(parts)
    every = np.concatenate(rings)
    west, east = every[:, 0].min(), every[:, 0].max()
    wide = around or east - west > 360.0 - 2 * _BEYOND
    longitude = (west + east) / 2
    edges = np.concatenate([np.concatenate([ring[:-1], ring[1:]], axis=1) for ring in rings]) - [longitude, 0] * 2
    if wide or len(parts) > 1:
        edges = _without_seams(edges)
    if wide:
        edges = np.concatenate([edges + np.array([turn, 0, turn, 0]) for turn in (-360.0, 0.0, 360.0)])
        reach = 180.0 + _BEYOND
        edges = edges[(edges[:, ::2].min(axis=1) <= reach) & (edges[:, ::2].max(axis=1) >= -reach)]
    low, high = _heights(every[:, 1], edges, north)
    half_width = 180.0 if wide else (east - west) / 2
    return Outline((low + high) / 2, float(wrap_degrees(longitude)), (high - low) / 2, half_width, edges, north)


def banded(edges: Floats, half_width: float) -> tuple[Floats, Ints, float]:
    """Edges by bands of longitude, each in all it touches: (m, 4), where each band begins (bands + 1,), the width.

    Few edges are one band. At most four times as many edges come out as go in.
    """
    width = half_width + (_BEYOND if half_width >= 180.0 else 0.0)
    bands = max(len(edges) // _EDGES_A_BAND, 1)
    while True:
        place = np.floor(edges[:, ::2] / (2 * width / bands) + bands / 2)  # just as `geo.fences` looks for it
        place = np.clip(place, 0, bands - 1).astype(np.int64)
        first, last = place.min(axis=1), place.max(axis=1)
        count = last - first + 1
        if bands == 1 or count.sum() <= 4 * len(edges):
            break
        bands //= 2
    edge = np.repeat(np.arange(len(edges)), count)
    band = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    order = np.argsort(band, kind="stable")
    return edges[edge[order]], np.searchsorted(band[order], np.arange(bands + 1)), 2 * width / bands


def _ring(positions: Sequence[Sequence[float]]) -> Floats:
    """A ring (n, 2) whose longitudes do not jump; it ends a turn from where it starts when it goes around a pole."""
    try:
        ring = np.array([position[:2] for position in positions], np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise InvalidShape("out_of_range", "A position must be two numbers: longitude, latitude.") from None
    if not (np.isfinite(ring).all() and (np.abs(ring) <= (180, 90)).all()):
        raise InvalidShape(
            "out_of_range", "A position must be a longitude from -180 to 180 and a latitude from -90 to 90."
        )
    if len(ring) < 4:
        raise InvalidShape("too_few_positions", "A ring needs at least four positions, the last the same as the first.")
    if not np.array_equal(ring[0], ring[-1]):
        raise InvalidShape("not_closed", "A ring must be closed: its last position the same as the first.")
    step = np.diff(ring[:, 0])
    polar = (np.abs(ring[:-1, 1]) == 90) & (np.abs(ring[1:, 1]) == 90)
    jumps = (np.abs(step) > 180) & (np.abs(step) < 360) & ~polar
    ring[1:, 0] -= 360.0 * np.cumsum(np.where(jumps, np.sign(step), 0.0))
    return ring


def _holds_north(ring: Floats) -> bool:
    """Whether a ring goes around the North Pole: along it, or around the earth nearer to it."""
    at_pole = (ring[:-1, 1] == 90) & (ring[1:, 1] == 90)
    along = abs(float(np.diff(ring[:, 0])[at_pole].sum())) > 180
    around = abs(ring[-1, 0] - ring[0, 0]) > 180 and ring[:, 1].mean() >= 0
    return bool(along != around)


def _closed(ring: Floats) -> Floats:
    """A ring in the plane: one around a pole is closed over it."""
    if abs(ring[-1, 0] - ring[0, 0]) <= 180:
        return ring
    pole = 90.0 if ring[:, 1].mean() >= 0 else -90.0
    return np.concatenate([ring, [[ring[-1, 0], pole], [ring[0, 0], pole], ring[0]]])


def _check(parts: list[list[Floats]]) -> None:
    areas = []
    for polygon in parts:
        around = [abs(ring[-1, 0] - ring[0, 0]) > 180 for ring in polygon]
        holes = [] if around[0] else polygon[1:]  # those of a ring around a pole may lie beyond its ends
        shape = shapely.Polygon(_closed(polygon[0]), holes)
        if not shape.is_valid:
            raise InvalidShape("self_intersection", f"The polygon is not valid: {shapely.is_valid_reason(shape)}.")
        if not shape.area > 0:
            raise InvalidShape("empty", "The polygon has no area.")
        areas.append(shape)
    whole = shapely.union_all(areas).area if len(areas) > 1 else 0.0
    if len(areas) > 1 and whole < sum(area.area for area in areas) * (1 - 1e-9):
        raise InvalidShape("self_intersection", "The polygons of a MultiPolygon must not overlap.")


def _without_seams(edges: Floats) -> Floats:
    """Without edges along a pole, and without what two edges along a meridian have in common: no boundary is there."""
    edges = edges[~((np.abs(edges[:, 1]) == 90) & (edges[:, 1] == edges[:, 3]))]
    upright = edges[:, 0] == edges[:, 2]
    meridians: dict[float, list[Floats]] = {}
    for edge in edges[upright]:
        meridians.setdefault(round(float(wrap_degrees(edge[0])), 9), []).append(edge)
    kept = [edges[~upright]]
    for along in meridians.values():
        if len(along) == 1:
            kept.append(along[0][None])
            continue
        ends = np.array([sorted((edge[1], edge[3])) for edge in along])
        stops = np.unique(ends)
        middle = (stops[:-1] + stops[1:]) / 2
        odd = ((ends[:, :1] < middle) & (middle < ends[:, 1:])).sum(axis=0) % 2 == 1
        east = np.full(int(odd.sum()), along[0][0])
        kept.append(np.stack([east, stops[:-1][odd], east, stops[1:][odd]], axis=1))
    return np.concatenate(kept)


def _heights(latitude: Floats, edges: Floats, north: bool) -> tuple[float, float]:
    """The lowest and highest latitude of the area."""
    low, high = float(latitude.min()), float(latitude.max())
    if north:
        high = 90.0
    crossings = (edges[:, 0] > 0.0) != (edges[:, 2] > 0.0)  # north of the South Pole, along the middle meridian
    if north != (int(crossings.sum()) % 2 == 1):
        low = -90.0
    return low, high
