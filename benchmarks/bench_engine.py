"""One tick of the engine, no network and no store: 1,000 drivers x 10 fixes among 20,000 known drivers."""

import numpy as np
import pytest

from benchmarks.traffic import city_fences
from tracker.engine import Engine
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
    for geofence in city_fences(fences, seed=1):
        engine.set_geofence(geofence)
    rng = np.random.default_rng(2)
    for i in range(orders):
        place = Destination(latitude=25.03 + rng.uniform(-0.2, 0.2), longitude=121.56 + rng.uniform(-0.2, 0.2))
        engine.set_order(Order(order_id=f"o{i}", customer_id=f"c{i}", driver_id=f"driver-{i}", destination=place))
    return engine


@pytest.mark.parametrize("fences", [0, 10_000, 100_000])
def test_tick(benchmark, fences: int) -> None:
    """Microseconds a fix of a full tick."""
    engine, fleet = prepared(fences, orders=DRIVERS), Fleet(DRIVERS)
    engine.ingest(fleet.batch(FIXES))
    benchmark.pedantic(engine.ingest, setup=lambda: ((fleet.batch(FIXES),), {}), rounds=20, warmup_rounds=3)
    benchmark.extra_info["us_per_fix"] = round(benchmark.stats["median"] / (DRIVERS * FIXES) * 1e6, 3)


def test_small_tick(benchmark) -> None:
    """Microseconds a fix of a tick of 100 fixes."""
    engine, fleet = prepared(10_000, orders=100), Fleet(10)
    engine.ingest(fleet.batch(FIXES))
    benchmark.pedantic(engine.ingest, setup=lambda: ((fleet.batch(FIXES),), {}), rounds=50, warmup_rounds=3)
    benchmark.extra_info["us_per_fix"] = round(benchmark.stats["median"] / 100 * 1e6, 3)
