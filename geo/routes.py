"""Paths on the ground and how far along them drivers are: where they can have got, not the nearest point anywhere.

A path that crosses itself, or comes back down the same street, passes near a position several times. The right pass is
ahead of where the driver was, by about as much as he moved, and in the direction he goes.
"""

from dataclasses import dataclass
from math import hypot, inf, isnan, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled
from geo.earth import distance, metres_per_degree, metric_scale, wrap_degrees, wrapped

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BACK_M = 15.0
"""Noise may seem to take a driver back by so much."""
AHEAD_MPS = 45.0
"""No driver gets on faster than this."""
PATH_SIGMA_M = 5.0
"""How well a path runs where its driver drives: lanes, pavements, rounded bends."""
STEP_SIGMA_M, STEP_SHARE = 5.0, 0.3
"""How well metres along the path agree with metres moved: sigma, and what each metre moved adds to it."""
TURN_COST = 8.0
"""What it costs a pass to run against the way the driver moves, in squared sigmas."""
START_COST = 4.0
"""What it costs a first position to be at the path's end rather than at its start: rounds end where they began."""
OFF_ROUTE_M, OFF_ROUTE_SIGMAS = 50.0, 3.0
"""Further from the path than both of these is off it."""
REJOIN_AFTER_S = 20.0
"""Off the path ahead for so long, a driver is looked for on all of it, also further back."""

_ALONG, _HERE, _TIME, _LATITUDE, _LONGITUDE, _OFF_SINCE, _OFF = range(7)
_FIELDS = 7


class Paths:
    """Paths by row, in flat columns: vertices [start[row], stop[row]) of `latitude`, `longitude`, `along` (m)."""

    def __init__(self) -> None:
        self.vertices = np.empty((3, 0))  # latitude, longitude, along
        self.start, self.stop = np.empty(0, np.int64), np.empty(0, np.int64)
        self._used = 0
        self._live = 0

    def put(self, row: int, latitude: Floats, longitude: Floats) -> None:
        """Add or replace the path of a row: degrees, (k,) with k of at least two."""
        self.drop(row)
        if row >= len(self.start):
            grown = np.zeros(max(row + 1, 2 * len(self.start)) - len(self.start), np.int64)
            self.start, self.stop = np.append(self.start, grown), np.append(self.stop, grown)
        k = len(latitude)
        if self._used + k > self.vertices.shape[1]:
            self._make_room(k)
        legs = distance(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:])
        new = slice(self._used, self._used + k)
        self.vertices[:, new] = latitude, longitude, np.concatenate([[0.0], np.cumsum(legs)])
        self.start[row], self.stop[row] = new.start, new.stop
        self._used, self._live = new.stop, self._live + k

    def drop(self, row: int) -> None:
        """Forget the path of a row."""
        if row < len(self.start):
            self._live -= int(self.stop[row] - self.start[row])
            self.start[row] = self.stop[row] = 0

    def _make_room(self, k: int) -> None:
        """Close the gaps of dropped paths, with as much room again as is in use."""
        old, (rows,) = self.vertices, np.nonzero(self.stop > self.start)
        self.vertices = np.empty((3, 2 * (self._live + k)))
        self._used = 0
        for row in rows.tolist():
            begin, end = int(self.start[row]), int(self.stop[row])
            self.vertices[:, self._used : self._used + end - begin] = old[:, begin:end]
            self.start[row], self.stop[row] = self._used, self._used + end - begin
            self._used += end - begin

    def has(self, row: Ints) -> Bools:
        """Whether each row (n,) has a path."""
        known = row < len(self.start)
        safe = np.where(known, row, 0)
        return known & (self.stop[safe] > self.start[safe]) if len(self.start) else known

    def length(self, row: Ints) -> Floats:
        """Metres of the path of each row (n,), all of which have one."""
        metres: Floats = self.vertices[2, self.stop[row] - 1]
        return metres

    def stops_along(self, row: int, latitude: Floats, longitude: Floats) -> tuple[Floats, Floats]:
        """Where stops (n,), made in turn, lie along the path of a row: metres along, never falling, and metres off."""
        part = self.vertices[:, self.start[row] : self.stop[row]]
        return _stops_along(part[0], part[1], part[2], latitude, longitude)


@dataclass(frozen=True, slots=True)
class Path:
    """A polyline of k vertices; `along` (k,) is the distance from its start, m."""

    latitude: Floats
    longitude: Floats
    along: Floats

    @classmethod
    def of(cls, latitude: Floats, longitude: Floats) -> "Path":
        """Measure a polyline of at least two vertices."""
        legs = distance(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:])
        return cls(latitude, longitude, np.concatenate([[0.0], np.cumsum(legs)]))

    def locate(
        self, latitude: float, longitude: float, since: float = 0.0, until: float = np.inf
    ) -> tuple[float, float]:
        """Nearest point of the path between `since` and `until` metres along: (distance along, distance off), m.

        A forward window keeps a position on the right pass of a path that crosses itself; an empty one gives NaN.
        """
        here = (self.along[1:] >= since) & (self.along[:-1] <= until)
        if not here.any():
            return float("nan"), float("nan")
        north, east = metres_per_degree(latitude)
        x = wrap_degrees(self.longitude - longitude) * east
        y = (self.latitude - latitude) * north
        x0, y0, dx, dy = x[:-1][here], y[:-1][here], np.diff(x)[here], np.diff(y)[here]
        square = dx * dx + dy * dy
        share = np.clip(-(x0 * dx + y0 * dy) / np.where(square > 0, square, 1.0), 0.0, 1.0)
        off = np.hypot(x0 + share * dx, y0 + share * dy)
        best = int(np.argmin(off))
        start, length = self.along[:-1][here], np.diff(self.along)[here]
        return float(np.clip(start[best] + share[best] * length[best], since, until)), float(off[best])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far along their paths drivers are; columns (rows,), NaN before anything is known."""

    array: Floats  # (_FIELDS, rows)

    @classmethod
    def empty(cls, rows: int) -> "Progress":
        """Nobody is anywhere."""
        return cls(np.full((_FIELDS, rows), np.nan))

    def grown(self, extra: int) -> "Progress":
        """The same with room for more."""
        return Progress(np.concatenate([self.array, np.full((_FIELDS, extra), np.nan)], axis=1))

    def forget(self, row: int) -> None:
        """Start anew: the path of this row has changed."""
        self.array[:, row] = np.nan

    @property
    def along(self) -> Floats:
        """Metres along the path; grows, but for a driver who went back and joined it again further back."""
        column: Floats = self.array[_ALONG]
        return column

    @property
    def off(self) -> Floats:
        """Metres from the part of the path that could be reached."""
        column: Floats = self.array[_OFF]
        return column

    @property
    def off_since(self) -> Floats:
        """When the driver left the path; NaN on it."""
        column: Floats = self.array[_OFF_SINCE]
        return column


def follow(
    paths: Paths,
    progress: Progress,
    row: Ints,
    time: Floats,
    latitude0: Floats,
    longitude0: Floats,
    latitude: Floats,
    longitude: Floats,
    sigma: Floats,
) -> tuple[Floats, Floats]:
    """Advance the progress of drivers by one leg each or more: from (latitude0, longitude0) to (latitude, longitude).

    Columns (n,), in order of time within a row; seconds, degrees, `sigma` of the position per axis in metres. Returns
    metres along and metres off the path (n,) at the end of each leg; NaN where the row has no path.
    """
    path_latitude, path_longitude, path_along = paths.vertices
    return _follow(
        path_latitude, path_longitude, path_along, paths.start, paths.stop, progress.array,
        row, time, latitude0, longitude0, latitude, longitude, sigma,
    )  # fmt: skip


@compiled
def _follow(
    path_latitude: Floats,
    path_longitude: Floats,
    path_along: Floats,
    start: Ints,
    stop: Ints,
    state: Floats,
    row: Ints,
    time: Floats,
    latitude0: Floats,
    longitude0: Floats,
    latitude: Floats,
    longitude: Floats,
    sigma: Floats,
) -> tuple[Floats, Floats]:
    n = len(row)
    along, off = np.full(n, nan), np.full(n, nan)
    for i in range(n):
        r = row[i]
        if r >= len(start) or stop[r] - start[r] < 2:
            continue
        path = path_latitude[start[r] : stop[r]], path_longitude[start[r] : stop[r]], path_along[start[r] : stop[r]]
        total = path[2][-1]
        north, east = metric_scale(latitude[i])
        go = wrapped(longitude[i] - longitude0[i]) * east, (latitude[i] - latitude0[i]) * north
        here = latitude[i], longitude[i], hypot(PATH_SIGMA_M, sigma[i])
        limit = max(OFF_ROUTE_M, OFF_ROUTE_SIGMAS * sigma[i])
        reached, off_since = state[_ALONG, r], state[_OFF_SINCE, r]
        if isnan(reached):
            s, d = _best(path, 0.0, total, here, go, 0.0, 0.0, inf, START_COST / total)
        else:
            x = wrapped(longitude[i] - state[_LONGITUDE, r]) * east
            moved = hypot(x, (latitude[i] - state[_LATITUDE, r]) * north)
            slack = hypot(STEP_SIGMA_M + STEP_SHARE * moved, sigma[i])
            if not isnan(off_since):
                slack += AHEAD_MPS * (time[i] - off_since)
            was = state[_HERE, r]
            since = max(reached - BACK_M, 0.0)
            until = min(reached + BACK_M + AHEAD_MPS * (time[i] - state[_TIME, r]), total)
            s, d = _best(path, since, until, here, go, was, moved, slack, 0.0)
            if d > limit and time[i] - off_since >= REJOIN_AFTER_S:
                s_any, d_any = _best(path, 0.0, total, here, go, was, 0.0, inf, 1.0 / total)
                if d_any <= limit:
                    s, d, reached = s_any, d_any, nan
        if d <= limit:
            state[_ALONG, r] = s if isnan(reached) else max(s, reached)
            state[_HERE, r] = s
            state[_TIME, r], state[_LATITUDE, r], state[_LONGITUDE, r] = time[i], latitude[i], longitude[i]
            state[_OFF_SINCE, r] = nan
        elif isnan(off_since):
            state[_OFF_SINCE, r] = time[i]
        state[_OFF, r] = d
        along[i], off[i] = state[_ALONG, r], d
    return along, off


@compiled
def _best(
    path: tuple[Floats, Floats, Floats],
    since: float,
    until: float,
    here: tuple[float, float, float],
    go: tuple[float, float],
    was: float,
    moved: float,
    slack: float,
    cost_per_m: float,
) -> tuple[float, float]:
    """The point of a path within [since, until] metres along that fits a position best: (metres along, metres off).

    `here` is latitude, longitude and sigma; `go` the leg that led there, metres east and north. It should be at most
    `moved` metres on from `was` along the path, `slack` is the sigma of that.
    """
    path_latitude, path_longitude, path_along = path
    latitude, longitude, sigma = here
    north, east = metric_scale(latitude)
    leg2 = go[0] * go[0] + go[1] * go[1]
    turn = 0.5 * TURN_COST / (leg2 + sigma * sigma)  # times the leg's length squared and 1 - cosine
    last = len(path_along) - 1
    first = min(max(int(np.searchsorted(path_along, since, side="right")) - 1, 0), last - 1)
    best, best_along, best_off = inf, nan, inf
    x1, y1 = wrapped(path_longitude[first] - longitude) * east, (path_latitude[first] - latitude) * north
    for j in range(first, last):
        if path_along[j] > until:
            break
        x0, y0 = x1, y1
        x1, y1 = wrapped(path_longitude[j + 1] - longitude) * east, (path_latitude[j + 1] - latitude) * north
        dx, dy, metres = x1 - x0, y1 - y0, path_along[j + 1] - path_along[j]
        square = dx * dx + dy * dy
        share = -(x0 * dx + y0 * dy) / square if square > 0.0 else 0.0
        low = max((since - path_along[j]) / metres, 0.0) if metres > 0.0 else 0.0
        high = min((until - path_along[j]) / metres, 1.0) if metres > 0.0 else 0.0
        share = min(max(share, low), high)
        off2 = (x0 + share * dx) ** 2 + (y0 + share * dy) ** 2
        cost = off2 / (sigma * sigma)
        if cost >= best:
            continue
        along = path_along[j] + share * metres
        cost += (max(along - was - moved, was - along, 0.0) / slack) ** 2 + cost_per_m * abs(along - was)
        if square > 0.0:
            cost += turn * (leg2 - (go[0] * dx + go[1] * dy) * sqrt(leg2 / square))
        if cost < best:
            best, best_along, best_off = cost, along, sqrt(off2)
    return best_along, best_off


@compiled
def _stops_along(
    path_latitude: Floats, path_longitude: Floats, path_along: Floats, latitude: Floats, longitude: Floats
) -> tuple[Floats, Floats]:
    """The order-keeping choice of segments with the least sum of squared metres off, by dynamic programming."""
    n, m = len(latitude), len(path_along) - 1
    cost, share = (
        np.zeros(m),
        np.zeros(m),
    )  # of the best choice that ends on a segment; where on it
    along, off, came = np.empty((n, m)), np.empty((n, m)), np.empty((n, m), np.int64)
    for i in range(n):
        north, east = metric_scale(latitude[i])
        before, best = -1, 0.0 if i == 0 else inf  # of the segments before
        for j in range(m):
            x, y = wrapped(path_longitude[j] - longitude[i]) * east, (path_latitude[j] - latitude[i]) * north
            dx = wrapped(path_longitude[j + 1] - path_longitude[j]) * east
            dy = (path_latitude[j + 1] - path_latitude[j]) * north
            square = dx * dx + dy * dy
            nearest = min(max(-(x * dx + y * dy) / square if square > 0.0 else 0.0, 0.0), 1.0)
            further = max(nearest, share[j])
            fresh = best + (x + nearest * dx) ** 2 + (y + nearest * dy) ** 2
            same = cost[j] + (x + further * dx) ** 2 + (y + further * dy) ** 2
            came[i, j] = before if fresh < same else j
            if cost[j] < best:
                before, best = j, cost[j]
            share[j] = nearest if came[i, j] != j else further
            cost[j] = min(fresh, same)
            along[i, j] = path_along[j] + share[j] * (path_along[j + 1] - path_along[j])
            off[i, j] = hypot(x + share[j] * dx, y + share[j] * dy)
    chosen_along, chosen_off = np.empty(n), np.empty(n)
    j = int(np.argmin(cost))
    for i in range(n - 1, -1, -1):
        chosen_along[i], chosen_off[i] = along[i, j], off[i, j]
        j = came[i, j]
    return chosen_along, chosen_off
