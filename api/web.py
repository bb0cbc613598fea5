"""The HTTP side of the server: which path is answered where, and what holds for every answer."""

import re
import time

import structlog
from prometheus_client import GCCollector, ProcessCollector
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import (
    http_data,
    http_documents,
    http_drivers,
    http_eta,
    http_events,
    http_history,
    http_system,
    http_tracks,
    http_trips,
)
from api.http_requests import Handler, endpoint, refusal, respond
from api.metrics import ServerCollector
from api.protocol import ENDPOINT
from api.services import Services
from tracker.errors import InvalidInput, TrackerError

log = structlog.get_logger()

METHODS = ["GET", "POST", "PUT", "DELETE"]
_HOST = re.compile(r"[\w.:\[\]-]+", re.ASCII)


def make_app(services: Services) -> Starlette:
    """The application that answers HTTP requests."""
    services.registry.register(ServerCollector(services))
    ProcessCollector(registry=services.registry)
    GCCollector(services.registry)
    middleware = [Middleware(Shield)]
    if services.config.allowed_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=services.config.allowed_origins,
                allow_methods=METHODS,
                allow_headers=["Authorization", "Content-Type"],
            )
        )
    app = Starlette(
        routes=routes(),
        middleware=middleware,
        exception_handlers={TrackerError: _refuse, HTTPException: _refuse_by_status},
    )
    app.router.redirect_slashes = False  # it would repeat the query, and so the token
    app.state.services = services
    services.app = app
    return app


def routes() -> list[Route | Mount]:
    """Every path; ids may have slashes in them."""
    documents, drivers, tracks, system = http_documents, http_drivers, http_tracks, http_system
    order, geofence = "/api/v1/orders/{order_id:path}", "/api/v1/geofences/{geofence_id:path}"
    route, driver = "/api/v1/routes/{route_id:path}", "/api/v1/drivers/{driver_id:path}"
    return [
        ApiRoute("/api/v1/locations", POST=tracks.post_locations),
        ApiRoute("/api/v1/orders", GET=documents.list_orders),
        ApiRoute(order, GET=documents.get_order, PUT=documents.put_order, DELETE=documents.delete_order),
        ApiRoute("/api/v1/geofences", GET=documents.list_geofences),
        ApiRoute(geofence, GET=documents.get_geofence, PUT=documents.put_geofence, DELETE=documents.delete_geofence),
        ApiRoute("/api/v1/routes", GET=documents.list_routes),
        ApiRoute(route, GET=documents.get_route, PUT=documents.put_route, DELETE=documents.delete_route),
        ApiRoute("/api/v1/drivers", GET=drivers.list_drivers),
        ApiRoute(f"{driver}/track", GET=tracks.get_track),
        ApiRoute(f"{driver}/position", GET=http_history.get_position),
        ApiRoute("/api/v1/tracks", GET=http_history.list_passes),
        ApiRoute("/api/v1/tracks/inside", GET=http_history.list_inside_geofence, POST=http_history.list_inside_area),
        ApiRoute(f"{driver}/stays", GET=http_trips.get_stays),
        ApiRoute(f"{driver}/trips", GET=http_trips.get_trips),
        ApiRoute(f"{driver}/summary", GET=http_trips.get_summary),
        ApiRoute(f"{driver}/data", DELETE=http_data.delete_driver),
        ApiRoute("/api/v1/customers/{customer_id:path}/data", DELETE=http_data.delete_customer),
        ApiRoute(driver, GET=drivers.get_driver),
        ApiRoute("/api/v1/events", GET=tracks.list_events, POST=http_events.post_event),
        ApiRoute("/api/v1/users/{user_id:path}/messages", POST=http_events.post_message),
        ApiRoute("/api/v1/eta/accuracy", GET=http_eta.get_accuracy),
        ApiRoute("/api/v1/eta/model", GET=http_eta.get_model, PUT=http_eta.put_model),
        Route("/healthz", system.healthz),
        Route("/readyz", system.readyz),
        Route("/metrics", system.metrics),
        Route("/asyncapi.json", system.describe_sockets),
        Route("/openapi.json", system.describe_routes),
        Route(f"{ENDPOINT}/test", system.page),
        Mount("/static", StaticFiles(directory=system.PAGES)),
    ]


class ApiRoute(Route):
    """A route for those with a token, and its handlers by method."""

    def __init__(self, path: str, **handlers: Handler) -> None:
        super().__init__(path, endpoint(handlers), methods=list(handlers))
        self.handlers = handlers


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, TrackerError)
    return refusal(error)


async def _refuse_by_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = {
        404: ("not_found", "There is nothing at this path."),
        405: ("method_not_allowed", f"{request.method} is not possible here; see the header Allow."),
    }
    code, message = known.get(error.status_code, ("bad_request", error.detail))
    body = {"error": {"code": code, "message": message, "field": None}}
    return respond(body, error.status_code, headers=dict(error.headers or {}))


class Shield:
    """Around every request: nothing unexpected gets out, pages load nothing from elsewhere, and a line is logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        status = 0

        async def send_shielded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(_security_headers(scope))
            await send(message)

        try:
            _check_readable(scope)
            await self._app(scope, receive, send_shielded)
        except Exception as error:
            if not isinstance(error, TrackerError):
                log.exception("internal error", **_named(scope))
                scope["app"].state.services.meters.failures["http"] += 1
                error = TrackerError()
            if status:
                raise  # too late to say so: the connection ends, so that nobody takes half an answer for a whole one
            await refusal(error)(scope, receive, send_shielded)
        scope["app"].state.services.meters.requests[str(status)] += 1
        milliseconds = round((time.perf_counter() - started_at) * 1000, 1)
        log.info("request", **_named(scope), status=status, milliseconds=milliseconds)


def _check_readable(scope: Scope) -> None:
    """Raises InvalidInput for a URL with U+0000, which no store can look for."""
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise InvalidInput("The URL may not have the character U+0000; leave it out.")


def _named(scope: Scope) -> dict[str, str]:
    """Method and kind of a request, without the ids and tokens in its URL."""
    route = scope.get("route")
    return {"method": scope["method"], "route": route.path if isinstance(route, Route) else "none"}


def _security_headers(scope: Scope) -> dict[str, str]:
    host = Headers(scope=scope).get("host", "")
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-store" if scope["path"].startswith("/api/") else "no-cache",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
