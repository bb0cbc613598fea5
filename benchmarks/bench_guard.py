"""The guard: each part against something else in the same run, held against the recorded ratios."""

import json
import warnings
from datetime import datetime
from itertools import count

import numpy as np
import pandas as pd
import pytest
from filterpy.kalman import KalmanFilter

from benchmarks.bench_codec import MESSAGES
from benchmarks.bench_engine import DRIVERS, FIXES, Fleet, prepared
from benchmarks.scalar import Fix, ScalarEngine
from benchmarks.traffic import city_fences
from geo.simplify import simplify
from tracker.codec import decode
from tracker.engine import Engine
from tracker.records import FixBatch
from tracker.settings import EngineSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import movingpandas

FENCES = 10_000


def ticks(drivers: int, orders: int) -> tuple[Engine, ScalarEngine]:
    """Both engines, with the same fences and orders."""
    engine = prepared(FENCES, orders)
    places = [(engine.driver_row(str(order.driver_id)), order) for order in engine.orders.values()]
    return engine, ScalarEngine(city_fences(FENCES, seed=1), places)


def rows(batch: FixBatch) -> list[Fix]:
    return [Fix(*row) for row in zip(*(getattr(batch, name).tolist() for name in Fix._fields), strict=True)]


def hold_ticks(hold, name: str, drivers: int, orders: int, rounds: int) -> None:
    """Ticks of both engines; each takes its own drive on, made before the clock starts."""
    engine, scalar = ticks(drivers, orders)
    fleet, again = Fleet(drivers), Fleet(drivers)
    batches = iter([fleet.batch(FIXES) for _ in range(rounds + 5)])
    lists = iter([rows(again.batch(FIXES)) for _ in range(rounds + 1)])
    scalar.ingest(next(lists))
    hold(name, lambda: engine.ingest(next(batches)), lambda: scalar.ingest(next(lists)), rounds=rounds)


def bench_guard_tick(hold) -> None:
    """1,000 drivers x 10 fixes among 10,000 geofences, against the same tick in plain Python."""
    hold_ticks(hold, "tick of 10,000 fixes over plain Python", DRIVERS, DRIVERS, rounds=5)


def bench_guard_small_tick(hold) -> None:
    """10 drivers x 10 fixes, against the same tick in plain Python."""
    hold_ticks(hold, "tick of 100 fixes over plain Python", 10, 100, rounds=60)


def bench_guard_filter(hold) -> None:
    """The engine without geofences and orders, against filterpy's Kalman filter alone."""
    engine, fleet = Engine(EngineSettings()), Fleet(100)
    for i in range(100):
        engine.driver_row(f"driver-{i}")
    batches = iter([fleet.batch(FIXES) for _ in range(20)])
    each = 100 * FIXES
    filters = [constant_velocity() for _ in range(100)]
    measured = np.random.default_rng(0).normal(0, 5, (each, 2))

    def other() -> None:
        for i in range(each):
            one = filters[i // FIXES]
            one.predict()
            one.update(measured[i])

    hold("filter over filterpy", lambda: engine.ingest(next(batches)), other)


def constant_velocity() -> KalmanFilter:
    """Position and velocity, a fix a second."""
    one = KalmanFilter(dim_x=4, dim_z=2)
    one.F = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]], float)
    one.H = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], float)
    one.P *= 100.0
    one.R *= 25.0
    one.Q *= 0.5
    return one


@pytest.mark.filterwarnings("ignore")
def bench_guard_simplify(hold) -> None:
    """One track with a bound on its synchronous distance, against MovingPandas' top-down time ratio."""
    t = np.arange(1000.0)
    rng = np.random.default_rng(0)
    latitude = 25.0 + np.cumsum(rng.normal(0, 1e-4, len(t)))
    longitude = 121.5 + np.cumsum(rng.normal(0, 1e-4, len(t)))
    frame = pd.DataFrame({"t": pd.to_datetime(t, unit="s"), "x": longitude, "y": latitude})
    track = movingpandas.Trajectory(frame, traj_id=1, t="t", x="x", y="y")
    generalizer = movingpandas.TopDownTimeRatioGeneralizer(track)
    tolerance = 10.0 / 111_195.0
    hold(
        "simplify over MovingPandas",
        lambda: [simplify(t, latitude, longitude, 10.0) for _ in range(50)],
        lambda: generalizer.generalize(tolerance),
        rounds=3,
    )


def bench_guard_decode(hold) -> None:
    """Messages of ten fixes to columns, against the standard library's json and a list a column."""
    data = json.dumps(MESSAGES["fixes"], separators=(",", ":")).encode()
    names = ("latitude", "longitude", "speed", "heading", "accuracy")

    def other() -> None:
        for _ in range(200):
            fixes = json.loads(data)["fixes"]
            np.array([[fix[name] for fix in fixes] for name in names])
            np.array([datetime.fromisoformat(fix["timestamp"]).timestamp() for fix in fixes])

    seconds = count()
    hold("decode over json", lambda: [decode(data, float(next(seconds))) for _ in range(200)], other)
