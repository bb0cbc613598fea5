"""A real server on a real socket, with stand-ins for what is behind its WebSockets."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from api.auth import Authenticator, sign
from api.config import Config
from api.line import located
from api.mailroom import Mailroom
from api.meters import Meters
from api.protocol import ENDPOINT, websocket_class
from tracker.codec import Report, encode, frame, reliable
from tracker.drivers import Latest
from tracker.hub import Hub
from tracker.messages import DriverLocation, LocationAck
from tracker.records import Destination, Message, Order

SECRET = "0123456789abcdef0123456789abcdef"


class StoreStandIn:
    """Reliable messages and orders in memory; a read waits while `open` is not set."""

    epoch = "epoch-1"

    def __init__(self) -> None:
        self.by_topic: dict[str, list[Message]] = {}
        self.orders: dict[str, Order] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.reading = asyncio.Event()
        self.pasts = 0  # how many were read

    async def _wait(self) -> None:
        self.reading.set()
        await self.open.wait()

    async def get(self, kind: type[Order], key: str) -> Order | None:
        await self._wait()
        return self.orders.get(key)

    async def waiting(self, topics: list[str], now: float) -> list[Any]:
        return []

    async def last_seq(self, topic: str) -> int:
        await self._wait()
        return len(self.by_topic.get(topic, []))

    async def messages(self, topic: str, *, after: int, limit: int) -> list[tuple[int, Message]]:
        found = list(enumerate(self.by_topic.get(topic, []), 1))[max(after, 0) :][:limit]
        await self._wait()
        self.pasts += 1
        return found


class LineStandIn:
    """Acknowledges reports at once."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, Report, float]] = []
        self.full = False
        self.waiting: list[Callable[[], None]] = []
        self.engine: Any = None

    def put(self, driver_id: str, report: Report, received_at: float, reply: Callable[[Any], None]) -> None:
        self.reports.append((driver_id, report, received_at))
        if driver_id == "BROKEN":
            raise RuntimeError("the line is broken")
        if report.seq is not None:
            reply(LocationAck(seq=report.seq, accepted=len(report), duplicates=0, rejected=report.rejected))

    def when_room(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def make_room(self) -> None:
        self.full = False
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()

    async def positions(self, topic: str) -> dict[str, bytes]:
        return {latest.driver_id: location(latest.driver_id, latest.latitude) for latest in located(self.engine, topic)}


class EngineStandIn:
    """Knows a few orders and where a few drivers are."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.at: dict[str, float] = {}
        self.seen_by_customers: set[str] = set()

    def latest(self, driver_ids: Any = None) -> list[Latest]:
        ids = self.at if driver_ids is None else [d for d in driver_ids if d in self.at]
        return [Latest(d, 0.0, self.at[d], 0.0, 0.0, 0.0, 5.0, False) for d in ids]

    def visible(self, order_id: str) -> bool:
        return order_id in self.seen_by_customers


class OfficeStandIn:
    """Remembers what it was asked; `failing` is raised instead."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.failing: Exception | None = None

    async def update_order(self, *what: Any) -> None:
        await asyncio.sleep(0)
        if self.failing:
            raise self.failing
        self.done.append(("update_order", *what))

    async def confirm_delivery(self, *what: Any) -> None:
        self.done.append(("confirm_delivery", *what))


@dataclass
class Running:
    """What a test may touch of a server."""

    config: Config
    clock: Callable[[], float] = time.time
    hub: Hub = field(default_factory=Hub)
    store: StoreStandIn = field(default_factory=StoreStandIn)
    line: LineStandIn = field(default_factory=LineStandIn)
    engine: EngineStandIn = field(default_factory=EngineStandIn)
    office: OfficeStandIn = field(default_factory=OfficeStandIn)
    meters: Meters = field(default_factory=Meters)
    instance: None = None
    port: int = 0
    server: uvicorn.Server = field(init=False)

    def __post_init__(self) -> None:
        self.authenticator = Authenticator(self.config)
        self.line.engine = self.engine
        self.mailroom = Mailroom(self)  # type: ignore[arg-type]

    def url(self, path: str = "", **query: str) -> str:
        return f"ws://127.0.0.1:{self.port}{ENDPOINT}{path}" + "".join(f"?{k}={v}" for k, v in query.items())

    @asynccontextmanager
    async def client(self, role: str = "office", path: str = "", **options: Any) -> AsyncIterator["Client"]:
        claims = {name: options.pop(name) for name in ("sub", "ttl_s") if name in options}
        async with connect(self.url(path, token=token(role, **claims)), **options) as socket_:
            client = Client(socket_)
            assert (await client.receive())["type"] == "connection"
            yield client

    def publish(self, topic: str, body: str, *, channel: str | None = None, to_hub: bool = True) -> int:
        """Store a reliable message and publish it, as the line does."""
        stored = self.store.by_topic.setdefault(topic, [])
        seq = len(stored) + 1
        message = Message(event_id=f"e{seq}", topic=topic, body=b'{"n":"%b"}' % body.encode(), created_at=0.0)
        stored.append(message)
        if to_hub:
            self.publish_stored(topic, seq, channel=channel)
        return seq

    def publish_stored(self, topic: str, seq: int, *, channel: str | None = None) -> None:
        message = self.store.by_topic[topic][seq - 1]
        data = reliable(message.body, event_id=message.event_id, channel=channel or topic, seq=seq)
        self.hub.publish(topic, frame(data), seq)


class Client:
    """A connected client that speaks JSON."""

    def __init__(self, socket_: ClientConnection) -> None:
        self.socket = socket_

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        await self.send(kind, **fields)
        return await self.receive()

    async def alive(self) -> bool:
        return (await self.ask("heartbeat"))["type"] == "heartbeat"

    async def stays_alive(self, seconds: float) -> bool:
        """Whether it is answered, and hears nothing else, for so long."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while clock() < end:
            if not await self.alive():
                return False
        return True

    async def closed(self) -> int | None:
        """The code with which the server ends the connection; what it sends before is read."""
        async with asyncio.timeout(60):
            with suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        return self.socket.close_code


def token(role: str = "office", *, sub: str = "U1", ttl_s: float = 3600.0) -> str:
    return sign(SECRET, sub=sub, role=role, ttl_s=ttl_s, now=time.time())  # type: ignore[arg-type]


def location(driver_id: str, latitude: float) -> bytes:
    """A whole driver.location frame, about 2 kB long."""
    where = DriverLocation(driver_id=driver_id, latitude=latitude, longitude=0.0, timestamp="x" * 2000, age=0.0)
    return frame(encode(where))


def an_order(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "order_id": "O1",
        "customer_id": "C1",
        "driver_id": "D1",
        "destination": Destination(1, 2),
    }
    return Order(**fields | changes)


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Running]:
    """A server on a free port, with these settings."""
    running = Running(Config(jwt_secret=SECRET, **{"jwt_leeway_s": 0.0, "drain_s": 0.0} | settings))
    app = Starlette(routes=[Route("/echo", _echo, methods=["POST"])])
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            ws=websocket_class(running),
            http="httptools",
            lifespan="off",
            access_log=False,
            log_config=None,  # type: ignore[arg-type]
        )
    )
    running.server = server
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running.port = listening.getsockname()[1]
        await server.startup(sockets=[listening])
        try:
            yield running
        finally:
            for server_ in server.servers:
                server_.close()
            if server.server_state.connections:
                await server.shutdown()


async def _echo(request: Request) -> JSONResponse:
    return JSONResponse(await request.json())


async def until(predicate: Callable[[], bool]) -> None:
    """Let the server run until something holds that no client can see."""
    async with asyncio.timeout(60):
        while not predicate():  # noqa: ASYNC110  the server sets no event for tests
            await asyncio.sleep(0.001)


class RawClient:
    """A client that does nothing by itself: it answers no ping and no close."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.protocol = ClientProtocol(parse_uri("ws://test/"), state=State.OPEN)
        self._reader = reader
        self._writer = writer
        self._frames: list[Frame] = []

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send(self, *frames: Frame) -> None:
        """All of them in one write."""
        await self.write(b"".join(frame_.serialize(mask=True) for frame_ in frames))

    async def receive(self) -> Frame | None:
        """The next frame; None when the connection has ended."""
        while not self._frames:
            try:
                data = await self._reader.read(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.protocol.receive_data(data)
            self._frames = [event for event in self.protocol.events_received() if isinstance(event, Frame)]
        return self._frames.pop(0)

    async def receive_close(self) -> int:
        """The code of the server's close frame; what comes before is read."""
        while True:
            frame_ = await self.receive()
            assert frame_ is not None, "the connection ended without a close frame"
            if frame_.opcode is Opcode.CLOSE:
                return Close.parse(frame_.data).code

    async def abort(self) -> None:
        """Cut the connection off."""
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()


@asynccontextmanager
async def raw_client(
    server: Running, role: str = "office", *, receive_buffer: int | None = None
) -> AsyncIterator[RawClient]:
    socket_ = socket.socket()
    if receive_buffer:
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    socket_.setblocking(False)
    await asyncio.get_running_loop().sock_connect(socket_, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=socket_, limit=1024)
    path = server.url(token=token(role)).partition(str(server.port))[2]
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    client = RawClient(reader, writer)
    try:
        yield client
    finally:
        await client.abort()
