"""Seeded cities for benchmarks and tests: geofences and legs of drivers."""

from collections.abc import Iterator

import numpy as np

from geo.earth import distance, metres_per_degree, offset
from tracker.records import Floats, Geofence, Legs

LATITUDE, LONGITUDE = 25.04, 121.55
CITY_M = 60_000.0
T0 = 1_760_000_000.0


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


def city_traffic(drivers: int, legs: int, seed: int, step_s: float = 5.0) -> Iterator[Legs]:
    """Without end: the next so many legs of each driver, at 3 to 20 m/s, who turns at times, and back at the edge."""
    rng = np.random.default_rng(seed)
    at, course = rng.uniform(-CITY_M / 2, CITY_M / 2, (2, drivers)), rng.uniform(0, 2 * np.pi, drivers)
    speed, t = rng.uniform(3, 20, drivers), T0
    while True:
        turns = np.where(rng.random((legs, drivers)) < 0.1, rng.uniform(-np.pi, np.pi, (legs, drivers)), 0.0)
        turns[0] += np.where((np.abs(at) > CITY_M / 2).any(axis=0), np.pi, 0.0)
        courses = course + np.cumsum(turns, axis=0)
        steps = np.stack([np.sin(courses), np.cos(courses)]) * speed * step_s
        path = np.concatenate([at[:, None], at[:, None] + np.cumsum(steps, axis=1)], axis=1).transpose(0, 2, 1)
        seconds = t + step_s * np.arange(legs + 1)
        at, course, t = path[:, :, -1], courses[-1], float(seconds[-1])
        latitude, longitude = offset(LATITUDE, LONGITUDE, *path)
        ends = [column.ravel() for column in (latitude[:, :-1], longitude[:, :-1], latitude[:, 1:], longitude[:, 1:])]
        yield Legs(
            np.repeat(np.arange(drivers), legs),
            np.tile(seconds[:-1], drivers),
            *ends[:2],
            np.tile(seconds[1:], drivers),
            *ends[2:],
            rng.uniform(2, 10, drivers * legs),
            distance(*ends),
            np.tile(seconds[1:], drivers),
        )
