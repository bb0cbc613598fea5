"""What a server keeps while its database is away: no more than it is told to, however much drivers send."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from storage import open_store
from tests.faults.outage import SETTINGS, has_tried_again, metric
from tests.fixes import T0, place
from tests.postgres import private_server
from tests.support import LiveServer, running_server

DRIVERS = 20
BATCH = 100
BATCHES = 300
"""Of each driver: far more than the server may keep."""
PENDING = 10_000
READ = 60
"""Batches of a socket that come in one read; what is read is taken."""
MOST_BYTES = 48 * 2**20
"""By which a server may grow that keeps so few fixes: it is a few hundred bytes each, and the buffers of sockets."""


class Flood:
    """A driver who sends batch after batch without waiting for an answer, as fast as the server reads."""

    def __init__(self, number: int, socket: ClientConnection) -> None:
        self.driver_id = f"d{number}"
        self.acknowledged = 0
        self._socket = socket

    async def send(self) -> None:
        """All batches."""
        for seq in range(BATCHES):
            times = [T0 + BATCH * seq + t for t in range(BATCH)]
            latitude, longitude = place([8.0 * (t - T0) for t in times])
            columns = {"timestamp": times, "latitude": latitude.tolist(), "longitude": longitude.tolist()}
            await self._socket.send(json.dumps({"type": "location_batch", "seq": seq, "columns": columns}))

    async def listen(self) -> None:
        """Until all are acknowledged, in order and with every fix accepted."""
        while self.acknowledged < BATCHES:
            message = json.loads(await self._socket.recv())
            if message["type"] == "location.ack":
                assert (message["seq"], message["accepted"]) == (self.acknowledged, BATCH), message
                self.acknowledged += 1


async def test_memory_is_bounded_while_the_database_is_away(tmp_path: Path) -> None:
    with private_server() as database, database.database() as url:
        async with (
            running_server(url, tmp_path, **SETTINGS, max_pending_fixes=PENDING) as server,
            asyncio.timeout(180),
            floods(server) as drivers,
            asyncio.TaskGroup() as tasks,
        ):
            before = await metric(server, "process_resident_memory_bytes")
            database.stop()
            for driver in drivers:
                tasks.create_task(driver.send())
                tasks.create_task(driver.listen())
            pending = await most_pending(server)
            grown = await metric(server, "process_resident_memory_bytes") - before
            print(f"{pending:.0f} fixes pending, {grown / 2**20:.1f} MiB more")
            assert PENDING < pending <= PENDING + DRIVERS * READ * BATCH
            assert grown < MOST_BYTES
            await asyncio.to_thread(database.start)
        store = open_store(url)
        await store.open()
        for driver in drivers:
            track = await store.track(driver.driver_id, T0, T0 + BATCH * BATCHES)
            assert len(track.fix_time) == BATCH * BATCHES
        await store.close()


@asynccontextmanager
async def floods(server: LiveServer) -> AsyncIterator[list[Flood]]:
    async with AsyncExitStack() as stack:
        drivers = []
        for number in range(DRIVERS):
            token = server.token(f"d{number}", "driver")
            url = f"{server.ws_url}/driver?token={token}"
            drivers.append(
                Flood(
                    number,
                    await stack.enter_async_context(connect(url, proxy=None, compression=None, ping_interval=None)),
                )
            )
        yield drivers


async def most_pending(server: LiveServer) -> float:
    """Fixes that the server keeps once it takes no more, although it goes on trying to store them."""
    pending = -1.0
    while pending < (now := await metric(server, "tracker_writer_fixes")):
        pending = now
        await has_tried_again(server)
    return pending
