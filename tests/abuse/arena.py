"""A real server in this process that is attacked from raw sockets, while a client who does no harm looks on."""

import asyncio
import gc
import json
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvloop
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.frames import EXTERNAL_CLOSE_CODES, Close, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from api.protocol import ENDPOINT, WebSocket
from api.session import Session
from api.warm import warm_up
from tests.site import OFFICE, Site, order_body, site
from tests.sockets import until
from tracker.channels import Viewer
from tracker.hub import Outbox

DRIVER = Viewer("D1", "driver", "D1", None)
CUSTOMER = Viewer("C1", "customer", None, "C1")
ATTACKERS = [DRIVER, CUSTOMER, Viewer("U9", "office", None, None)]
ENDINGS = {None, 1005, *EXTERNAL_CLOSE_CODES, *range(3000, 5000)}
"""What hostile bytes may end in: our own codes, and any that a client may give; None is the end without a close."""
HUNG_S = 60.0


@dataclass
class Answer:
    """What the server said."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    code: int | None = None


@dataclass(repr=False)
class Arena:
    """The server, and the watcher who must notice nothing."""

    runner: asyncio.Runner
    site: Site
    watcher: ClientConnection
    logs: list[Any]
    failures: list[str]

    def attack(self, data: bytes, viewer: Viewer) -> Answer:
        """Write these bytes to a new WebSocket and hear the server out, until it has ended the connection."""
        answer = self.runner.run(self._attack(data, viewer))
        assert answer.code in ENDINGS
        self.check()
        return answer

    async def _attack(self, data: bytes, viewer: Viewer) -> Answer:
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(upgrade(self.site.token(viewer)))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(data)
        writer.write_eof()
        answer = Answer()
        protocol = ClientProtocol(parse_uri("ws://test/"), state=State.OPEN)
        async with asyncio.timeout(HUNG_S):
            while received := await reader.read(65536):
                protocol.receive_data(received)
                for frame in protocol.events_received():
                    assert isinstance(frame, Frame)
                    _hear(answer, frame)
        assert protocol.parser_exc is None, protocol.parser_exc
        writer.close()
        await self.watch()
        return answer

    async def watch(self) -> None:
        """The watcher is answered as always."""
        await self.watcher.send('{"type":"heartbeat"}')
        async with asyncio.timeout(HUNG_S):
            while json.loads(await self.watcher.recv())["type"] != "heartbeat":
                pass

    def check(self) -> None:
        """Nothing has failed inside the server since the last time."""
        worse = [entry for entry in self.logs if entry["log_level"] in ("warning", "error", "critical")]
        self.logs.clear()
        assert not worse, worse
        assert not self.failures, "\n".join(self.failures)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.site.http.base_url.host, self.site.http.base_url.port or 80

    def kept(self) -> Counter[str]:
        """What the server keeps for connections, once all attackers have gone."""
        return self.runner.run(self._kept())

    async def _kept(self) -> Counter[str]:
        self.site.clock.now += 10.0  # what is looked after now and then is, too
        await until(lambda: _count(WebSocket) == 1)
        await asyncio.sleep(0)
        kept = Counter({kind.__name__: _count(kind) for kind in (WebSocket, Session, Outbox)})
        hub = self.site.services.hub
        return kept + Counter(tasks=len(asyncio.all_tasks()), topics=len(hub._members), held=len(hub._held))


def upgrade(token: str) -> bytes:
    """A request for a WebSocket."""
    return (
        f"GET {ENDPOINT}?token={token} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def text(message: str | bytes) -> bytes:
    """A text frame of a client."""
    data = message if isinstance(message, bytes) else message.encode("utf-8", "surrogatepass")
    return Frame(Opcode.TEXT, data).serialize(mask=True)


@contextmanager
def arena(store: str, **settings: Any) -> Iterator[Arena]:
    """A server with an order, and with what the tests need to attack it in peace; it stands still for no compiler."""
    warm_up()
    with capture_logs() as logs, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()

        async def enter() -> Arena:
            failures: list[str] = []
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(_told(context)))
            here = await stack.enter_async_context(site(store, **{"rate_limit_burst": 10**9, **settings}))
            await here.put("orders/O1", order_body())
            address = f"ws://{here.http.base_url.netloc.decode()}{ENDPOINT}?token={here.token(OFFICE)}"
            watcher = await stack.enter_async_context(connect(address, max_queue=None))
            return Arena(runner, here, watcher, logs, failures)

        made = runner.run(enter())
        try:
            yield made
        finally:
            runner.run(stack.aclose())


def _told(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return context["message"] + ("\n" + "".join(traceback.format_exception(error)) if error else "")


def _hear(answer: Answer, frame: Frame) -> None:
    if frame.opcode is Opcode.CLOSE:
        answer.code = Close.parse(frame.data).code
    elif frame.opcode is Opcode.TEXT:
        answer.messages.append(json.loads(frame.data))


def _count(kind: type) -> int:
    gc.collect()
    return sum(isinstance(thing, kind) for thing in gc.get_objects())
