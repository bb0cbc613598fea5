"""The two connections of an instance to Redis: commands, many in one write; and what it is subscribed to."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tracker.errors import ConfigurationError

log = structlog.get_logger()

Argument = bytes | str | int | float
ANSWER_S = 3.0
"""A Redis that takes longer to answer is not there."""
PING_S = 1.0
MOST_PINGS = 5
"""A subscription on which so many pings in a row brought nothing is cut."""
AGAIN_S = 0.25
MOST_WAITING = 64 * 1024 * 1024
"""Bytes of commands that may wait; more are dropped, and what they were for is repaired as after any loss."""
UNREACHABLE = (RedisError, OSError, TimeoutError)


class Bus:
    """Commands go out in order. A subscription that was cut is never mended in silence: `up` is told of each new one.

    `heard` takes a channel and what was published in it; `up` is called when everything wanted is subscribed to,
    the first time and after every loss.
    """

    def __init__(
        self, url: str, counts: Counter[str], heard: Callable[[str, bytes], None], up: Callable[[], None]
    ) -> None:
        options: dict[str, Any] = {"protocol": 2, "retry": Retry(NoBackoff(), 0), "socket_connect_timeout": ANSWER_S}
        try:
            self.redis = Redis.from_url(url, socket_timeout=ANSWER_S, **options)
            self._listening = Redis.from_url(url, socket_timeout=None, **options)
        except ValueError:
            raise ConfigurationError(
                "redis: must be redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH", field="redis"
            ) from None
        self.connected = False
        """Whether what is published is heard here now."""
        self._counts = counts
        self._heard = heard
        self._up = up
        self._wanted: set[str] = set()
        self._subscribed: dict[str, asyncio.Future[None]] = {}  # set once Redis says so
        self._connection: Connection | None = None
        self._pings = 0  # since anything came
        self._commands: list[tuple[Argument, ...]] = []
        self._waiting = 0  # bytes
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()  # nothing waits, and nothing is on its way
        self._sent.set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Connect, and stay connected."""
        self._tasks = [asyncio.create_task(work) for work in (self._send(), self._listen(), self._ping())]

    async def close(self) -> None:
        """Send what waits, as far as it can be, and disconnect."""
        sending, *others = self._tasks
        await end(others)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await self._sent.wait()
        await end([sending])
        await self.redis.aclose()
        await self._listening.aclose()

    # Out

    def send(self, *command: Argument) -> None:
        """Have a command sent soon, together with others, after those before it; nobody waits for its answer."""
        size = sum(len(part) for part in command if isinstance(part, bytes))
        if self._waiting + size > MOST_WAITING:
            self._counts["unsent"] += 1
            return
        self._commands.append(command)
        self._waiting += size
        self._sent.clear()
        self._wake.set()

    def publish(self, channel: str, payload: bytes) -> None:
        """Publish in a channel, in turn with other commands."""
        self.send("PUBLISH", channel, payload)

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            commands, self._commands = self._commands, []
            self._waiting = 0
            pipeline = self.redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            try:
                failed = [answer for answer in await pipeline.execute(False) if isinstance(answer, Exception)]
            except UNREACHABLE:
                self._counts["unsent"] += len(commands)
            else:
                self._counts["unsent"] += len(failed)
                for error in failed[:1]:
                    log.error("redis refused", error=str(error), commands=len(failed))
            if not self._commands:
                self._sent.set()

    # In

    def subscribe(self, channels: Iterable[str]) -> None:
        """Hear these channels too."""
        fresh = [channel for channel in channels if channel not in self._wanted]
        self._wanted.update(fresh)
        self._ask("SUBSCRIBE", fresh)

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Hear these channels no more."""
        gone = [channel for channel in channels if channel in self._wanted]
        self._wanted.difference_update(gone)
        for channel in gone:
            self._subscribed.pop(channel, None)
        self._ask("UNSUBSCRIBE", gone)

    async def subscribed(self, channels: Iterable[str]) -> None:
        """Wait until Redis has said that these wanted channels are heard. Raises TimeoutError."""
        waiting = [self._mark(channel) for channel in channels]
        if waiting:
            async with asyncio.timeout(ANSWER_S):
                await asyncio.shield(asyncio.gather(*waiting))

    def _mark(self, channel: str) -> "asyncio.Future[None]":
        if channel not in self._subscribed:
            self._subscribed[channel] = asyncio.get_running_loop().create_future()
        return self._subscribed[channel]

    def _ask(self, command: str, channels: Iterable[str] = ()) -> None:
        """Write to the connection that listens; its answers come among what is heard."""
        connection = self._connection
        channels = list(channels)
        if connection is not None and (channels or command == "PING"):
            task = asyncio.ensure_future(_write(connection, command, channels))
            task.add_done_callback(lambda done: done.exception())  # the loop that reads sees that it ended

    async def _listen(self) -> None:
        while True:
            connection: Connection = self._listening.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                self._connection, self._pings = connection, 0
                channels = list(self._wanted)
                self._ask("SUBSCRIBE", channels)
                await self._hear(connection, set(channels))
            except UNREACHABLE as error:
                if self.connected:
                    self._counts["disconnects"] += 1
                    log.warning("redis lost", error=type(error).__name__)
            finally:
                self.connected, self._connection = False, None
                for channel in [name for name, mark in self._subscribed.items() if mark.done()]:
                    del self._subscribed[channel]
                with suppress(*UNREACHABLE):
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(AGAIN_S)

    async def _hear(self, connection: Connection, missing: set[str]) -> None:
        """Take what comes until the connection ends; it is up once none of the channels is missing."""
        while True:
            if not missing and not self.connected:
                self.connected = True
                self._up()
            kind, name, payload = _parsed(await connection.read_response())
            self._pings = 0
            if kind == b"message":
                self._heard(name, payload)
            elif kind == b"subscribe":
                missing.discard(name)
                mark = self._mark(name)
                if not mark.done():
                    mark.set_result(None)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            connection = self._connection
            self._pings += 1
            if connection is not None and self._pings > MOST_PINGS:
                await connection.disconnect(nowait=True)
            self._ask("PING")


async def end(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel tasks until they are done: the Redis client swallows a cancellation now and then."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)


async def _write(connection: Connection, command: str, channels: list[str]) -> None:
    await connection.send_command(command, *channels)


def _parsed(answer: Any) -> tuple[bytes, str, bytes]:
    """Kind, channel and payload of what a subscription brought."""
    if not isinstance(answer, list) or len(answer) != 3:
        return b"pong", "", b""
    kind, channel, payload = answer
    return kind, channel.decode(), payload if isinstance(payload, bytes) else b""
