"""The planned paths of drivers: how far along each one is, where his stops lie on it, how long its parts take."""

from math import ceil
from typing import NamedTuple

import numpy as np

from geo import routes
from geo.compiled import helper
from geo.speeds import Speeds, hour_of, pace_at
from tracker.records import Floats, Ints, Legs, Route

OFF_ROUTE_M = 300.0
"""Further than this from the planned path, the straight line says more than the path."""
PIECE_M = 250.0
"""A longer piece of a path is timed in parts."""


class PathTimes(NamedTuple):
    """What compiled code needs of the paths: vertices in columns (k,), those of a driver are [start, stop)."""

    latitude: Floats
    longitude: Floats
    along: Floats  # metres from the start
    seconds: Floats  # from the start, at the speeds of `hour`
    start: Ints  # (drivers,)
    stop: Ints
    hour: Ints  # of the week that `seconds` is for; -1 for none yet


def planned(route: Route | None) -> Floats:
    """The path of a route, (2, k) latitude and longitude; without any vertex where none is planned."""
    if route is None or not route.path:
        return np.empty((2, 0))
    longitude, latitude = np.asarray(route.path, float).T[:2]
    return np.stack([latitude, longitude])


class PathTable:
    """Paths by driver, and where everybody is on them."""

    def __init__(self) -> None:
        self._paths = routes.Paths()
        self._progress = routes.Progress.empty(0)
        self._seconds = np.empty(0)
        self._hour = np.empty(0, np.int64)

    def fit(self, drivers: int) -> None:
        """Have room for so many drivers."""
        more = drivers - len(self._hour)
        if more > 0:
            self._paths.fit(drivers)
            self._progress = self._progress.grown(more)
            self._hour = np.append(self._hour, np.full(more, -1))

    def put(self, driver: int, path: Floats) -> None:
        """Follow a path (2, k), latitude and longitude, from now on; one without any length is none."""
        self._paths.drop(driver)
        self._progress.forget(driver)
        self._hour[driver] = -1
        latitude, longitude = path
        if len(latitude) > 1 and np.isfinite(latitude + longitude).all():
            self._paths.put(driver, latitude, longitude)
            if not self._paths.length(np.array([driver]))[0] > 0.0:
                self._paths.drop(driver)
        if len(self._seconds) != self._paths.vertices.shape[1]:  # everything has moved
            self._seconds = np.zeros(self._paths.vertices.shape[1])
            self.forget_times()

    def forget_times(self) -> None:
        """The speeds are others now."""
        self._hour[:] = -1

    @property
    def times(self) -> PathTimes:
        """The paths for compiled code."""
        latitude, longitude, along = self._paths.vertices
        return PathTimes(latitude, longitude, along, self._seconds, self._paths.start, self._paths.stop, self._hour)

    def place(self, driver: int, latitude: Floats, longitude: Floats) -> Floats:
        """Metres along a driver's path of his stops in turn; (n,), NaN where there is no path or a stop is off it."""
        if not len(latitude) or not self._paths.has(np.array([driver]))[0]:
            return np.full(len(latitude), np.nan)
        along, off = self._paths.stops_along(driver, latitude, longitude)
        return np.where(off <= OFF_ROUTE_M, along, np.nan)

    def follow(self, legs: Legs) -> Floats:
        """Move drivers on along their paths; (k,) metres along at the end of each leg, NaN without or off a path."""
        at = np.full(len(legs.driver), np.nan)
        if not self._paths.any:
            return at
        on = np.flatnonzero(self._paths.has(legs.driver))
        if len(on):
            on_path = legs.take(on)
            along, off = routes.follow(
                self._paths,
                self._progress,
                on_path.driver,
                on_path.t1,
                on_path.latitude0,
                on_path.longitude0,
                on_path.latitude1,
                on_path.longitude1,
                on_path.sigma1,
            )
            at[on] = np.where(off <= OFF_ROUTE_M, along, np.nan)
        return at


@helper
def reckon(paths: PathTimes, driver: int, speeds: Speeds, t: float) -> None:
    """Have the path's seconds at the speeds of this hour."""
    hour = hour_of(t)
    if paths.hour[driver] == hour:
        return
    paths.hour[driver] = hour
    seconds = 0.0
    for i in range(paths.start[driver], paths.stop[driver] - 1):
        paths.seconds[i] = seconds
        metres = paths.along[i + 1] - paths.along[i]
        parts = max(ceil(metres / PIECE_M), 1)
        east = (paths.longitude[i + 1] - paths.longitude[i] + 180.0) % 360.0 - 180.0
        for part in range(parts):
            share = (part + 0.5) / parts
            latitude = paths.latitude[i] + share * (paths.latitude[i + 1] - paths.latitude[i])
            seconds += metres / parts * pace_at(speeds, latitude, paths.longitude[i] + share * east, hour)
        paths.seconds[i + 1] = seconds


@helper
def seconds_at(paths: PathTimes, driver: int, along: float) -> float:
    """Seconds from the start of a driver's path to a point along it."""
    i, last = paths.start[driver], paths.stop[driver] - 1
    while last - i > 1:
        middle = (i + last) // 2
        if paths.along[middle] <= along:
            i = middle
        else:
            last = middle
    length = paths.along[i + 1] - paths.along[i]
    share = min(max((along - paths.along[i]) / length, 0.0), 1.0) if length > 0.0 else 0.0
    return float(paths.seconds[i] + share * (paths.seconds[i + 1] - paths.seconds[i]))
