"""The planned paths of drivers: how far along each one is, where his stops lie on it, how long its parts take."""

from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo import routes
from geo.compiled import helper
from geo.speeds import Speeds, heading_of, hour_of, pace_at
from tracker.records import Floats, Ints, Legs, Route

OFF_ROUTE_M = 300.0
"""Further than this from the planned path, the straight line says more than the path."""
PIECE_M = 250.0
"""A longer piece of a path is timed in parts."""


class PathTimes(NamedTuple):
    """What compiled code needs of the paths: vertices in columns (k,), those of a row are [start, stop)."""

    latitude: Floats
    longitude: Floats
    along: Floats  # metres from the start
    seconds: Floats  # from the start, at the speeds of `hour`
    row: NDArray[np.int32]  # (drivers,) of each one's path, -1 for none
    start: Ints  # (rows,)
    stop: Ints
    hour: Ints  # of the week that `seconds` is for; -1 for none yet


def planned(route: Route | None) -> Floats:
    """The path of a route, (2, k) latitude and longitude; without any vertex where none is planned."""
    if route is None or not route.path:
        return np.empty((2, 0))
    longitude, latitude = np.asarray(route.path, float).T[:2]
    return np.stack([latitude, longitude])


class PathTable:
    """Paths by driver, and where everybody is on them. Only who has a path takes room: a row a path."""

    def __init__(self) -> None:
        self._row = np.empty(0, np.int32)
        self._free: list[int] = []
        self._paths = routes.Paths()
        self._progress = routes.Progress.empty(0)
        self._seconds = np.empty(0)
        self._hour = np.empty(0, np.int64)

    def fit(self, drivers: int) -> None:
        """Have room for so many drivers."""
        more = drivers - len(self._row)
        if more > 0:
            self._row = np.append(self._row, np.full(more, -1, np.int32))

    def put(self, driver: int, path: Floats) -> None:
        """Follow a path (2, k), latitude and longitude, from now on; one without any length is none."""
        self._drop(driver)
        latitude, longitude = path
        if len(latitude) > 1 and np.isfinite(latitude + longitude).all():
            row = self._row[driver] = self._take()
            self._paths.put(row, latitude, longitude)
            if not self._paths.length(np.array([row]))[0] > 0.0:
                self._drop(driver)
        if len(self._seconds) != self._paths.vertices.shape[1]:  # everything has moved
            self._seconds = np.zeros(self._paths.vertices.shape[1])
            self.forget_times()

    def _drop(self, driver: int) -> None:
        row = int(self._row[driver])
        if row >= 0:
            self._paths.drop(row)
            self._free.append(row)
            self._row[driver] = -1

    def _take(self) -> int:
        """A row for a path of which nothing is known yet."""
        if not self._free:
            rows = len(self._hour)
            more = max(rows, 8)
            self._free = list(range(rows, rows + more))
            self._progress = self._progress.grown(more)
            self._hour = np.append(self._hour, np.full(more, -1))
        row = self._free.pop()
        self._progress.forget(row)
        self._hour[row] = -1
        return row

    def forget_times(self) -> None:
        """The speeds are others now."""
        self._hour[:] = -1

    @property
    def times(self) -> PathTimes:
        """The paths for compiled code."""
        latitude, longitude, along = self._paths.vertices
        start, stop = self._paths.start, self._paths.stop
        return PathTimes(latitude, longitude, along, self._seconds, self._row, start, stop, self._hour)

    def place(self, driver: int, latitude: Floats, longitude: Floats) -> Floats:
        """Metres along a driver's path of his stops in turn; (n,), NaN where there is no path or a stop is off it."""
        row = int(self._row[driver])
        if not len(latitude) or row < 0:
            return np.full(len(latitude), np.nan)
        along, off = self._paths.stops_along(row, latitude, longitude)
        return np.where(off <= OFF_ROUTE_M, along, np.nan)

    def follow(self, legs: Legs) -> Floats:
        """Move drivers on along their paths; (k,) metres along at the end of each leg, NaN without or off a path."""
        at = np.full(len(legs.driver), np.nan)
        row = self._row[legs.driver]
        on = np.flatnonzero(row >= 0)
        if len(on):
            on_path = legs.take(on)
            along, off = routes.follow(
                self._paths,
                self._progress,
                row[on].astype(np.int64),
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
    hour, row = hour_of(t), paths.row[driver]
    if paths.hour[row] == hour:
        return
    paths.hour[row] = hour
    seconds = 0.0
    for i in range(paths.start[row], paths.stop[row] - 1):
        paths.seconds[i] = seconds
        metres = paths.along[i + 1] - paths.along[i]
        parts = max(ceil(metres / PIECE_M), 1)
        east = (paths.longitude[i + 1] - paths.longitude[i] + 180.0) % 360.0 - 180.0
        ends = paths.latitude[i], paths.longitude[i], paths.latitude[i + 1], paths.longitude[i + 1]
        heading = heading_of(*ends)
        for part in range(parts):
            share = (part + 0.5) / parts
            latitude = paths.latitude[i] + share * (paths.latitude[i + 1] - paths.latitude[i])
            longitude = paths.longitude[i] + share * east
            seconds += metres / parts * pace_at(speeds, latitude, longitude, hour, heading)
        paths.seconds[i + 1] = seconds


@helper
def seconds_at(paths: PathTimes, driver: int, along: float) -> float:
    """Seconds from the start of a driver's path to a point along it."""
    row = paths.row[driver]
    i, last = paths.start[row], paths.stop[row] - 1
    while last - i > 1:
        middle = (i + last) // 2
        if paths.along[middle] <= along:
            i = middle
        else:
            last = middle
    length = paths.along[i + 1] - paths.along[i]
    share = min(max((along - paths.along[i]) / length, 0.0), 1.0) if length > 0.0 else 0.0
    return float(paths.seconds[i] + share * (paths.seconds[i + 1] - paths.seconds[i]))
