"""What needs no token: whether the server lives and is ready, its metrics, and the test page."""

import asyncio
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from api import asyncapi, openapi
from api.http_requests import respond
from api.services import Services
from tracker.errors import Overloaded, StoreUnavailable

PAGES = Path(__file__).parent / "web"
READY_WITHIN_S = 2.0
"""A store that takes longer to answer is not available."""


async def healthz(request: Request) -> Response:
    """The process runs."""
    return respond({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Reports would be taken now: the store answers and keeps up. Raises StoreUnavailable, Overloaded."""
    services: Services = request.app.state.services
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await services.store.last_seq("system")
    except TimeoutError:
        raise StoreUnavailable from None
    if services.line.full:
        raise Overloaded
    return respond({"status": "ready"})


async def metrics(request: Request) -> Response:
    """In the text format of Prometheus."""
    services: Services = request.app.state.services
    return Response(generate_latest(services.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def describe_sockets(request: Request) -> Response:
    """The WebSocket protocol, as AsyncAPI."""
    return respond(asyncapi.document())


async def describe_routes(request: Request) -> Response:
    """This HTTP interface, as OpenAPI."""
    return respond(openapi.document(request.app.routes))


async def page(request: Request) -> Response:
    """The page to try the WebSocket protocol with."""
    return FileResponse(PAGES / "test.html")
