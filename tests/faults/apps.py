"""Who talks to a server that is killed all the time: each goes on until what it wants is done."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from api.driver_client import DriverClient, Tally
from tests.faults.road import LATE, Street
from tests.support import LiveServer
from tracker.messages import Fix

BATCH = 10
PAUSE_S = 0.02
"""Before something is tried again."""


class Progress:
    """Counts batches that were acknowledged."""

    def __init__(self) -> None:
        self._batches = 0
        self._changed = asyncio.Event()

    def step(self) -> None:
        """One more."""
        self._batches += 1
        self._changed.set()

    async def pass_by(self, batches: int) -> None:
        """Wait for so many more."""
        goal = self._batches + batches
        while self._batches < goal:
            self._changed.clear()
            await self._changed.wait()


class App:
    """Drives a street, leg after leg, a batch once the one before is acknowledged; a dead zone's follow their leg."""

    def __init__(self, server: LiveServer, street: Street) -> None:
        self.street = street
        self.legs: list[list[Fix]] = []
        self._server = server
        self._client = DriverClient(f"{server.ws_url}/driver", server.token(street.driver_id, "driver"), proxy=None)

    @property
    def tally(self) -> Tally:
        """What became of its fixes."""
        return self._client.tally

    async def drive(self, progress: Progress, ended: asyncio.Event, most: int) -> None:
        """Until the end has come and the leg is over, and everything is acknowledged."""
        async with self._client:
            while not ended.is_set() and len(self.legs) < most:
                await put_order(self._server, *self.street.order(len(self.legs)))
                leg = self.street.leg(len(self.legs))
                self.legs.append(leg)
                for batch in _in_batches([*leg[: LATE.start], *leg[LATE.stop :], *leg[LATE]]):
                    self._client.put(batch)
                    await self._client.drained()
                    progress.step()


def _in_batches(fixes: list[Fix]) -> Iterable[list[Fix]]:
    return (fixes[start : start + BATCH] for start in range(0, len(fixes), BATCH))


async def put_order(server: LiveServer, order_id: str, body: dict[str, Any]) -> None:
    """As a back office does that tries until it is told that it is done."""
    headers = {"Authorization": f"Bearer {server.token('boss', 'office')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        while True:
            with suppress(httpx.TransportError):
                answer = await http.put(f"/api/v1/orders/{order_id}", json=body)
                if answer.is_success:
                    return
                assert answer.status_code == 503, answer.text
            await asyncio.sleep(PAUSE_S)


class Subscriber:
    """Hears channels over any number of connections; resumes each where it was, and drops what it knows."""

    def __init__(self, server: LiveServer, role: str, sub: str, channels: Iterable[str]) -> None:
        self.messages: dict[str, dict[str, dict[str, Any]]] = {channel: {} for channel in channels}
        """By channel, then `event_id`."""
        self.repeats = 0
        self._server = server
        self._role, self._sub = role, sub
        self._path = "/office" if role == "office" else ""
        self._seen: dict[str, dict[str, Any]] = {}  # epoch and seq, by channel
        self.ready = asyncio.Event()
        self._heard = asyncio.Event()

    async def listen(self) -> None:
        """For ever."""
        while True:
            with suppress(ConnectionClosed, InvalidHandshake, OSError, TimeoutError):
                token = self._server.token(self._sub, self._role)
                async with connect(f"{self._server.ws_url}{self._path}?token={token}", proxy=None) as socket:
                    for channel in self.messages:
                        since = {"since": self._seen[channel]} if channel in self._seen else {}
                        await socket.send(json.dumps({"type": "subscribe", "channel": channel, **since}))
                    async for text in socket:
                        self._take(json.loads(text))
            await asyncio.sleep(PAUSE_S)

    async def heard(self, channel: str, event_ids: set[str]) -> None:
        """Wait until all of these have come."""
        while not event_ids <= self.messages[channel].keys():
            self._heard.clear()
            await self._heard.wait()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "error":
            assert message["code"] == "store_unavailable", message
            raise ConnectionError
        channel = message.get("channel")
        if channel not in self.messages or "seq" not in message:
            return
        if message["type"] == "subscribed":
            known = channel in self._seen
            assert message.get("recovered") is (True if known else None), message
            self._seen.setdefault(channel, {"epoch": message["epoch"], "seq": message["seq"]})
            if len(self._seen) == len(self.messages):
                self.ready.set()
            return
        known = self.messages[channel].setdefault(message["event_id"], message)
        assert known == message, "one event, told in two ways"
        self.repeats += message["seq"] <= self._seen[channel]["seq"]
        assert message["seq"] <= self._seen[channel]["seq"] + 1, "a message was left out"
        self._seen[channel]["seq"] = max(self._seen[channel]["seq"], message["seq"])
        self._heard.set()
