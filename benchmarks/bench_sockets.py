"""Sockets of a real server: what they cost, how soon they hear, and what stuck ones do to the rest.

python -m pytest benchmarks/bench_sockets.py -s
BENCH_SOCKETS=20000 python -m pytest benchmarks/bench_sockets.py -s -k idle
"""

import asyncio
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from api.load_sockets import Socket, connect_all, masked
from api.loadtest import Outcome, Plan, loadtest
from benchmarks.bench_line import cpu_seconds
from tests.fixes import LATITUDE, LONGITUDE, place
from tests.support import LiveServer, running_server

SOCKETS = int(os.environ.get("BENCH_SOCKETS", "5000"))
WARM_UP = 500
STUCK = 100
ARRIVALS = 100
LIMITS = {"rate_limit_per_s": 1e9, "rate_limit_burst": 10**6, "log_level": "warning"}


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def percentiles(seconds: Any) -> str:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


async def idle(directory: Path) -> str:
    """What a connection costs to open, and to keep."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with running_server(f"sqlite:///{directory}/t.gpkg", directory, **LIMITS) as server:
        pid = server.process.pid

        async def open_sockets(first: int, count: int) -> None:
            tokens = [server.token(f"U{i}", "customer") for i in range(first, first + count)]
            sockets = [Socket(server.ws_url, token) for token in tokens]
            await connect_all(sockets, True)
            kept.extend(sockets)

        kept: list[Socket] = []
        await open_sockets(0, WARM_UP)
        memory, cpu = resident(pid), cpu_seconds(pid)
        await open_sockets(WARM_UP, SOCKETS)
        memory, cpu = resident(pid) - memory, cpu_seconds(pid) - cpu
        for socket in kept:
            socket.transport.abort()
    rate = f"{SOCKETS / cpu:.0f} connects/s per core, authenticated"
    return f"{SOCKETS} idle: {memory / SOCKETS / 1024:.1f} KiB each; {rate}"


async def stuck(directory: Path) -> list[str]:
    """The same load without, with and again without subscribers that never read."""
    async with running_server(f"sqlite:///{directory}/t.gpkg", directory, **LIMITS) as server:
        plan = Plan(url=server.ws_url, drivers=200, batch=10, rate=50.0, subscribers=50, duration_s=6.0)
        told = [f"{plan.drivers * plan.rate:.0f} fixes/s, nobody stuck: {_of(await loadtest(plan, server.token))}"]
        sockets = [Socket(server.ws_url, server.token(f"STUCK{i}", "office")) for i in range(STUCK)]
        await connect_all(sockets, True)
        for socket in sockets:
            socket.transport.write(masked(b'{"type":"subscribe","channel":"drivers"}'))
            socket.transport.pause_reading()
        told.append(f"{STUCK} stuck as well: {_of(await loadtest(plan, server.token))}")
        for socket in sockets:
            socket.transport.abort()
        told.append(f"they are gone: {_of(await loadtest(plan, server.token))}")
    return told


def _of(outcome: Outcome) -> str:
    assert outcome.ok
    doubts = f" ({'; '.join(outcome.doubts)})" if outcome.doubts else ""
    return f"positions {percentiles(outcome.location_s)}; acks {percentiles(outcome.ack_s)}{doubts}"


async def arrivals(directory: Path) -> str:
    """From the app that sends the fix which shows an arrival to the customer who hears of it, through the commit."""
    async with running_server(f"sqlite:///{directory}/t.gpkg", directory, **LIMITS) as server:
        took = [await _arrival(server, f"{i:03}") for i in range(ARRIVALS)]
    return f"driver_arrived heard after {percentiles(took)}"


async def _arrival(server: LiveServer, name: str) -> float:
    order = {
        "customer_id": f"C{name}",
        "driver_id": f"D{name}",
        "destination": {"latitude": LATITUDE, "longitude": LONGITUDE, "radius": 40},
    }
    headers = {"Authorization": f"Bearer {server.token('U1', 'office')}"}
    async with httpx.AsyncClient(headers=headers, base_url=server.url) as office:
        created = {"created_at": time.time() - 3600}
        (await office.put(f"/api/v1/orders/O{name}", json=order | created)).raise_for_status()
    driver = f"{server.ws_url}/driver?token={server.token(f'D{name}', 'driver')}"
    customer = f"{server.ws_url}?token={server.token(f'C{name}', 'customer')}"
    async with connect(driver) as app, connect(customer) as viewer:
        await viewer.send(json.dumps({"type": "subscribe", "channel": f"order:O{name}"}))
        await _heard(viewer, "subscribed")
        now = time.time()
        # 40 s of driving, a stand of 15 s, which shows nothing yet, and then of 30 s
        await _report(app, 1, np.arange(55) + now - 75)
        await _heard(app, "location.ack")
        sent = time.perf_counter()
        await _report(app, 2, np.arange(20) + now - 20)
        await _heard(viewer, "delivery.update", status="driver_arrived")
        return time.perf_counter() - sent


async def _report(app: ClientConnection, seq: int, times: np.ndarray) -> None:
    stood = times.max() + (20.0 if seq == 1 else 0.0)  # the end of it all
    latitude, longitude = place(np.minimum(8.0 * (times - (stood - 35.0)), 0.0))
    columns = {"timestamp": times.tolist(), "latitude": latitude.tolist(), "longitude": longitude.tolist()}
    await app.send(json.dumps({"type": "location_batch", "seq": seq, "columns": columns}))


async def _heard(socket: ClientConnection, kind: str, **fields: str) -> None:
    async with asyncio.timeout(20):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == kind and fields.items() <= message.items():
                return


@pytest.mark.parametrize("measure", [idle, stuck, arrivals])
def test_sockets(benchmark, measure: Any, tmp_path: Path) -> None:
    """Printed, as each has a scale of its own."""
    results: list[Any] = []
    benchmark.pedantic(lambda: results.append(uvloop.run(measure(tmp_path))), rounds=1)
    told = results[0] if isinstance(results[0], list) else [results[0]]
    benchmark.extra_info["told"] = told
    print("\n  ", "\n   ".join(told))
