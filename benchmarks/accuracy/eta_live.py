"""D4: a bus that follows earlier ones: when it reaches each later stop, as the engine predicts it on the way.

Liverpool's bus 14, a fix each 24 s. For each trip the engine knows what it learned from the trips that had ended before
it began, and drives along the path of the newest of them; a point each kilometre of it is a stop. Every prediction at
every fix for every stop a minute or more ahead counts. The baseline knows no trip:
straight distance, circuity and a usual speed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
from msgspec.structs import replace

from benchmarks.accuracy.data import rows
from benchmarks.accuracy.report import Row
from geo import routes
from geo.earth import distance
from tracker.engine import Engine
from tracker.learning import Learned
from tracker.records import Delivery, Destination, FixBatch, Floats, Ints, Order, Route
from tracker.scores import Score, accuracy, learned_intervals, scores
from tracker.settings import EngineSettings

STOP_EVERY_M = 1_000.0
AHEAD_S = 60.0
SETTINGS = EngineSettings(service_s=0.0)  # a bus halts on its way anyhow, and that is in its speed


@dataclass(frozen=True, slots=True)
class Trip:
    """One ride of a bus, by time; columns (n,)."""

    time: Floats
    latitude: Floats
    longitude: Floats


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a trip is at which time."""

    latitude: float
    longitude: float
    time: float


def measure() -> Iterator[Row]:
    """Errors in seconds and coverage of the interval, of trips with earlier ones to learn from. Raises NoData."""
    trips = _trips()
    ours, plain, learning = list[Score](), list[Score](), list[Score]()
    for number, trip in enumerate(trips, 1):
        earlier = [other for other in trips if other.time[-1] < trip.time[0]]
        if not earlier:
            continue
        learned = Learned()
        for other in earlier:
            learned.add_trip(other.time, other.latitude, other.longitude)
        learned.intervals = learned_intervals([s for s in learning if s.arrived_at < trip.time[0]], learned.assumed)
        engine = Engine(SETTINGS)
        engine.use_model(learned.model(number, SETTINGS))
        usual = max(earlier, key=lambda other: other.time[-1])
        stops = _stops(trip, usual)
        found, told = _predictions(engine, trip, stops, usual)
        ours += found
        learning += told
        plain += _predictions(Engine(SETTINGS), trip, stops, None)[0]
    (mine,), (theirs,) = accuracy(ours), accuracy(plain)
    yield Row("D4", f"bus 14, {mine.predictions} predictions: MAE, s", mine.mae_s, baseline=theirs.mae_s, digits=1)
    yield Row("D4", "bus 14: MAPE, %", 100 * (mine.mape or 0), baseline=100 * (theirs.mape or 0), digits=1)
    yield Row("D4", "bus 14: bias, s", mine.bias_s, baseline=theirs.bias_s, digits=1)
    yield Row("D4", "bus 14: share within the 80 % interval", mine.coverage, baseline=theirs.coverage, digits=3)


def _trips() -> list[Trip]:
    """Rides of at least 20 fixes, in the order they began."""
    found = []
    table = sorted(rows("bus14_liverpool/route14_outbound.csv"), key=lambda row: (row["trip_id"], row["timestamp"]))
    for _, group in groupby(table, key=lambda row: row["trip_id"]):
        fixes = np.array(
            [
                (datetime.fromisoformat(f"{row['timestamp']}+00:00").timestamp(), row["latitude"], row["longitude"])
                for row in group
            ],
            float,
        )
        fixes = fixes[np.unique(fixes[:, 0], return_index=True)[1]]
        if len(fixes) >= 20:
            found.append(Trip(*fixes.T))
    return sorted(found, key=lambda trip: float(trip.time[0]))


def _stops(trip: Trip, usual: Trip) -> list[Stop]:
    """A point each kilometre of the usual path that the trip passes, and when it does."""
    paths = routes.Paths()
    paths.put(0, usual.latitude, usual.longitude)
    legs = distance(usual.latitude[:-1], usual.longitude[:-1], usual.latitude[1:], usual.longitude[1:])
    along = np.append(0.0, np.cumsum(legs))
    progress, n = routes.Progress.empty(1), len(trip.time)
    lat0, lon0 = np.append(trip.latitude[0], trip.latitude[:-1]), np.append(trip.longitude[0], trip.longitude[:-1])
    columns = (trip.time, lat0, lon0, trip.latitude, trip.longitude, np.full(n, 5.0))
    reached, off = routes.follow(paths, progress, np.zeros(n, np.int64), *columns)
    on = off < 100.0
    reached, time = np.maximum.accumulate(reached[on]), trip.time[on]
    at = np.arange(STOP_EVERY_M, along[-1], STOP_EVERY_M)
    at = at[(at > reached[0]) & (at < reached[-1])]
    first = np.searchsorted(reached, at)  # the bus stood: it is there when it first came
    share = (at - reached[first - 1]) / (reached[first] - reached[first - 1])
    when = time[first - 1] + share * (time[first] - time[first - 1])
    places = np.interp(at, along, usual.latitude), np.interp(at, along, usual.longitude)
    return [Stop(*map(float, stop)) for stop in zip(*places, when, strict=True)]


def _predictions(engine: Engine, trip: Trip, stops: list[Stop], usual: Trip | None) -> tuple[list[Score], list[Score]]:
    """What the engine says at each fix of each stop ahead, and what of it was announced.

    A stop is delivered when the bus is there.
    """
    names = [f"{i}" for i in range(len(stops))]
    for i, (name, stop) in enumerate(zip(names, stops, strict=True)):
        goal = Destination(latitude=stop.latitude, longitude=stop.longitude, radius=30.0)
        engine.set_order(Order(order_id=name, customer_id="c", driver_id="bus", destination=goal, created_at=float(i)))
    path = None if usual is None else np.stack([usual.longitude, usual.latitude], axis=1).tolist()
    engine.set_route(Route(route_id="r", driver_id="bus", stops=names, path=path))
    row, found = np.array([engine.driver_row("bus")]), list[Score]()
    told: list[Score] = []
    for t, latitude, longitude in zip(trip.time, trip.latitude, trip.longitude, strict=True):
        for name, stop in zip(names, stops, strict=True):
            if stop.time <= t and name in engine.orders:
                engine.remove_order(name)
        here = (np.array([t]), np.array([latitude]), np.array([longitude]))
        events = engine.ingest(_batch(row, *here)).events
        told += [s for e in events if isinstance(e, Delivery) for s in _scores(e, stops[int(e.order_id)])]
        for name, stop in zip(names, stops, strict=True):
            eta = engine.eta(name)
            if eta is not None and stop.time - t >= AHEAD_S:
                found.append(_score(name, float(t), stop, eta))
    return found, told


def _batch(row: Ints, t: Floats, latitude: Floats, longitude: Floats) -> FixBatch:
    unknown = np.full(len(t), np.nan)
    return FixBatch(row, t, latitude, longitude, unknown, unknown, unknown, received_at=t)


def _scores(event: Delivery, stop: Stop) -> list[Score]:
    """What an announcement was worth."""
    return scores([event], replace(event, kind="driver_arrived", occurred_at=stop.time))


def _score(name: str, t: float, stop: Stop, eta: tuple[float, float, float]) -> Score:
    low, middle, high = eta
    return Score(
        event_id=f"{name}-{t}",
        order_id=name,
        driver_id="bus",
        predicted_at=t,
        arrived_at=stop.time,
        eta=middle,
        eta_low=low,
        eta_high=high,
    )
