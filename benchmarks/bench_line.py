"""End to end: driver apps, a server, a durable store and dispatchers, over real sockets. The client has the other core.

python -m pytest benchmarks/bench_line.py -s
"""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import uvloop

from benchmarks.apps import App, Subscriber, batches, cpu_seconds
from tests.postgres import private_server
from tests.support import running_server

DRIVERS, BATCHES, FIXES, AHEAD, SUBSCRIBERS = 200, 100, 10, 2, 20
TOTAL = DRIVERS * BATCHES * FIXES


@dataclass
class Store:
    """Where the server keeps tracks, and the process of its database, if it has one."""

    url: str
    pid: int | None


@pytest.fixture(params=["geopackage", "postgis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Durable: fsync is on."""
    if request.param == "geopackage":
        yield Store(f"sqlite:///{tmp_path}/tracker.gpkg", None)
        return
    with private_server(fsync=True) as server, server.database() as url:
        yield Store(url, int((server.data / "postmaster.pid").read_text().split()[0]))


async def measure(store: Store, directory: Path) -> dict[str, float]:
    """One run, until the last fix is acknowledged."""
    settings = {"rate_limit_per_s": 1e9, "rate_limit_burst": 10**6, "max_connections_per_user": SUBSCRIBERS}
    async with running_server(store.url, directory, **settings) as server:
        apps = [
            App(f"{server.ws_url}/driver", server.token(f"d{i}", "driver"), batches(i, BATCHES, FIXES), AHEAD)
            for i in range(DRIVERS)
        ]
        office = server.token("boss", "office")
        subscribers = [Subscriber(f"{server.ws_url}/office", office) for _ in range(SUBSCRIBERS)]
        for socket in [*apps, *subscribers]:
            await socket.connect()
        for subscriber in subscribers:
            subscriber.subscribe("drivers")
        processes = {"server": server.process.pid, "database": store.pid, "client": os.getpid()}
        before = {name: cpu_seconds(pid) for name, pid in processes.items() if pid and name != "client"}
        client = time.process_time()
        started = time.perf_counter()
        for app in apps:
            app.start()
        await asyncio.gather(*(app.done.wait() for app in apps))
        seconds = time.perf_counter() - started
        used = {name: cpu_seconds(processes[name]) - cpu for name, cpu in before.items()}
        used["client"] = time.process_time() - client
        latencies = np.concatenate([app.latencies for app in apps]) * 1000
        assert sum(app.accepted for app in apps) == TOTAL
        return {
            "fixes/s": round(TOTAL / seconds),
            **{f"{name} us/fix": round(cpu / TOTAL * 1e6, 2) for name, cpu in used.items()},
            "ack p50 ms": round(float(np.percentile(latencies, 50)), 1),
            "ack p99 ms": round(float(np.percentile(latencies, 99)), 1),
            "deliveries/s": round(sum(s.positions for s in subscribers) / seconds),
            "lost": TOTAL - sum(app.accepted for app in apps),
        }


def test_line(benchmark, store: Store, tmp_path: Path) -> None:
    """200 apps with two batches of ten on their way each, 20 dispatchers; as fast as it goes."""
    results: list[dict[str, float]] = []
    benchmark.pedantic(lambda: results.append(uvloop.run(measure(store, tmp_path))), rounds=1)
    benchmark.extra_info |= results[0]
    print("\n  ", "  ".join(f"{name} {value}" for name, value in results[0].items()))
