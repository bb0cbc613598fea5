"""From what happened to the reliable messages that say so: who hears of it, and in which words."""

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from tracker.channels import order_topics
from tracker.codec import encode, iso
from tracker.liveness import Liveness
from tracker.mail import Personal
from tracker.messages import (
    DeliveryUpdate,
    DriverStatus,
    EventAmended,
    GeofenceEvent,
    OrderCreated,
    OrderUpdated,
    RouteUpdated,
    ServerMessage,
)
from tracker.records import Delivery, Event, Message, Order, Priority, Route, Transition, event_id
from tracker.spoken import on_record
from tracker.texts import DELIVERY, ETA_WITHDRAWN, LANGUAGES, Language

ARRIVAL_WAITS_S = 1800.0
"""So long an arrival waits for a customer who is offline; then it is no news."""
_URGENT: dict[str, Priority] = {"driver_arrived": "critical", "approaching": "high", "failed": "high"}


def delivery_messages(event: Delivery, order: Order, language: Language) -> list[Message]:
    """`delivery.update` to everyone the order concerns; one found late goes to the office and the driver only.

    What is critical also waits for the customer, as the user of the same id. That a driver passed is for the record
    alone.
    """
    if event.kind == "passed":
        return []
    withdrawn = event.kind == "eta_changed" and event.eta is None
    texts = {spoken: ETA_WITHDRAWN[spoken] if withdrawn else DELIVERY[spoken][event.kind] for spoken in LANGUAGES}
    message = DeliveryUpdate(
        status=event.kind,
        message=texts.pop(language),
        order_id=event.order_id,
        driver_id=event.driver_id,
        timestamp=iso(event.detected_at),
        occurred_at=iso(event.occurred_at),
        eta=_expected(event.eta, withdrawn),
        eta_low=_expected(event.eta_low, withdrawn),
        eta_high=_expected(event.eta_high, withdrawn),
        confidence=event.confidence,
        late=event.late,
    )
    body = on_record(encode(message), {spoken: {"message": text} for spoken, text in texts.items()})
    topics = order_topics(order, customer=not event.late)
    priority = _URGENT.get(event.kind, "normal")
    messages = _bodies(body, topics, event.event_id, event.detected_at, priority)
    if priority == "critical" and not event.late:
        messages.append(
            Personal(
                event_id=event.event_id,
                topic=f"user:{order.customer_id}",
                body=body,
                created_at=event.detected_at,
                priority=priority,
                expires_at=event.detected_at + ARRIVAL_WAITS_S,
            )
        )
    return messages


def transition_messages(event: Transition) -> list[Message]:
    """`geofence.event` to those who watch the geofence or the driver."""
    message = GeofenceEvent(
        kind=event.kind,
        driver_id=event.driver_id,
        geofence_id=event.geofence_id,
        occurred_at=iso(event.occurred_at),
        confidence=event.confidence,
        late=event.late,
    )
    topics = [f"geofence:{event.geofence_id}", f"driver:{event.driver_id}"]
    return _messages(message, topics, event.event_id, event.detected_at, "normal")


def amended_messages(event: Event, orders: Mapping[str, Order]) -> list[Message]:
    """`event.amended` to the office and the driver: what they were told is different now; customers are not told."""
    assert isinstance(event, Transition | Delivery)
    fence = event.geofence_id if isinstance(event, Transition) else None
    message = EventAmended(
        amends=event.event_id,
        version=event.version,
        withdrawn=event.withdrawn,
        kind=event.kind,
        driver_id=event.driver_id,
        geofence_id=fence,
        order_id=event.order_id if isinstance(event, Delivery) else None,
        occurred_at=iso(event.occurred_at),
        confidence=event.confidence,
    )
    if isinstance(event, Delivery):
        topics = order_topics(orders[event.order_id], customer=False)
    else:
        topics = [f"geofence:{fence}", f"driver:{event.driver_id}"]
    identity = event_id("event.amended", event.event_id, event.version)
    return _messages(message, topics, identity, event.detected_at, "low")


def status_message(driver: Liveness) -> DriverStatus:
    """`driver.status`."""
    return DriverStatus(
        driver_id=driver.driver_id,
        status=driver.status,
        since=iso(driver.since),
        timestamp=iso(driver.fix_time),
    )


def status_messages(driver: Liveness, topics: list[str], now: float) -> list[Message]:
    """`driver.status` to those who may see the driver."""
    identity = event_id("driver.status", driver.driver_id, driver.status, round(driver.since * 1000))
    return _messages(status_message(driver), topics, identity, now, "low")


def order_messages(message: OrderCreated | OrderUpdated, order: Order, *, event_id: str, now: float) -> list[Message]:
    """`order.created` or `order.updated` to everyone the order concerns."""
    return _messages(message, order_topics(order), event_id, now, "normal")


def route_messages(route: Route, now: float) -> list[Message]:
    """`route.updated` to the office and the route's driver."""
    message = RouteUpdated(route_id=route.route_id, driver_id=route.driver_id)
    topics = ["routes", f"routes@driver:{route.driver_id}"]
    return _messages(message, topics, event_id("route.updated", route.route_id, round(now * 1000)), now, "normal")


def _messages(
    message: ServerMessage, topics: list[str], event: str, created_at: float, priority: Priority
) -> list[Message]:
    return _bodies(encode(message), topics, event, created_at, priority)


def _bodies(body: bytes, topics: list[str], event: str, created_at: float, priority: Priority) -> list[Message]:
    return [
        Message(event_id=event, topic=topic, body=body, created_at=created_at, priority=priority) for topic in topics
    ]


def _expected(t: float | None, withdrawn: bool) -> str | UnsetType | None:
    """A predicted time; null where it is withdrawn, and nothing where the message is not about it."""
    return iso(t) if t is not None else None if withdrawn else UNSET
