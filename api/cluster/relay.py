"""The engine's side: takes reports and requests of other instances, and answers them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

import msgspec
import structlog
from starlette.types import ASGIApp

from api.cluster.bus import AGAIN_S, UNREACHABLE, Bus
from api.cluster.fanout import Fanout
from api.cluster.wire import (
    Acks,
    Answer,
    ConfirmDelivery,
    HttpAnswer,
    HttpRequest,
    Located,
    Names,
    Positions,
    Refused,
    Request,
    Settle,
    UpdateOrder,
    Wanted,
    decode_reports,
    decode_request,
    encode,
)
from api.http_requests import VIEWER
from api.services import Services
from storage.store import Commit
from tracker.areas import AREA
from tracker.errors import InvalidInput, Overloaded, TrackerError
from tracker.messages import Error, LocationAck

log = structlog.get_logger()

BLOCK_MS = 1000
ENTRIES = 64
"""So many entries of the stream are read at once."""
MOST_REQUESTS = 1000
"""Requests that are answered at the same time."""
LARGEST_ANSWER = 8 * 1024 * 1024
HEARD_S = 2.0
"""So often Redis is asked which topics are heard elsewhere; whoever begins says so."""


class Relay:
    """Entries of the stream are removed once every report in them is answered, and read again after a loss."""

    def __init__(
        self, services: Services, app: ASGIApp, instance: str, bus: Bus, names: Names, counts: Counter[str]
    ) -> None:
        hub = services.hub
        assert isinstance(hub, Fanout)
        self._services = services
        self._app = app
        self._hub = hub
        self._instance = instance
        self._bus = bus
        self._names = names
        self._counts = counts
        self._last: bytes | str = "0"
        self._open: dict[bytes, int] = {}  # entries in order, with the number of reports not answered
        self._acks: dict[str, list[tuple[int, LocationAck | Error]]] = {}
        self._begun: set[str] = set()  # topics heard elsewhere since redis was asked
        self._requests: set[asyncio.Task[None]] = set()

    # Reports

    async def catch_up(self) -> None:
        """Take everything that is in the stream."""
        more = True
        while more:
            more = await self._read(block=None)

    async def read(self) -> None:
        """Take what comes, for ever."""
        while True:
            try:
                await self._read(block=BLOCK_MS)
            except UNREACHABLE:
                await asyncio.sleep(AGAIN_S)

    def read_again(self) -> None:
        """Redis may have begun anew."""
        self._last = "0"

    async def _read(self, block: int | None) -> bool:
        line = self._services.line
        if line.full:
            room = asyncio.Event()
            line.when_room(room.set)
            await room.wait()
        last = self._last
        answer: Any = await self._bus.redis.xread({self._names.reports: last}, count=ENTRIES, block=block)
        entries = answer[0][1] if answer else []
        for entry, fields in entries:
            self._take(entry, fields[b"r"])
        if entries and last is self._last:
            self._last = entries[-1][0]
        return bool(entries)

    def _take(self, entry: bytes, data: bytes) -> None:
        sent = decode_reports(data)
        if entry in self._open:
            return
        reports = [] if sent.instance == self._instance else sent.reports  # its own came another way
        self._open[entry] = len(reports)
        self._counts["taken"] += len(reports)
        for each in reports:
            reply = partial(self._answer_report, entry, sent.instance, each.id)
            self._services.line.put(each.driver_id, each.report, each.received_at, reply)
        if not reports:
            self._finish()

    def _answer_report(self, entry: bytes, instance: str, number: int, reply: LocationAck | Error) -> None:
        self._open[entry] -= 1
        if not self._acks:
            asyncio.get_running_loop().call_soon(self._finish)
        self._acks.setdefault(instance, []).append((number, reply))

    def _finish(self) -> None:
        """Send the answers there are, and remove from the stream what is done."""
        acks, self._acks = self._acks, {}
        for instance, replies in acks.items():
            self._bus.publish(self._names.instance(instance), encode(Acks(replies)))
        done = [entry for entry, count in self._open.items() if count == 0]
        for entry in done:
            del self._open[entry]
        if done:
            self._bus.send("XDEL", self._names.reports, *done)

    # Requests

    def take(self, data: bytes) -> None:
        """A request came."""
        request = decode_request(data)
        if len(self._requests) >= MOST_REQUESTS:
            self._refuse(request, Overloaded())
            return
        task = asyncio.create_task(self._answer(request))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _answer(self, request: Request) -> None:
        try:
            result = encode(await self._do(request.wanted))
            if len(result) > LARGEST_ANSWER:
                raise InvalidInput("The answer is too large; ask for less at once, with from and to.")
        except Exception as error:
            if not isinstance(error, TrackerError):
                log.exception("request of an instance failed", instance=request.instance)
                self._services.meters.failures["relay"] += 1
                error = TrackerError()
            self._refuse(request, error)
        else:
            answer = encode(Answer(request.id, msgspec.Raw(result)))
            self._bus.publish(self._names.instance(request.instance), answer)

    def _refuse(self, request: Request, error: TrackerError) -> None:
        refused = Refused(request.id, error.code, error.message, error.field)
        self._bus.publish(self._names.instance(request.instance), encode(refused))

    async def _do(self, wanted: Wanted) -> Any:
        services = self._services
        match wanted:
            case Positions(topic=topic):
                self._hub.elsewhere.add(topic)
                self._begun.add(topic)
                frames = await services.line.positions(topic)
                latest = services.engine.latest(frames)
                return [Located(each.driver_id, each.fix_time, frames[each.driver_id]) for each in latest]
            case Settle(settled=settled):
                await services.line.commit(Commit(settled=settled))
            case UpdateOrder(viewer=viewer, order_id=order_id, status=status, details=details, now=now):
                await services.office.update_order(viewer, order_id, status, details, now)
            case ConfirmDelivery(viewer=viewer, message=message, now=now):
                await services.office.confirm_delivery(viewer, message, now)
            case HttpRequest():
                return await _over_http(self._app, wanted)
        return None

    # Who hears what

    async def look(self) -> None:
        """Learn which topics other instances hear."""
        self._begun.clear()
        channels: list[Any] = await self._bus.redis.pubsub_channels(self._names.topics + "*")
        heard = {channel.decode().removeprefix(self._names.topics) for channel in channels}
        heard |= self._begun
        for topic in heard - self._hub.elsewhere:
            if topic.startswith(AREA):  # the line has to know of an area that was heard before this was the engine
                await self._services.line.positions(topic)
        self._hub.elsewhere = heard | self._begun

    async def keep_looking(self) -> None:
        """Do so every now and then, for ever."""
        while True:
            try:
                await self.look()
            except UNREACHABLE:
                log.debug("who hears what is not known")
            await asyncio.sleep(HEARD_S)


async def _over_http(app: ASGIApp, wanted: HttpRequest) -> HttpAnswer:
    """What the application answers to somebody who was authenticated elsewhere."""
    scope: MutableMapping[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "server": None,
        "client": None,
        "root_path": "",
        "method": wanted.method,
        "path": wanted.path,
        "raw_path": wanted.path.encode(),
        "query_string": wanted.query,
        "headers": wanted.headers,
        VIEWER: wanted.viewer,
    }
    answer = HttpAnswer(500, [], b"")
    parts: list[bytes] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": wanted.body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], [(bytes(k), bytes(v)) for k, v in message["headers"]]
        else:
            parts.append(message.get("body", b""))

    call: Callable[..., Awaitable[None]] = app
    await call(scope, receive, send)
    answer.body = b"".join(parts)
    return answer
