"""A client hears all it missed and nothing twice; against a real server that is killed, and a scripted one."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection, serve

from api import client as module
from api.client import Client
from api.driver_client import DriverClient
from tests.support import LiveServer, running_server
from tracker.errors import NotAuthenticated
from tracker.messages import Fix

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLACE = {"latitude": 25.04, "longitude": 121.55}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    directory = tmp_path_factory.mktemp("client")
    async with running_server(f"sqlite:///{directory}/tracker.gpkg", directory) as server:
        yield server


class Heard:
    """What a client hears, to wait for."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    def __call__(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self._changed.set()

    async def first(self, kind: str, **fields: Any) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                for message in self.messages:
                    if message["type"] == kind and fields.items() <= message.items():
                        return message
                self._changed.clear()
                await self._changed.wait()


async def test_what_was_missed_comes_after_a_reconnect_and_nothing_twice(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", 0.1)
    order = {"customer_id": "C1", "driver_id": "D1", "destination": PLACE}
    authorization = {"Authorization": f"Bearer {server.token('U1', 'office')}"}
    heard = Heard()
    async with (
        httpx.AsyncClient(headers=authorization, base_url=server.url) as office,
        Client(server.ws_url, server.token("U2", "office"), on_message=heard, proxy=None) as client,
    ):
        await client.subscribe("orders")
        await heard.first("subscribed")
        (await office.put("/api/v1/orders/O1", json=order)).raise_for_status()
        await heard.first("order.created", order_id="O1")

        server.kill()
        await server.start()
        (await office.put("/api/v1/orders/O2", json=order)).raise_for_status()

        await heard.first("order.created", order_id="O2")
        await heard.first("subscribed", recovered=True)
    created = [message["order_id"] for message in heard.messages if message["type"] == "order.created"]
    assert created == ["O1", "O2"]
    assert client.reconnects > 0


async def test_it_waits_for_a_random_part_of_a_bound_that_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = list[tuple[float, float]]()

    def draw(low: float, high: float) -> float:
        bounds.append((low, high))
        return 0.0

    monkeypatch.setattr(module.random, "uniform", draw)
    async with Client("ws://127.0.0.1:1", "t", proxy=None) as client:
        while len(bounds) < 8:
            await client.sleep(0.001)
    assert bounds[:8] == [(0.0, bound) for bound in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0)]


async def test_a_token_that_ends_is_renewed_on_the_live_socket(server: LiveServer) -> None:
    tokens = [server.token("U1", "office", ttl_s=30), server.token("U1", "office", ttl_s=3600)]
    heard = Heard()

    async def token() -> str:
        return tokens.pop(0)

    async with Client(server.ws_url, token, on_message=heard, proxy=None) as client:
        await heard.first("auth.expiring")
        while [message["type"] for message in heard.messages].count("connection") < 2:
            await client.sleep(0.01)
    assert (tokens, client.reconnects) == ([], 0)


async def test_a_refused_token_is_fetched_once_more_and_then_it_ends(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", 0.0)
    fetched = []

    async def token() -> str:
        fetched.append("bad")
        return fetched[-1]

    async with Client(server.ws_url, token, proxy=None) as client:
        with pytest.raises(NotAuthenticated, match="4401"):
            await client.sleep(60)
    assert len(fetched) == 2


async def test_a_personal_message_is_acknowledged_and_told_once() -> None:
    personal = {"type": "notification", "event_id": "E1", "channel": "user:U1", "seq": 7}
    heard, acknowledged = Heard(), list[dict[str, Any]]()

    async def script(socket: ServerConnection) -> None:
        for _ in range(2):
            await socket.send(json.dumps(personal))
            acknowledged.append(json.loads(await socket.recv()))
        await socket.send('{"type":"heartbeat"}')
        await socket.wait_closed()

    async with serve(script, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Client(url, "t", on_message=heard, proxy=None):
            await heard.first("heartbeat")
    assert acknowledged == [{"type": "ack", "channel": "user:U1", "seq": 7}] * 2
    assert [message["type"] for message in heard.messages] == ["notification", "heartbeat"]


async def test_fixes_outlive_the_app(server: LiveServer, tmp_path: Path) -> None:
    url, kept_in = f"{server.ws_url}/driver", tmp_path / "D9.fixes"
    async with DriverClient("ws://127.0.0.1:9", server.token("D9", "driver"), kept_in=kept_in, proxy=None) as offline:
        offline.put([Fix(25.04, 121.55), Fix(25.041, 121.55)])

    async with DriverClient(url, server.token("D9", "driver"), kept_in=kept_in, proxy=None) as online:
        await online.drained()
    assert online.tally.acknowledged == 2
