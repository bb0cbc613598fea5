"""The earth as the WGS 84 ellipsoid: local metric frames, distance, course. Scalars or arrays in, same shape out."""

from math import cos, floor, radians, sin, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod

from geo.compiled import helper

Floats = NDArray[np.float64]

_GEOD = Geod(ellps="WGS84")
_A = 6_378_137.0
"""Semi-major axis, m."""
_E2 = 6.694_379_990_141e-3
"""First eccentricity squared."""
_FAR_M = 10_000.0
"""Further apart than this, the local metric frame is not good enough."""
PARTS = 1e7
"""Of a degree, a centimetre: in these places are kept, in four bytes, where stores know them no better either."""


def metres_per_degree(latitude: ArrayLike) -> tuple[Any, Any]:
    """Metres per degree of latitude and of longitude at a latitude.

    The meridional and the prime-vertical radius of curvature: M = a(1-e²)/(1-e² sin²φ)^1.5, N cos φ with
    N = a/(1-e² sin²φ)^0.5 (Snyder, Map Projections: A Working Manual, 1987, p. 24).
    """
    phi = np.radians(latitude)
    w = 1.0 - _E2 * np.sin(phi) ** 2
    north = np.radians(_A * (1.0 - _E2) / w**1.5)
    east = np.radians(_A * np.cos(phi) / np.sqrt(w))
    return north, east


@helper
def metric_scale(latitude: float) -> tuple[float, float]:
    """`metres_per_degree` of one latitude, for compiled loops."""
    phi = radians(latitude)
    w = 1.0 - _E2 * sin(phi) ** 2
    return radians(_A * (1.0 - _E2) / (w * sqrt(w))), radians(_A * cos(phi) / sqrt(w))


@helper
def wrapped(degrees: float) -> float:
    """`wrap_degrees` of one number, for compiled loops."""
    return degrees - 360.0 * floor((degrees + 180.0) / 360.0)


@helper
def parts(degrees: float) -> int:
    """Degrees in the nearest whole PARTS."""
    return floor(degrees * PARTS + 0.5)


def wrap_degrees(delta: ArrayLike) -> Any:
    """A difference of longitudes, or a longitude, as [-180, 180)."""
    delta = np.asarray(delta)
    return delta - 360.0 * np.floor((delta + 180.0) / 360.0)


def distance(lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike) -> Any:
    """Metres between points: in the local metric frame of their middle when near (error under 1e-6), else geodesic."""
    lat1, lon1, lat2, lon2 = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (lat1, lon1, lat2, lon2)))
    north, east = metres_per_degree((lat1 + lat2) / 2)
    metres = np.asarray(np.hypot((lat2 - lat1) * north, wrap_degrees(lon2 - lon1) * east))
    far = (metres > _FAR_M) | (np.abs(lat1) > 85.0)
    if far.any():
        metres[far] = _GEOD.inv(lon1[far], lat1[far], lon2[far], lat2[far])[2]
    return metres[()]


def course(lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike) -> Any:
    """Degrees from true north, [0, 360), of the way from the first point to the second near it."""
    lat1, lon1, lat2, lon2 = (np.asarray(x, np.float64) for x in (lat1, lon1, lat2, lon2))
    north, east = metres_per_degree((lat1 + lat2) / 2)
    return np.degrees(np.arctan2(wrap_degrees(lon2 - lon1) * east, (lat2 - lat1) * north)) % 360.0


def offset(latitude: ArrayLike, longitude: ArrayLike, east_m: ArrayLike, north_m: ArrayLike) -> tuple[Any, Any]:
    """The point so many metres east and north of another near it."""
    north, east = metres_per_degree(latitude)
    return np.asarray(latitude) + np.asarray(north_m) / north, wrap_degrees(longitude + np.asarray(east_m) / east)
