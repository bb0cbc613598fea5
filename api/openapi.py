"""The HTTP interface as an OpenAPI 3.1 document, from the routes and the types they take: `GET /openapi.json`."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from starlette.routing import BaseRoute, Route

from api.asyncapi import VERSION
from api.bodies import FeatureBody, OrderBody, RouteBody
from api.http_events import EventBody, MessageBody
from api.http_requests import GEOJSON, JSON, MOST_ITEMS
from tracker.messages import LocationAck, LocationBatch

PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "from": ({"type": "string"}, "Begin of the period, ISO 8601 with an offset or epoch seconds."),
    "to": ({"type": "string"}, "End of the period, exclusive."),
    "limit": ({"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "default": 100}, "Items of a page."),
    "cursor": ({"type": "string"}, "Where the page begins, as the link `next` of the page before says."),
    "driver": ({"type": "string"}, "Only of this driver."),
    "customer": ({"type": "string"}, "Only of this customer."),
    "order": ({"type": "string"}, "Only of this order."),
    "geofence": ({"type": "string"}, "Only of this geofence."),
    "format": (
        {"type": "string"},
        "geojson, gpx, csv or mfjson of a track; json or geojson of drivers and passes.",
    ),
    "at": ({"type": "string"}, "A time, ISO 8601 with an offset or epoch seconds."),
    "near": ({"type": "string"}, "latitude,longitude of a point."),
    "radius": ({"type": "number", "exclusiveMinimum": 0, "maximum": 50_000, "default": 100}, "Metres around it."),
    "bbox": ({"type": "string"}, "minLon,minLat,maxLon,maxLat of a box."),
    "simplify": ({"type": "number", "exclusiveMinimum": 0}, "Leave out vertices, at most so many metres off."),
    "smooth": ({"type": "boolean", "default": False}, "As it probably was, without outliers."),
    "versions": ({"type": "boolean", "default": False}, "Also versions that late data has amended."),
    "zone": ({"type": "string"}, "Time zone of days, such as Asia/Taipei."),
    "by": ({"type": "string"}, "Group by hour, driver, distance, stops or model."),
}
"""What a query may say."""


class Details(NamedTuple):
    """What a handler's docstring does not say of it."""

    query: tuple[str, ...] = ()
    body: type[Any] | None = None
    answers: dict[int, str] = {200: JSON}  # noqa: RUF012 never changed
    answer: type[Any] | None = None
    upload: str | None = None
    """Media type of a body that is no JSON."""


_LIST = ("limit", "cursor")
_PERIOD = ("from", "to")
_PUT = {200: JSON, 201: JSON}
DETAILS: dict[str, Details] = {
    "post_locations": Details(body=LocationBatch, answer=LocationAck),
    "list_orders": Details((*_LIST, "driver", "customer")),
    "put_order": Details(body=OrderBody, answers=_PUT),
    "delete_order": Details(answers={204: ""}),
    "list_geofences": Details(_LIST, answers={200: GEOJSON}),
    "get_geofence": Details(answers={200: GEOJSON}),
    "put_geofence": Details(body=FeatureBody, answers={200: GEOJSON, 201: GEOJSON}),
    "delete_geofence": Details(answers={204: ""}),
    "list_routes": Details((*_LIST, "driver")),
    "put_route": Details(body=RouteBody, answers=_PUT),
    "delete_route": Details(answers={204: ""}),
    "list_drivers": Details((*_LIST, "format")),
    "get_driver": Details(("format",)),
    "get_track": Details((*_PERIOD, "format", "simplify", "smooth"), answers={200: GEOJSON}),
    "get_position": Details(("at",)),
    "list_passes": Details((*_LIST, *_PERIOD, "near", "radius", "bbox", "driver", "format")),
    "list_inside_geofence": Details((*_LIST, *_PERIOD, "geofence", "driver")),
    "list_inside_area": Details((*_LIST, *_PERIOD, "driver"), body=FeatureBody),
    "get_stays": Details(_PERIOD),
    "get_trips": Details(_PERIOD),
    "get_summary": Details((*_PERIOD, "zone")),
    "list_events": Details((*_LIST, *_PERIOD, "driver", "order", "geofence", "versions")),
    "post_event": Details(body=EventBody, answers={201: JSON, 202: JSON}),
    "post_message": Details(body=MessageBody, answers={201: JSON}),
    "get_accuracy": Details((*_PERIOD, "by", "driver")),
    "put_model": Details(upload="application/octet-stream"),
    "metrics": Details(answers={200: "text/plain"}),
    "page": Details(answers={200: "text/html"}),
}
"""By the name of the handler; another takes no query and no body, and answers with JSON."""

_ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "field"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": ["string", "null"]},
            },
        }
    },
}
_ID = re.compile(r"\{(\w+):path\}")


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The whole document of these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, Route):
            paths[_ID.sub(r"{\1}", route.path)] = _path(route)
    bodies = {kind for details in DETAILS.values() for kind in (details.body, details.answer) if kind}
    _, schemas = msgspec.json.schema_components(
        sorted(bodies, key=lambda kind: kind.__name__), ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tracker",
            "version": VERSION,
            "description": "Times are RFC 3339 with `Z`, periods half-open; degrees WGS 84, metres, m/s. "
            "The WebSocket protocol is in /asyncapi.json.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"query": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
    }


def _path(route: Route) -> dict[str, Any]:
    """Every method of a route, and the ids in its path."""
    handlers = getattr(route, "handlers", {"GET": route.endpoint})
    item: dict[str, Any] = {
        method.lower(): _operation(handler, public=not hasattr(route, "handlers"))
        for method, handler in handlers.items()
    }
    ids = _ID.findall(route.path)
    if ids:
        item["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in ids
        ]
    return item


def _operation(handler: Any, *, public: bool) -> dict[str, Any]:
    details = DETAILS.get(handler.__name__, Details())
    summary, _, more = (handler.__doc__ or handler.__name__).partition("\n")
    operation: dict[str, Any] = {
        "operationId": handler.__name__,
        "summary": summary.strip(),
        "responses": {str(status): _answer(details, status) for status in details.answers}
        | {"default": {"description": "What went wrong.", "content": _content(JSON, "Error")}},
    }
    if more.strip():
        operation["description"] = " ".join(more.split())
    if details.query:
        operation["parameters"] = [_parameter(name) for name in details.query]
    if details.body:
        operation["requestBody"] = {"required": True, "content": _content(JSON, details.body.__name__)}
    if details.upload:
        operation["requestBody"] = {"required": True, "content": _content(details.upload, None)}
    if public:
        operation["security"] = []
    return operation


def _parameter(name: str) -> dict[str, Any]:
    schema, description = PARAMETERS[name]
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _answer(details: Details, status: int) -> dict[str, Any]:
    said = {200: "As asked for.", 201: "New.", 202: "Taken; not stored yet.", 204: "Done."}[status]
    media_type = details.answers[status]
    if not media_type:
        return {"description": said}
    return {"description": said, "content": _content(media_type, details.answer.__name__ if details.answer else None)}


def _content(media_type: str, name: str | None) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{name}"} if name else {}
    return {media_type: {"schema": schema}}
