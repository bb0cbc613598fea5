"""One area against one point or leg, compiled: is it inside, how far is the boundary, where does a leg cross it.

Circles are measured by straight distances between points of the ellipsoid, polygons on the cylinder of longitude and
latitude, their distances by the metres of a degree where the point is.
"""

from math import cos, floor, radians, sin, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import helper
from geo.globe import Row, Rows, arc, squared, wrap

Ints = NDArray[np.int64]

_POLAR = 85.0
"""Nearer to a pole than this latitude, distances from edges are taken in a plane around the pole."""

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
