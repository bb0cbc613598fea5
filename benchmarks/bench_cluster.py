"""Fan-out from the engine to an edge through Redis: locations a second, and how much later one arrives."""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from api.cluster.bus import Bus
from api.cluster.fanout import Fanout
from api.cluster.topics import Topics
from api.cluster.wire import Names
from api.line import location_frame
from tests.redis_server import private_redis
from tests.sockets import until
from tracker.drivers import Latest
from tracker.hub import Outbox

NAMES = Names("bench")
DRIVERS = 1000
ROUNDS = 50


class StoreStandIn:
    """A store without messages."""

    async def last_seqs(self, topics: Any) -> dict[str, int]:
        return {}


class Pair:
    """An engine's hub and an edge's, each with its connections to Redis, in one process."""

    def __init__(self, url: str) -> None:
        soon = asyncio.get_running_loop().call_soon
        self.arrived: list[float] = []
        self.received = 0
        self._engine = Bus(url, Counter(), lambda channel, payload: None, lambda: None)
        self._edge = Bus(url, Counter(), self._heard, lambda: None)
        self.hub = Fanout(soon, self._engine, NAMES, time.time)
        self.hub.sending, self.hub.elsewhere = True, {"drivers"}
        self._edge_hub = Fanout(soon, self._edge, NAMES, time.time)
        services: Any = SimpleNamespace(store=StoreStandIn())
        self._topics = Topics(services, self._edge_hub, self._edge, NAMES, Counter())
        self._frames = [
            location_frame(Latest(f"driver-{n}", 1e9, 25.0, 121.5, 8.0, 90.0, 5.0, False), 1e9) for n in range(DRIVERS)
        ]

    def _heard(self, channel: str, payload: bytes) -> None:
        self._topics.take("drivers", payload)
        self.received = self._topics._counts["locations"]
        self._edge_hub.flush()

    async def __aenter__(self) -> "Pair":
        outbox = Outbox(lambda data: self.arrived.append(time.perf_counter()), lambda: None, self._edge_hub.counts)
        self._edge_hub.join("drivers", outbox)
        for bus in (self._engine, self._edge):
            bus.start()
            await until(lambda bus=bus: bus.connected)  # type: ignore[misc]
        await self._topics.listening("drivers")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._engine.close()
        await self._edge.close()

    def put(self, count: int, at: float) -> None:
        for n in range(count):
            self.hub.put_latest("drivers", f"driver-{n}", self._frames[n], at)
        self.hub.flush()


async def throughput(url: str) -> float:
    """Locations a second of CPU time, both sides together."""
    async with Pair(url) as pair:
        begun = time.process_time()
        for n in range(ROUNDS):
            pair.put(DRIVERS, float(n))
            await until(lambda n=n: pair.received == (n + 1) * DRIVERS)  # type: ignore[misc]
        return ROUNDS * DRIVERS / (time.process_time() - begun)


async def latency(url: str) -> np.ndarray:
    """Milliseconds from the engine's flush to the edge's write, of single locations."""
    async with Pair(url) as pair:
        spent = []
        for n in range(500):
            begun = time.perf_counter()
            pair.put(1, float(n))
            while len(pair.arrived) <= n:  # noqa: ASYNC110  a future a location would be measured, too
                await asyncio.sleep(0)
            spent.append(1000 * (pair.arrived[n] - begun))
        return np.array(spent)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@pytest.mark.benchmark(group="cluster")
def bench_locations_through_redis(benchmark):
    with private_redis() as redis:
        rate = benchmark.pedantic(lambda: run(throughput(redis.url)), rounds=3)
    benchmark.extra_info["locations_per_cpu_s"] = round(rate)
    print(f"\n{rate:,.0f} locations/s of CPU, engine and edge together")


@pytest.mark.benchmark(group="cluster")
def bench_latency_through_redis(benchmark):
    with private_redis() as redis:
        spent = benchmark.pedantic(lambda: run(latency(redis.url)), rounds=1)
    p50, p99 = np.percentile(spent, [50, 99])
    benchmark.extra_info |= {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
    print(f"\nadded latency p50 {p50:.2f} ms, p99 {p99:.2f} ms")
