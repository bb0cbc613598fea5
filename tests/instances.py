"""Several instances in this process on one PostGIS store and one Redis, and sockets that keep what they hear."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.protocol import ENDPOINT
from api.warm import warm_up
from tests.fixes import T0, place
from tests.redis_server import RedisServer
from tests.site import Site, order_body, site
from tracker.channels import Viewer

LEASE_S = 0.4


class Ear:
    """A socket that keeps what it hears."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, *kinds: str, **fields: Any) -> dict[str, Any]:
        """The next message of one of these kinds with these fields."""
        async with asyncio.timeout(60):
            while True:
                message = json.loads(await self.socket.recv())
                self.heard.append(message)
                if message["type"] in kinds and fields.items() <= message.items():
                    return message

    async def subscribe(self, channel: str, **fields: Any) -> dict[str, Any]:
        await self.send("subscribe", channel=channel, **fields)
        return await self.until("subscribed", channel=channel)

    async def report(self, seq: int, *t: float) -> None:
        """Fixes so many seconds after T0, going east at 10 m/s."""
        latitude, longitude = place([10 * x for x in t], [0.0] * len(t))
        columns = {
            "timestamp": [T0 + x for x in t],
            "latitude": latitude.tolist(),
            "longitude": longitude.tolist(),
            "speed": [10.0] * len(t),
        }
        await self.send("location_batch", seq=seq, columns=columns)

    async def closed(self) -> int | None:
        """The code with which the server ends it."""
        async with asyncio.timeout(60):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed:
                return self.socket.close_code


@asynccontextmanager
async def listening(here: Site, viewer: Viewer) -> AsyncIterator[Ear]:
    url = f"{str(here.http.base_url).replace('http', 'ws')}{ENDPOINT}?token={here.token(viewer)}"
    async with connect(url) as socket:
        yield Ear(socket)


@asynccontextmanager
async def instances(
    postgres_url: str, redis: RedisServer, count: int = 2, **settings: Any
) -> AsyncIterator[list[Site]]:
    """An engine and edges, ready. They stand still together while anything is compiled, so that comes first."""
    warm_up()
    async with AsyncExitStack() as stack:
        sites = []
        for _ in range(count):
            each = await stack.enter_async_context(
                site(postgres_url, redis=redis.url, lease_s=LEASE_S, drain_s=0.0, **settings)
            )
            await ready(each)
            sites.append(each)
        yield sites


async def ready(here: Site) -> None:
    async with asyncio.timeout(60):
        while (await here.http.get("/readyz")).status_code != 200:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)


async def change(here: Site, address: str) -> None:
    """The order is changed, at a time of its own."""
    here.clock.now += 1.0
    await here.put("orders/O1", order_body(address=address))
