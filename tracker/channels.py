"""Channel names, and who may join which; pure.

A channel is a name on the wire. A topic is what a hub and a store know: a channel, or the part of one that one
customer or driver may see, such as `orders@driver:D1`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tracker.areas import AREA, area_of
from tracker.errors import NotAllowed, NotFound, UnknownChannel
from tracker.records import Order

Role = Literal["driver", "customer", "office", "admin", "service"]

_OFFICE: frozenset[Role] = frozenset({"office", "admin", "service"})
_SHARED: dict[str, frozenset[Role]] = {
    "orders": frozenset({"driver", "customer"}),
    "drivers": frozenset(),
    "routes": frozenset({"driver"}),
    "customers": frozenset({"customer"}),
}
"""Channels the office sees whole, and the roles that see their own part."""
_ID_LIMIT = 200
_OWN_PART = re.compile("@(?:driver|customer):")


@dataclass(frozen=True)
class Viewer:
    """Somebody who presented a valid token."""

    user_id: str
    role: Role
    driver_id: str | None
    customer_id: str | None

    @property
    def is_office(self) -> bool:
        """May see and change everything but what is personal."""
        return self.role in _OFFICE

    @property
    def own_id(self) -> str | None:
        """Who a driver or a customer is in orders and routes; None for everyone else."""
        return {"driver": self.driver_id, "customer": self.customer_id}.get(self.role)


def is_id(key: str) -> bool:
    """Whether something in a channel's name may have this id."""
    return 0 < len(key) <= _ID_LIMIT and key.isprintable() and not _OWN_PART.search(key)


def order_id_of(channel: str) -> str | None:
    """The order a channel is about, if it is about one: `order:X` gives X."""
    kind, _, key = channel.partition(":")
    return key if kind == "order" and is_id(key) else None


def topic(viewer: Viewer, channel: str, order: Order | None) -> str:
    """The topic this viewer joins for a channel; `order` is the one the channel is about, None where there is none.

    Raises UnknownChannel, NotAllowed, InvalidInput for an area that is none, and NotFound to the office for an order
    that does not exist.
    """
    if channel == "system":
        return channel
    if channel in _SHARED:
        return _part_of(viewer, channel)
    kind, _, key = channel.partition(":")
    rule = _RULES.get(kind)
    if rule is None or not key:
        raise UnknownChannel(
            f"There is no channel {channel[:80]!r}; there are orders, drivers, routes, customers, system, order:ID, "
            "driver:ID, geofence:ID, area:minLon,minLat,maxLon,maxLat and user:ID."
        )
    if not is_id(key):
        raise UnknownChannel(f"No {kind} can have the id in this channel's name.")
    return rule(viewer, key, order)


def channel(topic: str) -> str:
    """The name on the wire: `orders@driver:D1` gives `orders`, `order:X@driver:D1` gives `order:X`."""
    head, _, _ = topic.partition("@")
    if head in _SHARED:
        return head
    return _OWN_PART.split(topic, maxsplit=1)[0] if topic.startswith("order:") else topic


def order_topics(order: Order, *, customer: bool = True) -> list[str]:
    """All topics a message about this order goes to, those of its customer only where `customer`."""
    topics = ["orders", f"order:{order.order_id}"]
    if order.driver_id is not None:
        topics += [f"orders@driver:{order.driver_id}", f"order:{order.order_id}@driver:{order.driver_id}"]
    if customer:
        topics += [f"orders@customer:{order.customer_id}", f"order:{order.order_id}@customer:{order.customer_id}"]
    return topics


def _part_of(viewer: Viewer, channel: str) -> str:
    if viewer.is_office:
        return channel
    if viewer.role not in _SHARED[channel] or viewer.own_id is None:
        raise NotAllowed(f"A {viewer.role} may not subscribe to {channel}.")
    return f"{channel}@{viewer.role}:{viewer.own_id}"


def _order(viewer: Viewer, key: str, order: Order | None) -> str:
    if viewer.is_office:
        if order is None:
            raise NotFound(f"There is no order {key!r}.")
        return f"order:{key}"
    if order is not None and viewer.own_id is not None:
        if viewer.role == "driver" and viewer.own_id == order.driver_id:
            return f"order:{key}@driver:{viewer.own_id}"
        if viewer.role == "customer" and viewer.own_id == order.customer_id:
            return f"order:{key}@customer:{viewer.own_id}"
    raise NotAllowed("This is not an order of yours.")  # also where there is none: ids cannot be probed


def _driver(viewer: Viewer, key: str, order: Order | None) -> str:
    if viewer.is_office or (viewer.role == "driver" and viewer.driver_id == key):
        return f"driver:{key}"
    raise NotAllowed("Only this driver and the office may follow a driver; a customer follows order:ID.")


def _geofence(viewer: Viewer, key: str, order: Order | None) -> str:
    if viewer.is_office:
        return f"geofence:{key}"
    raise NotAllowed("Only the office may watch geofences.")


def _area(viewer: Viewer, key: str, order: Order | None) -> str:
    if viewer.is_office:
        area_of(key)
        return f"{AREA}{key}"
    raise NotAllowed("Only the office may watch areas.")


def _user(viewer: Viewer, key: str, order: Order | None) -> str:
    if viewer.user_id == key:
        return f"user:{key}"
    raise NotAllowed("Personal messages are for their user only.")


_RULES: dict[str, Callable[[Viewer, str, Order | None], str]] = {
    "order": _order,
    "driver": _driver,
    "geofence": _geofence,
    "area": _area,
    "user": _user,
}
