"""A driver app's connection: sends fixes in batches, and keeps each until it is acknowledged."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from api.client import Client, Token
from api.fix_buffer import FixBuffer
from tracker.errors import SEND_AGAIN
from tracker.messages import Fix, LocationBatch


@dataclass(slots=True)
class Tally:
    """What became of the fixes given to a client."""

    sent: int = 0  # at least once
    accepted: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # by code

    @property
    def acknowledged(self) -> int:
        """Fixes the server has accounted for."""
        return self.accepted + self.duplicates + self.rejected.total()


class DriverClient(Client):
    """`put` takes fixes; one batch is on its way at a time, the rest waits, in `kept_in` also while the app is gone."""

    def __init__(self, url: str, token: Token, *, kept_in: Path | None = None, **options: Any) -> None:
        """`kept_in` is a file of this driver's own; the options are those of `Client`."""
        super().__init__(url, token, **options)
        self.tally = Tally()
        self._buffer = FixBuffer(":memory:" if kept_in is None else kept_in)
        self._batch: LocationBatch | None = None  # on its way
        self._postponed = False
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._task.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, traceback)
        self._buffer.close()

    def put(self, fixes: Iterable[Fix]) -> None:
        """Send these as soon as can be, after all that wait already; one without a time was measured now."""
        now = time.time()
        self._buffer.add(fix if fix.timestamp is not None else replace(fix, timestamp=now) for fix in fixes)
        self._changed.set()

    async def drained(self) -> None:
        """Wait until every fix is acknowledged. Raises TrackerError when the server refuses this client for good."""
        await self._until(lambda: self._task.done() or not len(self._buffer))
        if self._task.done():
            self._task.result()

    async def _exchange(self, socket: ClientConnection) -> float | None:
        sending = asyncio.create_task(self._send_batches())
        try:
            return await super()._exchange(socket)
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await sending

    async def _send_batches(self) -> None:
        while True:
            batch = await self._next_batch()
            self._postponed = False
            await self.send(batch)
            await self._until(lambda batch=batch: self._batch is not batch or self._postponed)  # type: ignore[misc]
            if self._postponed:
                await asyncio.sleep(self._backoff())

    async def _next_batch(self) -> LocationBatch:
        """The batch that is not acknowledged yet, else the next of the fixes that wait."""
        if self._batch is None:
            await self._until(lambda: len(self._buffer) > 0)
            self._batch = self._buffer.take()
            assert self._batch is not None
            self.tally.sent += len(self._batch.fixes or ())
        return self._batch

    async def _take(self, message: dict[str, Any]) -> None:
        batch = self._batch
        if batch is not None and message.get("type") == "location.ack" and message["seq"] == batch.seq:
            self.tally.accepted += message["accepted"]
            self.tally.duplicates += message["duplicates"]
            self._settle(batch, [refused["code"] for refused in message["rejected"]])
        elif batch is not None and message.get("type") == "error" and message.get("ref") == batch.seq:
            if message["code"] in SEND_AGAIN:
                self._postponed = True
            else:
                self._settle(batch, [message["code"]] * len(batch.fixes or ()))
        self._changed.set()
        await super()._take(message)

    def _settle(self, batch: LocationBatch, refused: list[str]) -> None:
        self.tally.rejected.update(refused)
        self._buffer.remove(batch)
        self._batch = None
        self._attempt = 0

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()
