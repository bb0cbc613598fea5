"""End to end: `tracker loadtest` against a server with a durable store. The client has the other core.

python -m pytest benchmarks/bench_line.py -s
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import uvloop

from api.loadtest import Plan, loadtest
from tests.postgres import private_server
from tests.support import running_server

DRIVERS, FIXES, SUBSCRIBERS, DURATION_S = 200, 10, 20, 4.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


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
    async with running_server(store.url, directory, rate_limit_per_s=1e9, rate_limit_burst=10**6) as server:
        processes = {"server": server.process.pid, "database": store.pid}
        before: dict[str, float] = {}
        plan = Plan(
            url=server.ws_url,
            drivers=DRIVERS,
            batch=FIXES,
            rate=0.0,
            subscribers=SUBSCRIBERS,
            duration_s=DURATION_S,
        )
        outcome = await loadtest(
            plan,
            server.token,
            ready=lambda: before.update({n: cpu_seconds(pid) for n, pid in processes.items() if pid}),
        )
        used = {name: cpu_seconds(processes[name] or 0) - cpu for name, cpu in before.items()}
        assert outcome.ok
        return {
            "fixes/s": round(outcome.fixes_per_s),
            **{f"{name} us/fix": round(cpu / outcome.accepted * 1e6, 2) for name, cpu in used.items()},
            "client of a core": round(outcome.cpu, 2),
            "ack p50 ms": round(float(np.percentile(outcome.ack_s, 50)) * 1000, 1),
            "ack p99 ms": round(float(np.percentile(outcome.ack_s, 99)) * 1000, 1),
            "position p99 ms": round(float(np.percentile(outcome.location_s, 99)) * 1000, 1),
            "deliveries/s": round(outcome.deliveries / outcome.seconds),
            "lost": outcome.lost,
        }


def test_line(benchmark, store: Store, tmp_path: Path) -> None:
    """200 apps with two batches of ten on their way each, 20 dispatchers; as fast as it goes."""
    results: list[dict[str, float]] = []
    benchmark.pedantic(lambda: results.append(uvloop.run(measure(store, tmp_path))), rounds=1)
    benchmark.extra_info |= results[0]
    print("\n  ", "  ".join(f"{name} {value}" for name, value in results[0].items()))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it."""
    total = 0.0
    for path in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        total += cpu_seconds(int(path))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return total + (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
