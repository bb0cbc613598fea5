"""What other back ends publish: which messages they may send, and to whom each goes."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from tracker import channels
from tracker.channels import order_topics
from tracker.codec import iso, parse_time
from tracker.errors import InvalidInput, MessageTooLarge, NotFound, UnknownChannel
from tracker.mail import Personal
from tracker.messages import (
    DeliveryUpdate,
    GeofenceEvent,
    MaintenanceAlert,
    Notification,
    OrderCreated,
    OrderUpdated,
    RouteUpdated,
    ServerMessage,
)
from tracker.records import Message, Order
from tracker.texts import LANGUAGES

MAX_EVENT = 32_768  # bytes

_TYPE = re.compile(r"[a-z][a-z0-9_]{0,40}(\.[a-z][a-z0-9_]{0,40}){1,3}", re.ASCII)
_CHECKED: dict[str, type[ServerMessage]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        DeliveryUpdate,
        GeofenceEvent,
        MaintenanceAlert,
        Notification,
        OrderCreated,
        OrderUpdated,
        RouteUpdated,
    )
}
"""Types that have a form; others, of the back end's own, may have any."""
_OWN = {str(kind.__struct_config__.tag) for kind in ServerMessage.__subclasses__()} - _CHECKED.keys()
"""Types that only this server sends."""
_ADDED = ("channel", "seq", "event_id")
"""Fields that a message gets when it is stored."""


class QueuePriority(StrEnum):
    """How urgent a message is; the most urgent of those that wait for a user come first."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class _Checked(msgspec.Struct):
    texts: dict[str, dict[str, str]] = {}


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was checked: the fields of `body`, told once under its `event_id`."""

    event_id: str
    body: dict[str, Any]
    priority: QueuePriority
    created_at: float
    expires_at: float  # for those it waits for

    def to(self, topic: str) -> Message:
        """The message to one topic; it waits for a user in `user:ID`."""
        given: dict[str, Any] = {
            "event_id": self.event_id,
            "topic": topic,
            "body": msgspec.json.encode(self.body),
            "created_at": self.created_at,
            "priority": self.priority.value,
        }
        return Personal(**given, expires_at=self.expires_at) if topic.startswith("user:") else Message(**given)


def publication(event: Mapping[str, Any], priority: str, *, new_id: str, now: float, ttl_s: float) -> Publication:
    """Check a message. It may bring its `event_id`, `expires_at` and, in `texts`, its words in other languages.

    Raises InvalidInput, MessageTooLarge.
    """
    body = {"type": "notification"} | dict(event)
    body.setdefault("timestamp", iso(now))
    if body["type"] == "notification":
        body.setdefault("severity", "info")
    identity = body.get("event_id", new_id)
    if not (isinstance(identity, str) and channels.is_id(identity)):
        raise InvalidInput("event_id: must be printable, of at most 200 characters", field="event_id")
    expires_at = _expiry(body.get("expires_at"), now + ttl_s)
    for name in _ADDED:
        body.pop(name, None)
    _check(body)
    if priority not in set(QueuePriority):
        raise InvalidInput(f"priority: must be one of {', '.join(QueuePriority)}", field="priority")
    return Publication(
        event_id=identity, body=body, priority=QueuePriority(priority), created_at=now, expires_at=expires_at
    )


def topics(channel: str, event: Mapping[str, Any], order: Order | None) -> list[str]:
    """All topics that an event on a channel goes to: the office's, and those of the driver and customer it names.

    `order` is the one the event is about, where there is one. Raises UnknownChannel, NotFound.
    """
    kind, _, key = channel.partition(":")
    if channel in ("system", "drivers") or (kind in ("driver", "geofence", "user") and channels.is_id(key)):
        return [channel]
    if kind == "order":
        if order is None:
            raise NotFound(f"There is no order {key!r}.")
        return order_topics(order)
    roles = {"orders": ("driver", "customer"), "routes": ("driver",), "customers": ("customer",)}.get(channel)
    if roles is None:
        raise UnknownChannel(
            f"Nothing can be published on {channel[:80]!r}; there are orders, drivers, routes, customers, system, "
            "order:ID, driver:ID, geofence:ID and user:ID."
        )
    if channel == "orders" and order is not None:
        return order_topics(order)
    named = ((role, event.get(f"{role}_id")) for role in roles)
    return [
        channel,
        *(f"{channel}@{role}:{key}" for role, key in named if isinstance(key, str) and channels.is_id(key)),
    ]


def _check(body: dict[str, Any]) -> None:
    kind = body["type"]
    if not isinstance(kind, str) or kind in _OWN or not (kind in _CHECKED or _TYPE.fullmatch(kind)):
        raise InvalidInput(
            f"type: must be {', '.join(sorted(_CHECKED))}, or one of your own with a dot, such as invoice.paid",
            field="type",
        )
    try:
        msgspec.convert(body, _Checked)
        if kind in _CHECKED:
            msgspec.convert(body, _CHECKED[kind])
        encoded = msgspec.json.encode(body)
    except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as error:
        field = str(error).partition("`$.")[2].rstrip("`").partition("[")[0] or None
        raise InvalidInput(f"{kind}: {error}", field=field) from None
    if set(body.get("texts", {})) - set(LANGUAGES):
        raise InvalidInput(f"texts: there are the languages {' and '.join(LANGUAGES)}", field="texts")
    if len(encoded) > MAX_EVENT:
        raise MessageTooLarge(f"A published message has at most {MAX_EVENT >> 10} KiB.")
    if b"\\u0000" in encoded:
        raise InvalidInput("Texts may not have the character U+0000; leave it out.")


def _expiry(given: object, default: float) -> float:
    if given is None:
        return default
    try:
        return parse_time(str(given))
    except InvalidInput:
        raise InvalidInput("expires_at: give ISO 8601 with an offset, or epoch seconds", field="expires_at") from None
