"""One tick of the engine, no network and no store: 1,000 drivers x 10 fixes among 20,000 known drivers."""

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.traffic import city_fences
from tracker.codec import Report
from tracker.engine import Engine
from tracker.intake import Frame, Intake
from tracker.records import Destination, FixBatch, Order
from tracker.settings import EngineSettings

DRIVERS, KNOWN, FIXES = 1_000, 20_000, 10
T0 = 1_760_000_000.0


class Fleet:
    """Drivers on straight streets of a city, a fix each second, turned round at its edge; seeded."""

    def __init__(self, drivers: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._rng = rng
        self._place = np.stack([25.03 + rng.uniform(-0.2, 0.2, drivers), 121.56 + rng.uniform(-0.2, 0.2, drivers)])
        angle = rng.uniform(0, 2 * np.pi, drivers)
        self._velocity = np.stack([np.cos(angle), np.sin(angle)]) * rng.uniform(3, 15, drivers) / 111_000
        self._t = T0

    def batch(self, fixes: int) -> FixBatch:
        """The next `fixes` seconds of every driver."""
        drivers = self._place.shape[1]
        seconds = np.arange(1, fixes + 1)
        latitude, longitude = self._place[:, :, None] + self._velocity[:, :, None] * seconds
        self._place = np.stack([latitude[:, -1], longitude[:, -1]])
        self._t += fixes
        n = drivers * fixes
        noise = self._rng.normal(0, 3 / 111_000, (2, n))
        return FixBatch(
            driver=np.repeat(np.arange(drivers), fixes),
            fix_time=np.tile(self._t - fixes + seconds, drivers).astype(float),
            latitude=latitude.ravel() + noise[0],
            longitude=longitude.ravel() + noise[1],
            speed=np.repeat(np.hypot(*self._velocity) * 111_000, fixes),
            course=np.full(n, np.nan),
            accuracy=self._rng.uniform(4, 15, n),
            received_at=np.full(n, self._t),
        )


def prepared(fences: int, orders: int) -> Engine:
    """An engine that knows 20,000 drivers, so many geofences, and an order for each of some drivers."""
    engine = Engine(EngineSettings())
    for i in range(KNOWN):
        engine.driver_row(f"driver-{i}")
    engine.set_geofences(city_fences(fences, seed=1))
    rng = np.random.default_rng(2)
    for i in range(orders):
        place = Destination(latitude=25.03 + rng.uniform(-0.2, 0.2), longitude=121.56 + rng.uniform(-0.2, 0.2))
        engine.set_order(Order(order_id=f"o{i}", customer_id=f"c{i}", driver_id=f"driver-{i}", destination=place))
    return engine


def ticks(benchmark, engine: Engine, fleet: Fleet, rounds: int) -> float:
    """CPU seconds of a tick of the whole fleet, the median; what else the machine does counts little in it."""
    taken: list[float] = []

    def tick(batch: FixBatch) -> None:
        taken.append(_seconds(engine.ingest, batch))

    benchmark.pedantic(tick, setup=lambda: ((fleet.batch(FIXES),), {}), rounds=rounds, warmup_rounds=5)
    return float(np.median(taken[5:]))


@pytest.mark.parametrize(("fences", "target"), [(0, None), (10_000, 1.0), (100_000, 2.0)])
def test_tick(benchmark, told, fences: int, target: float | None) -> None:
    """A full tick of 1,000 drivers x 10 fixes."""
    engine, fleet = prepared(fences, orders=DRIVERS), Fleet(DRIVERS)
    seconds = ticks(benchmark, engine, fleet, rounds=20)
    told(f"tick of 10,000 fixes, {fences:,} geofences", seconds / (DRIVERS * FIXES) * 1e6, "us a fix", target)


def test_small_tick(benchmark, told) -> None:
    """A tick of 100 fixes."""
    engine, fleet = prepared(10_000, orders=100), Fleet(10)
    seconds = ticks(benchmark, engine, fleet, rounds=100)
    told("tick of 100 fixes, 10,000 geofences", seconds / (10 * FIXES) * 1e6, "us a fix", 3.0)


def test_backlog(benchmark, told) -> None:
    """One driver's 100,000 fixes while ten others go on: a tick takes both, slice by slice."""
    engine, fleet, others = prepared(10_000, orders=100), Fleet(1), Fleet(11)
    others.batch(1)
    engine.ingest(others.batch(FIXES))
    alone = [_seconds(engine.ingest, _of_others(others)) for _ in range(20)]
    intake = Intake()
    for _ in range(10):
        intake.put(Frame(0, _report(fleet.batch(10_000)), T0 + 1e6, lambda answer: None))
    ticks: list[float] = []

    def run() -> None:
        while intake.fixes:
            batch = intake.take()[0]
            ticks.append(_seconds(engine.ingest, batch) + _seconds(engine.ingest, _of_others(others)))

    benchmark.pedantic(run, rounds=1)
    wait = np.array(ticks) - float(np.median(alone))
    told("backlog of 100,000 fixes of one driver", wait.sum() / 100_000 * 1e6, "us a fix", 2.0)
    told("others wait for it, at worst", float(wait.max()) * 1e3, "ms a tick", 10.0)
    told("others wait for it, in the middle", float(np.median(wait)) * 1e3, "ms a tick", 10.0)


def test_load(benchmark, told) -> None:
    """100,000 circles at the start, and then one more at a time."""
    circles = [geofence for geofence in city_fences(220_000, seed=1) if geofence.type == "Point"]
    first, more = circles[:100_000], circles[100_000:101_000]
    engine = Engine(EngineSettings())
    told("100,000 circles", benchmark.pedantic(_seconds, (engine.set_geofences, first), rounds=1), "s", 2.0)
    told("one more", float(np.median([_seconds(engine.set_geofence, one) for one in more])) * 1e6, "us", None)


def test_memory(benchmark, told) -> None:
    """Bytes a known driver who was seen once, with ids and dictionaries, of 100,000."""
    fleet = Fleet(100_000)
    batch = fleet.batch(1)
    tracemalloc.start()

    def know() -> Engine:
        engine = Engine(EngineSettings())
        for i in range(100_000):
            engine.driver_row(f"driver-{i}")
        engine.ingest(batch)
        return engine

    engine = benchmark.pedantic(know, rounds=1)
    told("memory of a known driver", tracemalloc.get_traced_memory()[0] / len(engine.driver_ids), "bytes", 400.0)
    tracemalloc.stop()


def _seconds(run: Callable[..., object], *args: object) -> float:
    started = time.process_time()
    run(*args)
    return time.process_time() - started


def _report(batch: FixBatch) -> Report:
    names = ("fix_time", "latitude", "longitude", "speed", "course", "accuracy", "source")
    return Report(1, np.stack([getattr(batch, name) for name in names], axis=1).astype(float))


def _of_others(fleet: Fleet) -> FixBatch:
    """All but the first driver's fixes."""
    batch = fleet.batch(FIXES)
    return FixBatch(*(getattr(batch, name)[FIXES:] for name in FixBatch.__slots__))
