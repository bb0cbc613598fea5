"""D1: how far along his route a driver is, against the RTK/INS path of the car, which is the route."""

from collections.abc import Iterator

import numpy as np

from benchmarks.accuracy.data import Ride, whu
from benchmarks.accuracy.fences import truth
from benchmarks.accuracy.report import Row
from geo.earth import metres_per_degree
from geo.routes import Paths, Progress, follow
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.records import FixBatch, Floats
from tracker.settings import EngineSettings

WRONG_M = 50.0
BACK_M, AHEAD_MPS = 15.0, 45.0
"""Of the plain window."""


def measure() -> Iterator[Row]:
    """D1 at 1 Hz: ours, the nearest point anywhere, and the nearest in a forward window."""
    rides, paths = whu(), Paths()
    for i, ride in enumerate(rides):
        paths.put(i, *truth()[ride.route][1:])
    true, plains = [], []
    for i, ride in enumerate(rides):
        _, latitude, longitude = truth()[ride.route]
        along = paths.vertices[2, paths.start[i] : paths.stop[i]]
        true.append(np.interp(ride.time, truth()[ride.route][0], along))
        plains.append(plain(ride, latitude, longitude, along))
    nearest, window = (np.concatenate(column) for column in zip(*plains, strict=True))
    errors = [np.abs(column - np.concatenate(true)) for column in (progress(rides, paths), nearest, window)]
    ours, nearest, window = ((e > WRONG_M).mean() * 100 for e in errors)
    yield Row("D1", f"progress more than {WRONG_M:.0f} m wrong %", ours, "<= 0.01", nearest, window, 4)
    ours, nearest, window = (np.percentile(e, 95) for e in errors)
    yield Row("D1", "progress error p95 m", ours, "<= 6.5", nearest, window)


def progress(rides: tuple[Ride, ...], paths: Paths) -> Floats:
    """Metres along by the engine's positions (n,); after a fix that it does not believe, as far as before."""
    engine, n = Engine(EngineSettings()), sum(len(ride.time) for ride in rides)
    driver = np.repeat([engine.driver_row(str(i)) for i in range(len(rides))], [len(ride.time) for ride in rides])
    time, latitude, longitude = (
        np.concatenate([getattr(ride, name) for ride in rides]) for name in ("time", "latitude", "longitude")
    )
    unknown = np.full(n, np.nan)
    found = engine.ingest(FixBatch(driver, time, latitude, longitude, unknown, unknown, unknown, time))
    believed = np.flatnonzero(found.flag == Flag.ACCEPTED)
    row, to = driver[believed], (found.latitude[believed], found.longitude[believed])
    first = np.diff(row, prepend=-1) != 0
    back = [np.where(first, column, np.roll(column, 1)) for column in to]
    along, _ = follow(paths, Progress.empty(len(rides)), row, time[believed], *back, *to, found.sigma[believed])
    return along[np.searchsorted(believed, np.arange(n), side="right") - 1]


def plain(ride: Ride, latitude: Floats, longitude: Floats, along: Floats) -> tuple[Floats, Floats]:
    """Metres along by the nearest point of the path to each fix: of all, and of the forward window."""
    north, east = metres_per_degree(latitude[0])
    x, y = (longitude - longitude[0]) * east, (latitude - latitude[0]) * north
    dx, dy, metres = np.diff(x), np.diff(y), np.diff(along)
    square = np.where(metres > 0, dx * dx + dy * dy, 1.0)
    anywhere, ahead = np.empty(len(ride.time)), np.empty(len(ride.time))
    for i, (t, px, py) in enumerate(
        zip(ride.time, (ride.longitude - longitude[0]) * east, (ride.latitude - latitude[0]) * north, strict=True)
    ):
        share = np.clip(((px - x[:-1]) * dx + (py - y[:-1]) * dy) / square, 0.0, 1.0)
        off = np.hypot(x[:-1] + share * dx - px, y[:-1] + share * dy - py)
        here = along[:-1] + share * metres
        anywhere[i] = ahead[i] = here[np.argmin(off)]
        if i:
            since, until = ahead[i - 1] - BACK_M, ahead[i - 1] + AHEAD_MPS * (t - ride.time[i - 1])
            inside = (along[1:] >= since) & (along[:-1] <= until)
            near = here[np.argmin(np.where(inside, off, np.inf))]
            ahead[i] = max(np.clip(near, since, until), ahead[i - 1])
    return anywhere, ahead
