"""Arrivals predicted while drivers drive: 10,000 deliveries again, and the backlog of one driver; one core."""

import numpy as np
import pytest

from benchmarks.traffic import LATITUDE, LONGITUDE, T0, city_points
from geo.earth import distance, offset
from geo.speeds import CELL_M, HEADINGS, HOURS, cell_of, known_speeds
from tracker.deliveries import Found
from tracker.drivers import DriverTable
from tracker.eta import Predictions
from tracker.eta_model import EtaModel, cold_model
from tracker.orders import OrderTable
from tracker.records import Destination, Legs, Order, Route
from tracker.settings import EngineSettings

DELIVERIES, BACKLOG = 10_000, 100_000
SETTINGS = EngineSettings()


def learned_model() -> EtaModel:
    """One that knows every cell of the city in every hour."""
    rng = np.random.default_rng(0)
    steps = np.arange(-32_000.0, 32_000.0, CELL_M / 2)
    latitude, longitude = offset(LATITUDE, LONGITUDE, *(axis.ravel() for axis in np.meshgrid(steps, steps)))
    cells = np.unique([cell_of(lat, lon) for lat, lon in zip(latitude.tolist(), longitude.tolist(), strict=True)])
    model = cold_model(SETTINGS)
    pace = rng.uniform(0.08, 0.3, (HOURS, len(cells)))
    headings = rng.uniform(0.8, 1.2, (HEADINGS, len(cells)))
    speeds = known_speeds(cells, pace, headings, model.speeds.anywhere, model.speeds.circuity)
    return EtaModel(1, speeds, model.intervals, model.service, 0.2)


def prepared(drivers: int, stops: int, *, paths: bool) -> Predictions:
    """Drivers with so many stops each, all over the city, and a planned path of 200 vertices through them or none."""
    table, orders = DriverTable(), OrderTable(SETTINGS)
    predictions = Predictions(table, orders, SETTINGS)
    predictions.use(learned_model())
    latitude, longitude = city_points(drivers * (stops + 1), seed=3)
    for driver in range(drivers):
        row = table.row(f"d{driver}")
        mine = slice(driver * (stops + 1), (driver + 1) * (stops + 1))
        names = [f"{driver}-{i}" for i in range(stops)]
        for name, lat, lon in zip(names, latitude[mine][1:].tolist(), longitude[mine][1:].tolist(), strict=True):
            goal = Destination(latitude=lat, longitude=lon)
            orders.put(Order(order_id=name, customer_id="c", driver_id=f"d{driver}", destination=goal), row)
            predictions.set_order(orders.by_id[name], None)
        if paths:
            share = np.linspace(0, stops, 200)
            corners = np.arange(stops + 1)
            path = np.stack([np.interp(share, corners, longitude[mine]), np.interp(share, corners, latitude[mine])], 1)
            predictions.set_route(row, Route(route_id="r", driver_id=f"d{driver}", stops=names, path=path.tolist()))
    return predictions


def legs(driver: np.ndarray, latitude: np.ndarray, longitude: np.ndarray, t0: np.ndarray, t1: np.ndarray) -> Legs:
    """Legs from a little to the west to these points."""
    west = offset(latitude, longitude, np.full(len(driver), -50.0), np.zeros(len(driver)))[1]
    length = distance(latitude, west, latitude, longitude)
    return Legs(
        **{name: np.zeros(len(driver)) for name in Legs.__slots__}
        | {"driver": driver, "t0": t0, "latitude0": latitude, "longitude0": west, "t1": t1, "latitude1": latitude}
        | {"longitude1": longitude, "sigma1": np.full(len(driver), 4.0), "length": length, "newest": t1}
    )


@pytest.mark.parametrize(("stops", "paths"), [(1, False), (10, False), (10, True)])
def test_predict_again(benchmark, stops: int, paths: bool) -> None:
    """Milliseconds for 10,000 deliveries, all due, most of them across half the city."""
    drivers = DELIVERIES // stops
    predictions = prepared(drivers, stops, paths=paths)
    latitude, longitude = city_points(drivers * (stops + 1), seed=3)
    here = latitude[:: stops + 1], longitude[:: stops + 1]
    turn = iter(range(1, 1_000_000))

    def setup() -> tuple[tuple[Legs], dict[str, object]]:
        t = T0 + 10.0 * next(turn) * np.ones(drivers)
        return (legs(np.arange(drivers), *here, t - 10.0, t),), {}

    def run(due: Legs) -> None:
        predictions.advance(due, np.zeros(drivers), predictions.before(due), Found())

    benchmark.pedantic(run, setup=setup, rounds=15, warmup_rounds=3)
    benchmark.extra_info["ms"] = round(benchmark.stats["median"] * 1e3, 2)


def test_backlog(benchmark) -> None:
    """Microseconds a fix of one driver's 100,000, a prediction each ten of them."""
    predictions = prepared(1, 4, paths=False)
    t = T0 + np.arange(BACKLOG + 1.0)
    latitude, longitude = offset(LATITUDE, LONGITUDE, np.cumsum(np.full(BACKLOG, 0.2)), np.zeros(BACKLOG))
    driven = legs(np.zeros(BACKLOG, np.int64), latitude, longitude, t[:-1], t[1:])

    def run() -> None:
        predictions.advance(driven, np.zeros(BACKLOG), predictions.before(driven), Found())

    benchmark.pedantic(run, rounds=7, warmup_rounds=2)
    benchmark.extra_info["us_per_fix"] = round(benchmark.stats["median"] / BACKLOG * 1e6, 3)
