"""What an edge asks of the engine: requests that change something or need what only the engine remembers."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
from starlette.responses import Response

from api.cluster.bus import Bus
from api.cluster.wire import (
    Answer,
    ConfirmDelivery,
    HttpRequest,
    Names,
    Refused,
    Request,
    UpdateOrder,
    Wanted,
    decode_http_answer,
    encode,
)
from api.http_requests import Call
from api.office import Office
from api.services import Services
from tracker.channels import Viewer
from tracker.errors import EngineUnavailable, told
from tracker.messages import DeliveryConfirmed

ASK_S = 10.0
"""An engine that takes longer to answer is not there."""
_KEPT = {"accept", "content-type"}
"""Headers that the engine's answer depends on."""


class Requests:
    """Asks the engine through Redis; each request is answered, refused, or given up after a while."""

    def __init__(self, instance: str, bus: Bus, names: Names, counts: Counter[str]) -> None:
        self._instance = instance
        self._bus = bus
        self._names = names
        self._counts = counts
        self._number = 0
        self._asked: dict[int, asyncio.Future[msgspec.Raw]] = {}

    async def ask(self, wanted: Wanted) -> msgspec.Raw:
        """The engine's answer. Raises EngineUnavailable, and whatever the engine raises."""
        if not self._bus.connected:
            raise EngineUnavailable
        self._number += 1
        number = self._number
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._bus.publish(self._names.engine, encode(Request(self._instance, number, wanted)))
        try:
            async with asyncio.timeout(ASK_S):
                result = await answer
        except TimeoutError:
            self._counts["unanswered"] += 1
            raise EngineUnavailable from None
        finally:
            del self._asked[number]
        return result

    def take(self, message: Answer | Refused) -> None:
        """An answer came."""
        waiting = self._asked.get(message.id)
        if waiting is None or waiting.done():
            return
        if isinstance(message, Answer):
            waiting.set_result(message.result)
        else:
            waiting.set_exception(told(message.code, message.message, message.field))

    async def forward(self, call: Call) -> Response | None:
        """Have the engine answer an HTTP request; None where the store alone can answer it, or it is a report."""
        request = call.request
        path, method = request.url.path, request.method
        if method == "POST" and path == "/api/v1/locations":
            return None
        if method in ("GET", "HEAD") and (path == "/api/v1/events" or call.query("from") or call.query("to")):
            return None
        query = "&".join(p for p in request.url.query.split("&") if not p.startswith("token=")).encode()
        headers = [(key, value) for key, value in request.headers.raw if key.decode("latin-1") in _KEPT]
        body = await call.body()
        asked = HttpRequest(call.viewer, method, path, query, headers, body)
        answer = decode_http_answer(await self.ask(asked))
        response = Response(answer.body, answer.status)
        response.raw_headers = answer.headers
        return response


class EdgeOffice(Office):
    """An office whose engine is elsewhere: it reads from the store, and has the engine change things."""

    def __init__(self, services: Services, requests: Requests) -> None:
        super().__init__(services)
        self._requests = requests

    async def update_order(
        self, viewer: Viewer, order_id: str, status: str, details: dict[str, Any] | None, now: float
    ) -> None:
        """As in Office."""
        await self._requests.ask(UpdateOrder(viewer, order_id, status, details, now))

    async def confirm_delivery(self, viewer: Viewer, message: DeliveryConfirmed, now: float) -> None:
        """As in Office."""
        await self._requests.ask(ConfirmDelivery(viewer, message, now))
