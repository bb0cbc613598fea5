"""What people change about an order, and what is announced of it; pure."""

from typing import Any

from msgspec.structs import replace

from geo.earth import distance
from tracker.announce import order_messages
from tracker.channels import order_topics
from tracker.codec import parse_time
from tracker.errors import Conflict, InvalidInput
from tracker.messages import OrderCreated, OrderUpdated, Timestamp
from tracker.records import Delivery, DeliveryStatus, Destination, Former, Message, Order, event_id
from tracker.shapes import centre

DELETED = "deleted"
"""The status by which `order.updated` says that an order is no more."""

_ANNOUNCED: dict[str, DeliveryStatus] = {
    "delivering": "en_route",
    "en_route": "en_route",
    "delivered": "delivered",
    "failed": "failed",
}
"""Statuses that people set and that customers hear of. The others are the engine's to find."""
_BEFORE_APPROACHING = frozenset({"assigned", "delivering", "en_route"})
_LONGEST_STATUS = 128
_MILESTONES = ("approaching_at", "arrived_at", "departed_at")
PIN_M = 50.0
"""A destination that moves by no more is the same place, better known."""
BACK_WITHIN_S = 600.0
"""A driver who gets an order back so soon goes on with it."""


def replaced(before: Order, given: Order, *, status_given: bool, now: float) -> Order:
    """`before` as a PUT of `given` leaves it: how far its delivery is stays, where it is still the same delivery.

    Another driver, another destination (more than a pin put right) and an order opened again are deliveries from the
    start: what their driver did before now is not part of them. But one given back soon goes on where it was. A PUT
    that says nothing of the status or the details leaves them too, so that repeating one undoes nothing.
    """
    moved = _moved(before.destination, given.destination)
    same = given.driver_id == before.driver_id and not moved
    status = given.status if status_given else before.status if same or before.ended else "assigned"
    after = replace(given, status=status, created_at=before.created_at, details=given.details or before.details)
    if moved or (before.ended and not after.ended):
        return replace(after, assigned_at=now)
    if same:
        milestones = {name: getattr(before, name) for name in ("assigned_at", *_MILESTONES, "former")}
        return replace(after, status=_not_back(before, status), **milestones)
    former, back = _former(before, now), before.former
    if back is None or back.driver_id != given.driver_id or now - back.until > BACK_WITHIN_S:
        return replace(after, assigned_at=now, former=former)
    milestones = {name: getattr(back, name) for name in ("assigned_at", "approaching_at", "arrived_at")}
    return replace(after, status=back.status, former=former, **milestones)


def moved_on(before: Order, status: str, details: dict[str, Any] | None) -> Order:
    """The order with a new status and more details. Raises InvalidInput, and Conflict once it has ended."""
    if not 0 < len(status) <= _LONGEST_STATUS:
        raise InvalidInput(f"status: must have 1 to {_LONGEST_STATUS} characters", field="status")
    if before.ended and status != before.status:
        raise Conflict(f"This order is {before.status}; only the office can open it again, with a PUT.")
    together = {**(before.details or {}), **(details or {})}
    return replace(before, status=_not_back(before, status), details=together or before.details)


def deliveries(before: Order | None, after: Order, *, now: float, occurred_at: float, role: str) -> list[Delivery]:
    """What customers hear of the change that somebody of this role made; nothing where there is no driver."""
    if after.driver_id is None or (before is None and after.ended):
        return []
    kinds: list[DeliveryStatus] = []
    if not after.ended and (before is None or before.driver_id != after.driver_id):
        kinds.append("assigned")
    kind = _ANNOUNCED.get(after.status)
    if kind and (before is None or _ANNOUNCED.get(before.status) != kind):
        kinds.append(kind)
    return [
        Delivery(
            event_id=event_id(kind, after.driver_id, after.order_id, round(now * 1000)),
            kind=kind,
            order_id=after.order_id,
            customer_id=after.customer_id,
            driver_id=after.driver_id,
            occurred_at=occurred_at,
            detected_at=now,
            evidence={"reported_by": role},
        )
        for kind in kinds
    ]


def created_messages(order: Order, now: float) -> list[Message]:
    """`order.created`."""
    message = OrderCreated(
        order_id=order.order_id,
        customer_id=order.customer_id,
        customer_name=order.customer_name,
        products=order.products,
        delivery_date=order.delivery_date,
        address=order.address,
        driver_id=order.driver_id,
        status=order.status,
    )
    return order_messages(message, order, event_id=_event_id("order.created", order, now), now=now)


def updated_messages(before: Order, after: Order, now: float) -> list[Message]:
    """`order.updated`; those whom the order concerns no longer hear its status, and nothing else."""
    identity = _event_id("order.updated", after, now)
    message = OrderUpdated(order_id=after.order_id, status=after.status, details=after.details)
    messages = order_messages(message, after, event_id=identity, now=now)
    former = set(order_topics(before)) - set(order_topics(after))
    bare = OrderUpdated(order_id=after.order_id, status=after.status)
    farewell = order_messages(bare, before, event_id=identity, now=now)
    return messages + [message for message in farewell if message.topic in former]


def deleted_messages(order: Order, now: float) -> list[Message]:
    """`order.updated` for the last time."""
    message = OrderUpdated(order_id=order.order_id, status=DELETED)
    return order_messages(message, order, event_id=_event_id("order.deleted", order, now), now=now)


def reported_time(stamp: Timestamp, now: float) -> float:
    """When something happened that a client reports, in Unix seconds; now where it does not say or is ahead of us."""
    return now if stamp is None else min(max(parse_time(str(stamp)), 0.0), now)


def _moved(before: Destination, after: Destination) -> bool:
    """Whether this is another place, and not a pin put right."""
    return before != after and float(distance(*centre(before), *centre(after))) > PIN_M


def _former(order: Order, now: float) -> Former | None:
    """How far a driver was who is taken off an order; nothing to go on with where he had departed."""
    if order.driver_id is None or order.departed_at is not None:
        return None
    return Former(
        driver_id=order.driver_id,
        until=now,
        status=order.status,
        assigned_at=order.assigned_at,
        approaching_at=order.approaching_at,
        arrived_at=order.arrived_at,
    )


def _not_back(before: Order, status: str) -> str:
    """The new status, unless the engine has seen the delivery further on already."""
    behind = status in _BEFORE_APPROACHING and (before.approaching_at, before.arrived_at) != (None, None)
    return before.status if behind else status


def _event_id(kind: str, order: Order, now: float) -> str:
    return event_id(kind, order.order_id, round(now * 1e6))
