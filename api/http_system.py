"""Whether the server lives and is ready, its metrics, and the test page."""

import asyncio
import hmac
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from api import asyncapi, openapi
from api.auth import find_token
from api.http_requests import respond
from api.services import Services
from tracker.errors import Draining, NotAllowed, NotAuthenticated, Overloaded, StoreUnavailable, Unhealthy

PAGES = Path(__file__).parent / "web"
READERS = frozenset({"service", "office", "admin"})
"""Whose tokens may read the metrics."""
LAG_S = 2.0
"""An event loop that was later than this does not keep up."""
READY_WITHIN_S = 2.0
"""A store that takes longer to answer is not available."""


async def healthz(request: Request) -> Response:
    """All that must go on goes on; else the process is of no use any more. Raises TrackerError, with status 503."""
    services: Services = request.app.state.services
    for work in services.works:
        if work.done():
            raise Unhealthy(f"The work of {work.get_name()} has ended; see the log, and restart the server.")
    return respond({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Reports would be taken now: the store answers, the server keeps up, the engine is there, none is about to stop.

    Raises Draining, StoreUnavailable, Overloaded, EngineUnavailable.
    """
    services: Services = request.app.state.services
    if services.draining:
        raise Draining
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await services.store.last_seq("system")
    except TimeoutError:
        raise StoreUnavailable from None
    if services.line.full:
        raise Overloaded
    lag = max(services.meters.recent_lags, default=0.0)
    if lag > LAG_S:
        raise Overloaded(f"The event loop was held up for {lag:.1f} s in the last ten seconds.")
    instance = services.instance
    if instance is None:
        return respond({"status": "ready"})
    instance.check()
    return respond({"status": "ready", "role": instance.role, "redis": instance.bus.connected})


async def metrics(request: Request) -> Response:
    """In the text format of Prometheus, for who may read them. Raises NotAuthenticated, NotAllowed."""
    services: Services = request.app.state.services
    _check_reader(request, services)
    return Response(generate_latest(services.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def describe_sockets(request: Request) -> Response:
    """The WebSocket protocol, as AsyncAPI."""
    return respond(asyncapi.document())


async def describe_routes(request: Request) -> Response:
    """This HTTP interface, as OpenAPI."""
    return respond(openapi.document(request.app.routes))


def _check_reader(request: Request, services: Services) -> None:
    """Raises NotAuthenticated, NotAllowed."""
    token = find_token(request.headers, request.url.query)
    if token is None:
        raise NotAuthenticated("Give metrics_token, or a token of the role service, office or admin, as Bearer.")
    own = services.config.metrics_token
    if own and hmac.compare_digest(token.encode(), own.encode()):
        return
    if services.authenticator.verify(token, services.clock()).viewer.role not in READERS:
        raise NotAllowed("Metrics are for the roles service, office and admin.")


async def page(request: Request) -> Response:
    """The page to try the WebSocket protocol with."""
    return FileResponse(PAGES / "test.html")
