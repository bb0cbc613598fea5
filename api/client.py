"""A driver app's connection: sends fixes in batches, keeps each until it is acknowledged, and reconnects."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from tracker.errors import (
    Conflict,
    InvalidInput,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Overloaded,
    StoreUnavailable,
    TrackerError,
)
from tracker.messages import Fix, LocationBatch

MAX_BATCH = 300
"""Fixes in one message; so it stays below the 64 KiB a message may have."""
BACKOFF_S = 1.0
"""The first wait before connecting again is up to this; it doubles with each attempt, up to BACKOFF_CAP_S."""
BACKOFF_CAP_S = 30.0

_FINAL: dict[int, tuple[type[TrackerError], str]] = {
    4401: (NotAuthenticated, "the server does not accept the token"),
    4403: (NotAllowed, "the server does not let this token send locations"),
    4409: (Conflict, "another connection of this user took the place of this one"),
}
"""Close codes after which an app does not try again by itself."""
_TEMPORARY = {error.code for error in (Overloaded, StoreUnavailable, TrackerError)}
"""Errors after which the same batch may be sent again."""


@dataclass(slots=True)
class Tally:
    """What became of the fixes given to a client."""

    sent: int = 0  # at least once
    accepted: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # by code
    reconnects: int = 0

    @property
    def acknowledged(self) -> int:
        """Fixes the server has accounted for."""
        return self.accepted + self.duplicates + self.rejected.total()


class DriverClient:
    """`async with` keeps it connected; `put` takes fixes, one batch is on its way at a time, the rest waits."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        proxy: Literal[True] | None = True,
        notify: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        """`notify` is told in a sentence when the connection is lost; `proxy` None ignores the environment's."""
        self.tally = Tally()
        self._url = url
        self._token = token
        self._proxy = proxy
        self._notify = notify
        self._waiting: deque[Fix] = deque()
        self._batch: LocationBatch | None = None
        self._postponed = False
        self._seq = 0
        self._attempt = 0
        self._changed = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._ending = False
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._stay_connected())
        self._task.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending = True
        if self._socket is not None:
            await self._socket.close()
        self._task.cancel()
        with suppress(asyncio.CancelledError, TrackerError):  # `sleep` and `drained` raise what ended it
            await self._task

    def put(self, fixes: Iterable[Fix]) -> None:
        """Send these as soon as can be, after all that wait already."""
        self._waiting.extend(fixes)
        self._changed.set()

    async def sleep(self, seconds: float) -> None:
        """Let time pass. Raises TrackerError as soon as the server refuses this client for good."""
        await asyncio.wait([self._task], timeout=seconds)
        if self._task.done():
            self._task.result()

    async def drained(self) -> None:
        """Wait until every fix is acknowledged. Raises TrackerError when the server refuses this client for good."""
        await self._until(lambda: self._task.done() or not (self._waiting or self._batch))
        if self._task.done():
            self._task.result()

    # The connection

    async def _stay_connected(self) -> None:
        while True:
            wait = None
            try:
                async with connect(
                    self._url,
                    additional_headers={"Authorization": f"Bearer {self._token}"},
                    compression=None,
                    proxy=self._proxy,
                ) as self._socket:
                    wait = await self._exchange(self._socket)
                    reason = "the server closed the connection"
            except (ConnectionClosed, InvalidHandshake, InvalidURI, OSError, TimeoutError) as error:
                reason = _reason(error)
            if self._ending:
                return
            self.tally.reconnects += 1
            wait = self._backoff() if wait is None else wait
            self._notify(f"{reason}; connecting again in {wait:.1f} s")
            await asyncio.sleep(wait)

    def _backoff(self) -> float:
        """Seconds to wait: full jitter under an exponential bound."""
        bound = min(BACKOFF_S * 2.0**self._attempt, BACKOFF_CAP_S)
        self._attempt += 1
        return random.uniform(0.0, bound)  # noqa: S311

    async def _exchange(self, socket: ClientConnection) -> float | None:
        """Send and listen until the connection ends; seconds to wait before the next, if the server says so."""
        sending = asyncio.create_task(self._send_batches(socket))
        try:
            async for text in socket:
                message = msgspec.json.decode(text)
                if message.get("type") == "reconnect":
                    return float(message["after_ms"]) / 1000.0
                self._take_answer(message)
            return None
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await sending

    async def _send_batches(self, socket: ClientConnection) -> None:
        while True:
            batch = await self._next_batch()
            self._postponed = False
            await socket.send(msgspec.json.encode(batch), text=True)
            await self._until(lambda batch=batch: self._batch is not batch or self._postponed)  # type: ignore[misc]
            if self._postponed:
                await asyncio.sleep(self._backoff())

    async def _next_batch(self) -> LocationBatch:
        """The batch that is not acknowledged yet, else a new one of the fixes that wait."""
        if self._batch is None:
            await self._until(lambda: bool(self._waiting))
            fixes = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
            self._seq += 1
            self._batch = LocationBatch(seq=self._seq, fixes=fixes)
            self.tally.sent += len(fixes)
        return self._batch

    def _take_answer(self, message: dict[str, Any]) -> None:
        if self._batch is None:
            return
        if message.get("type") == "location.ack" and message["seq"] == self._batch.seq:
            self.tally.accepted += message["accepted"]
            self.tally.duplicates += message["duplicates"]
            self.tally.rejected.update(refused["code"] for refused in message["rejected"])
            self._batch = None
            self._attempt = 0
        elif message.get("type") == "error" and message.get("ref") == self._batch.seq:
            if message["code"] in _TEMPORARY:
                self._postponed = True
            else:
                self.tally.rejected[message["code"]] += len(self._batch.fixes or ())
                self._batch = None
        self._changed.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


def _reason(error: Exception) -> str:
    """Why the connection ended, in words. Raises TrackerError when it is of no use to try again."""
    if isinstance(error, InvalidURI):
        raise InvalidInput(f"{error.uri}: not the address of a WebSocket; it begins with ws:// or wss://") from None
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if 400 <= status < 500 and status not in (408, 429):
            raise NotFound(f"the server answers {status} {error.response.reason_phrase}; check the address") from None
        return f"the server answers {status} {error.response.reason_phrase}"
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        if error.rcvd.code in _FINAL:
            kind, sentence = _FINAL[error.rcvd.code]
            raise kind(f"{sentence} ({error.rcvd.code} {error.rcvd.reason})") from None
        return f"the server closed the connection ({error.rcvd.code} {error.rcvd.reason})"
    return f"no connection: {error}"
