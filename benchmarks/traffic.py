"""Seeded cities for benchmarks and tests: geofences and legs of drivers."""

import numpy as np

from geo.earth import metres_per_degree, offset
from tracker.records import Floats, Geofence

LATITUDE, LONGITUDE = 25.04, 121.55
CITY_M = 60_000.0


def city_points(n: int, seed: int) -> tuple[Floats, Floats]:
    """Latitude and longitude (n,) anywhere in the city."""
    rng = np.random.default_rng(seed)
    east, north = rng.uniform(-CITY_M / 2, CITY_M / 2, (2, n))
    return offset(LATITUDE, LONGITUDE, east, north)


def city_fences(n: int, seed: int) -> list[Geofence]:
    """Circles and hexagons in turn, of 30 to 300 m."""
    rng = np.random.default_rng(seed)
    radius = rng.uniform(30, 300, n)
    points = np.stack(city_points(n, seed), axis=1)
    return [
        Geofence(
            geofence_id=f"fence-{i}",
            type="Polygon" if i % 2 else "Point",
            coordinates=[hexagon(*points[i], radius[i])] if i % 2 else [points[i, 1], points[i, 0]],
            radius=None if i % 2 else float(radius[i]),
        )
        for i in range(n)
    ]


def hexagon(latitude: float, longitude: float, radius: float) -> list[list[float]]:
    """A closed GeoJSON ring around a point."""
    north, east = metres_per_degree(latitude)
    angle = np.radians(np.arange(0, 361, 60) % 360)
    ring = np.stack([longitude + radius * np.sin(angle) / east, latitude + radius * np.cos(angle) / north], axis=1)
    return ring.tolist()


def city_legs(n: int, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Where legs of a second or two begin and end: latitude, longitude, latitude, longitude, each (n,)."""
    rng = np.random.default_rng(seed + 1)
    lat0, lon0 = city_points(n, seed)
    angle, length = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 30, n)
    return lat0, lon0, *offset(lat0, lon0, length * np.sin(angle), length * np.cos(angle))
