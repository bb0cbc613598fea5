"""The WebSocket protocol as an AsyncAPI 3.0 document, written from the message types: `GET /asyncapi.json`."""

import re
from functools import cache
from typing import Any, get_args

import msgspec

from api.handshake import SUBPROTOCOL
from api.protocol import ENDPOINT, ROLES
from tracker import messages
from tracker.messages import AnyClientMessage, ServerMessage

VERSION = "1.0.0"
"""Of the protocol."""

RELIABLE: tuple[type[ServerMessage], ...] = (
    messages.DeliveryUpdate,
    messages.OrderCreated,
    messages.OrderUpdated,
    messages.RouteUpdated,
    messages.GeofenceEvent,
    messages.EventAmended,
    messages.Notification,
    messages.MaintenanceAlert,
    messages.DriverStatus,
)
"""Messages that are stored and numbered. The status that comes on subscribing is not."""
CARRIES: dict[str, tuple[tuple[type[ServerMessage], ...], str]] = {
    "orders": (
        (messages.OrderCreated, messages.OrderUpdated, messages.DeliveryUpdate, messages.EventAmended),
        "office, admin, service; a driver or customer gets their own orders only",
    ),
    "drivers": ((messages.DriverLocation, messages.DriverStatus), "office, admin, service"),
    "routes": ((messages.RouteUpdated,), "office, admin, service; a driver: own"),
    "customers": ((messages.Notification,), "office, admin, service; a customer: own"),
    "system": ((messages.MaintenanceAlert, messages.Notification), "everyone"),
    "order:{id}": (
        (
            messages.DeliveryUpdate,
            messages.OrderUpdated,
            messages.EventAmended,
            messages.DriverLocation,
            messages.DriverStatus,
        ),
        "the order's customer, while they may see the driver, and driver; office, admin, service",
    ),
    "driver:{id}": (
        (messages.DriverLocation, messages.DriverStatus, messages.GeofenceEvent),
        "that driver; office, admin, service",
    ),
    "geofence:{id}": ((messages.GeofenceEvent, messages.EventAmended), "office, admin, service"),
    "area:{minLon},{minLat},{maxLon},{maxLat}": (
        (messages.DriverLocation, messages.DriverStatus),
        "office, admin, service",
    ),
    "user:{id}": ((messages.Notification, messages.DeliveryUpdate), "that user, who is in it from the start"),
}
"""What a client can subscribe to: which messages it brings, and who may."""

_ENDPOINTS = {"socket": ENDPOINT, "driverSocket": f"{ENDPOINT}/driver", "officeSocket": f"{ENDPOINT}/office"}
_PLACE = re.compile(r"\{(\w+)\}")


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    sent_by_clients = list(get_args(AnyClientMessage))
    sent_by_server = ServerMessage.__subclasses__()
    _, schemas = msgspec.json.schema_components(
        [*sent_by_clients, *sent_by_server], ref_template="#/components/schemas/{name}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tracker",
            "version": VERSION,
            "description": "Positions, deliveries and personal messages over one WebSocket. The first message a client "
            "receives is `connection`; it subscribes to channels, which `x-channels` lists, by name.",
        },
        "defaultContentType": "application/json",
        "channels": {
            name: _endpoint(address, [*sent_by_clients, *sent_by_server]) for name, address in _ENDPOINTS.items()
        },
        "operations": {
            f"{name}{verb}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{kind.__name__}"} for kind in kinds],
            }
            for name in _ENDPOINTS
            for verb, action, kinds in (("Receive", "receive", sent_by_clients), ("Send", "send", sent_by_server))
        },
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in (*sent_by_clients, *sent_by_server)},
            "schemas": {**schemas, "Reliable": _RELIABLE_FIELDS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "query": {"type": "httpApiKey", "in": "query", "name": "token"},
            },
        },
        "x-channels": {
            name: {
                "messages": [{"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds],
                "parameters": _PLACE.findall(name),
                "subscribers": who,
            }
            for name, (kinds, who) in CARRIES.items()
        },
    }


_RELIABLE_FIELDS = {
    "title": "Reliable",
    "description": "What a stored message carries: drop an `event_id` heard before; resume a channel after its `seq`.",
    "type": "object",
    "properties": {
        "event_id": {"type": "string"},
        "channel": {"type": "string"},
        "seq": {"type": "integer", "minimum": 1},
    },
}


def _endpoint(address: str, kinds: list[type[Any]]) -> dict[str, Any]:
    roles = ", ".join(sorted(ROLES[address]))
    return {
        "address": address,
        "description": f"For the roles {roles}. Subprotocol {SUBPROTOCOL}; a token as `?token=`, as a bearer, as the "
        "subprotocol `bearer.<jwt>` or in a first message `auth`.",
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds},
        "bindings": {"ws": {"method": "GET", "query": {"type": "object", "properties": {"token": {"type": "string"}}}}},
    }


def _message(kind: type[Any]) -> dict[str, Any]:
    payload: dict[str, Any] = {"$ref": f"#/components/schemas/{kind.__name__}"}
    if kind in RELIABLE:
        fields: dict[str, Any] = {"$ref": "#/components/schemas/Reliable"}
        required = [] if kind is messages.DriverStatus else ["event_id", "channel", "seq"]
        payload = {"allOf": [payload, fields, {"required": required}] if required else [payload, fields]}
    return {
        "name": str(kind.__struct_config__.tag),
        "summary": " ".join((kind.__doc__ or "").split()),
        "contentType": "application/json",
        "payload": payload,
    }
