"""A driver at a server whose store fails for a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from api.driver_client import DriverClient
from storage import open_store
from tests.fixes import T0, place
from tests.support import LiveServer
from tracker.messages import Fix

FIXES = 600
SETTINGS = {"rate_limit_per_s": 1e6, "rate_limit_burst": 10**6}


def drive(first: int = 0, count: int = FIXES) -> list[Fix]:
    """A fix a second, 8 m on each."""
    times = [T0 + first + t for t in range(count)]
    latitude, longitude = place([8.0 * (t - T0) for t in times])
    rows = zip(latitude.tolist(), longitude.tolist(), times, strict=True)
    return [Fix(lat, lon, timestamp=t) for lat, lon, t in rows]


@asynccontextmanager
async def driving(server: LiveServer, lost: list[str]) -> AsyncIterator[DriverClient]:
    """A driver's app; `lost` gets a sentence each time it loses its connection."""
    url, token = f"{server.ws_url}/driver", server.token("d1", "driver")
    async with DriverClient(url, token, proxy=None, notify=lost.append) as client:
        yield client


async def stored(url: str) -> int:
    """Fixes of the driver, once no server is at the store any more."""
    store = open_store(url)
    await store.open()
    try:
        return len((await store.track("d1", T0 - 1, T0 + 1e6)).fix_time)
    finally:
        await store.close()


async def metric(server: LiveServer, name: str) -> float:
    """What the server says of itself."""
    authorization = {"Authorization": f"Bearer {server.token('U1', 'office')}"}
    async with httpx.AsyncClient(headers=authorization) as http:
        answer = await http.get(f"{server.url}/metrics")
    (line,) = [line for line in answer.raise_for_status().text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[-1])


async def has_tried_again(server: LiveServer) -> None:
    """Wait until it has tried, twice more, to store something."""
    before = await metric(server, "tracker_commit_retries_total")
    async with asyncio.timeout(30):
        while await metric(server, "tracker_commit_retries_total") < before + 2:  # noqa: ASYNC110 another process
            await asyncio.sleep(0.02)
