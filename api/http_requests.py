"""What every HTTP handler does: who asks, what the query and the body say, and how answers are written."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.auth import find_token
from api.services import Services
from tracker.channels import Viewer
from tracker.codec import check_text, parse_time
from tracker.errors import InvalidInput, MalformedJSON, MessageTooLarge, NotAuthenticated, TrackerError

MAX_BODY = 2 * 1024 * 1024  # bytes
_LARGE_BODIES = {"/api/v1/eta/model": 32 << 20}
"""A model of 20,000 cells in all hours of a week has 7 MB."""
MOST_ITEMS = 1000
"""Items of one page of a list."""
JSON = "application/json"
GEOJSON = "application/geo+json"

VIEWER = "tracker.viewer"
"""In the scope of a request: who was authenticated by another instance."""

_LOST_PLUS = re.compile(r" (\d\d:?\d\d)$")
"""The offset of a time whose + was not written as %2B."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A request with the services that answer it and the viewer who made it."""

    request: Request
    services: Services
    viewer: Viewer

    def id(self, name: str) -> str:
        """An id from the path."""
        found: str = self.request.path_params[name]
        return found

    def query(self, name: str) -> str | None:
        """A parameter of the query; an empty one is none."""
        return self.request.query_params.get(name) or None

    def flag(self, name: str) -> bool:
        """A switch of the query, off where it is not given. Raises InvalidInput."""
        text = self.query(name) or "false"
        if text not in ("true", "false"):
            raise InvalidInput(f"{name}: true or false", field=name)
        return text == "true"

    def time(self, name: str) -> float | None:
        """A time of the query in Unix seconds. Raises InvalidInput."""
        text = self.query(name)
        if text is None:
            return None
        try:
            return parse_time(_LOST_PLUS.sub(r"+\1", text))
        except InvalidInput:
            raise InvalidInput(
                f"{name}: give ISO 8601 with an offset, such as 2025-01-20T10:30:00Z, or epoch seconds", field=name
            ) from None

    def wants_geojson(self) -> bool:
        """Whether the answer should be GeoJSON, by `format` or by the Accept header."""
        chosen = self.query("format")
        if chosen not in (None, "json", "geojson"):
            raise InvalidInput("format: there are json and geojson", field="format")
        return chosen == "geojson" or (chosen is None and GEOJSON in self.request.headers.get("accept", ""))

    async def body(self) -> bytes:
        """The body. Raises MessageTooLarge."""
        most = _LARGE_BODIES.get(self.request.url.path, MAX_BODY)
        parts, size = [], 0
        async for part in self.request.stream():
            size += len(part)
            if size > most:
                raise MessageTooLarge(f"The body is larger than {most >> 20} MiB; send less at once.")
            parts.append(part)
        return b"".join(parts)

    async def json(self) -> Any:
        """The body's JSON. Raises MalformedJSON, MessageTooLarge."""
        try:
            body = await self.body()
            check_text(body)
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise MalformedJSON("The body is not valid JSON.") from None


@dataclass(frozen=True, slots=True)
class Page:
    """The stretch of a list that a request asks for: `limit` items past `cursor`."""

    call: Call
    limit: int
    cursor: str | None

    @classmethod
    def of(cls, call: Call) -> "Page":
        """From the query. Raises InvalidInput."""
        text = call.query("limit") or "100"
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not 1 <= int(text) <= MOST_ITEMS:
            raise InvalidInput(f"limit: must be a whole number from 1 to {MOST_ITEMS}", field="limit")
        return cls(call, int(text), call.query("cursor"))

    def split(self, items: Sequence[T], cursor: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
        """The items of this page and the link to the next, from one item more than the page has, where there is one."""
        if len(items) <= self.limit:
            return items, None
        items = items[: self.limit]
        url = self.call.request.url
        kept = {k: v for k, v in self.call.request.query_params.items() if k not in ("token", "cursor")}
        return items, f"{url.path}?{urlencode(kept | {'cursor': cursor(items[-1])})}"


Handler = Callable[[Call], Awaitable[Response]]


def endpoint(handlers: dict[str, Handler]) -> Callable[[Request], Awaitable[Response]]:
    """What answers a path, by method, to whoever presents a valid token."""

    async def answer(request: Request) -> Response:
        services: Services = request.app.state.services
        call = Call(request, services, request.scope.get(VIEWER) or _authenticated(request, services))
        if services.forward is not None:
            answered = await services.forward(call)
            if answered is not None:
                return answered
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](call)

    return answer


def _authenticated(request: Request, services: Services) -> Viewer:
    token = find_token(request.headers, request.url.query)
    if token is None:
        raise NotAuthenticated
    return services.authenticator.verify(token, services.clock()).viewer


def respond(content: Any, status: int = 200, media_type: str = JSON, headers: dict[str, str] | None = None) -> Response:
    """JSON; NaN becomes null."""
    return Response(msgspec.json.encode(content), status, headers, media_type)


def refusal(error: TrackerError) -> Response:
    """The answer that says what went wrong."""
    headers = {}
    if error.status == NotAuthenticated.status:
        headers["WWW-Authenticate"] = "Bearer"
    if error.temporary:
        headers["Retry-After"] = "1"
    return respond(
        {"error": {"code": error.code, "message": error.message, "field": error.field}}, error.status, headers=headers
    )
