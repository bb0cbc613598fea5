"""Scalar geometry of the WGS 84 ellipsoid for compiled loops: the poles and the antimeridian are places like others."""

from math import asin, atan2, ceil, cos, hypot, pi, radians, sin, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geo.compiled import helper

Rows = NDArray[Any]
"""A structured array."""
Row = Any
"""One of its rows; compiled code takes it by reference."""

POINT = np.dtype([(name, np.float64) for name in ("latitude", "longitude", "x", "y", "z", "north", "east")])
"""Degrees; earth-centred, earth-fixed, m, on the ellipsoid; metres a degree of latitude and of longitude."""

A = 6_378_137.0
"""Semi-major axis, m."""
E2 = 6.694_379_990_141e-3
"""First eccentricity squared."""
MEAN_RADIUS = 6_371_008.8
MOST_PIECES = 64
_DEGREE = pi / 180.0
_PIECE_M = 2_000.0
_PIECE_DEGREES = 0.05


@helper
def wrap(degrees: float) -> float:
    """A difference of longitudes, or a longitude, as [-180, 180)."""
    if -180.0 <= degrees < 180.0:
        return degrees
    wrapped = degrees - 360.0 * np.floor((degrees + 180.0) / 360.0)
    return wrapped if wrapped < 180.0 else -180.0


@helper
def apart(longitude: float, other: float) -> float:
    """Degrees between longitudes, each at most 360 from the other."""
    degrees = abs(longitude - other)
    return min(degrees, abs(360.0 - degrees))


@helper
def put_point(point: Row, latitude: float, longitude: float) -> None:
    """Fill in a POINT (Snyder 1987, p. 24 for the radii of curvature)."""
    phi, lam = radians(latitude), radians(longitude)
    s, c = sin(phi), cos(phi)
    w = 1.0 - E2 * s * s
    root = sqrt(w)
    point["latitude"], point["longitude"] = latitude, longitude
    point["x"], point["y"], point["z"] = A / root * c * cos(lam), A / root * c * sin(lam), A / root * (1.0 - E2) * s
    point["north"], point["east"] = _DEGREE * A * (1.0 - E2) / (w * root), _DEGREE * A / root * abs(c)


@helper
def arc(chord: float) -> float:
    """Metres along the surface between points whose straight distance is `chord`; good to 1e-5 up to 1,000 km."""
    share = chord / (2.0 * MEAN_RADIUS)
    if share < 1e-3:
        return chord * (1.0 + share * share / 6.0)
    return 2.0 * MEAN_RADIUS * asin(min(share, 1.0))


@helper
def chord(surface: float) -> float:
    """The inverse of `arc`."""
    return 2.0 * MEAN_RADIUS * sin(surface / (2.0 * MEAN_RADIUS))


@helper
def squared(p: Row, q: Row) -> Any:
    """Square of the straight distance between points."""
    dx, dy, dz = q["x"] - p["x"], q["y"] - p["y"], q["z"] - p["z"]
    return dx * dx + dy * dy + dz * dz


@helper
def split(points: Rows) -> int:
    """Cut the shortest way between two POINTs into pieces so short that longitude and latitude stay straight in each.

    They are the first two of `points` (MOST_PIECES + 1,), and then the first and the last of the pieces' ends. Returns
    how many pieces there are; nearly always one. The way between is interpolated on the sphere of normals (Gade,
    Journal of Navigation 2010).
    """
    lat0, lon0 = points[0]["latitude"], points[0]["longitude"]
    lat1, lon1 = points[1]["latitude"], points[1]["longitude"]
    square = squared(points[0], points[1])
    wide = abs(wrap(lon1 - lon0))
    if square == 0.0 or (square <= _PIECE_M * _PIECE_M and wide <= _PIECE_DEGREES):
        return 1
    pieces = int(min(max(ceil(sqrt(square) / _PIECE_M), ceil(wide / _PIECE_DEGREES)), MOST_PIECES))
    for i in range(1, pieces):
        lat, lon = _between(lat0, lon0, lat1, lon1, i / pieces)
        put_point(points[i], lat, lon)
    put_point(points[pieces], lat1, lon1)
    return pieces


@helper
def _between(lat0: float, lon0: float, lat1: float, lon1: float, share: float) -> tuple[float, float]:
    p0, l0, p1, l1 = radians(lat0), radians(lon0), radians(lat1), radians(lon1)
    x = (1 - share) * cos(p0) * cos(l0) + share * cos(p1) * cos(l1)
    y = (1 - share) * cos(p0) * sin(l0) + share * cos(p1) * sin(l1)
    z = (1 - share) * sin(p0) + share * sin(p1)
    return atan2(z, hypot(x, y)) / _DEGREE, atan2(y, x) / _DEGREE
