"""For other back ends in Python: publish to the tracker's WebSockets, in its own process or over HTTP.

    from api.backend import QueuePriority, publish_event, send_to_user, websocket_hooks

    await publish_event("orders", {"type": "order.updated", "order_id": "O1", "status": "delivering"})
    await send_to_user("D1", {"type": "notification", "title": "新訂單", "message": "您有新的配送任務"})
    await websocket_hooks.on_order_created({"order_id": "O1", "customer_id": "C1"})

In a server's own process they reach that server. Elsewhere they go over HTTP to `TRACKER_URL` with the token in
`TRACKER_TOKEN` (role service, office or admin), or to what `use` was given.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from api.ask import ask
from tracker.errors import ConfigurationError
from tracker.publications import QueuePriority

__all__ = [
    "HttpPublisher",
    "QueuePriority",
    "WebSocketHooks",
    "publish_event",
    "send_to_user",
    "use",
    "websocket_hooks",
]

Event = Mapping[str, Any]


class AnyPublisher(Protocol):
    """Where messages go."""

    async def publish_event(
        self,
        channel: str,
        event: Event,
        priority: str = QueuePriority.NORMAL,
        use_queue: bool = False,
        target_user_id: str | None = None,
    ) -> str:
        """Tell everybody on a channel, or one user only; the `event_id`.

        Returns when it is stored; with `use_queue`, as soon as it waits to be. Raises TrackerError.
        """

    async def send_to_user(self, user_id: str, message: Event, priority: str = QueuePriority.NORMAL) -> str:
        """Tell one user, now or when they connect; the `event_id`. Raises TrackerError."""


class HttpPublisher:
    """Publishes over HTTP. An `event_id` in an event makes it safe to send it again."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    async def publish_event(
        self,
        channel: str,
        event: Event,
        priority: str = QueuePriority.NORMAL,
        use_queue: bool = False,
        target_user_id: str | None = None,
    ) -> str:
        """As in AnyPublisher."""
        body = {"channel": channel, "event": event, "priority": priority, "use_queue": use_queue}
        return await asyncio.to_thread(self._post, "/api/v1/events", body | {"target_user_id": target_user_id})

    async def send_to_user(self, user_id: str, message: Event, priority: str = QueuePriority.NORMAL) -> str:
        """As in AnyPublisher."""
        path = f"/api/v1/users/{quote(user_id, safe='')}/messages"
        return await asyncio.to_thread(self._post, path, {"message": message, "priority": priority})

    def _post(self, path: str, body: Any) -> str:
        event_id: str = ask("POST", f"{self._url}{path}", self._token, msgspec.json.encode(body))["event_id"]
        return event_id


class WebSocketHooks:
    """What a back end calls when something happened there."""

    async def on_order_created(self, order: Event) -> str:
        """`order.created` to the office, and the driver and customer it names."""
        return await publish_event("orders", {**order, "type": "order.created"})

    async def on_order_updated(self, order: Event) -> str:
        """`order.updated` to everyone the order concerns."""
        return await publish_event("orders", {**order, "type": "order.updated"})

    async def on_order_assigned(self, order: Event) -> str:
        """`order.updated` to everyone the order concerns, and a notification that waits for its driver."""
        event_id = await publish_event("orders", {"status": "assigned", **order, "type": "order.updated"})
        message = {
            "type": "notification",
            "event_id": f"{event_id}-driver",
            "title": "新訂單",
            "message": "您有新的配送任務",
            "severity": "info",
            "action": {"type": "view_order", "order_id": order["order_id"]},
            "texts": {"en": {"title": "New order", "message": "You have a new delivery"}},
        }
        await send_to_user(order["driver_id"], message, QueuePriority.HIGH)
        return event_id

    async def on_route_updated(self, route: Event) -> str:
        """`route.updated` to the office and the route's driver."""
        return await publish_event("routes", {**route, "type": "route.updated"})

    async def on_notification(self, notification: Event) -> str:
        """`notification` to its `user_id`, else its `customer_id` on `customers`, else everyone on `system`."""
        message = {name: value for name, value in notification.items() if name != "user_id"} | {"type": "notification"}
        if "user_id" in notification:
            return await send_to_user(notification["user_id"], message)
        return await publish_event("customers" if "customer_id" in message else "system", message)

    async def on_system_alert(self, alert: Event) -> str:
        """`maintenance.alert` to everyone on `system`."""
        return await publish_event("system", {**alert, "type": "maintenance.alert"}, QueuePriority.HIGH)


websocket_hooks = WebSocketHooks()

_publishers: list[AnyPublisher] = []


@contextmanager
def use(publisher: AnyPublisher) -> Iterator[None]:
    """Publish by way of this one until the end of the block."""
    _publishers.append(publisher)
    try:
        yield
    finally:
        _publishers.remove(publisher)


async def publish_event(
    channel: str,
    event: Event,
    priority: str = QueuePriority.NORMAL,
    use_queue: bool = False,
    target_user_id: str | None = None,
) -> str:
    """As in AnyPublisher."""
    return await _publisher().publish_event(channel, event, priority, use_queue, target_user_id)


async def send_to_user(user_id: str, message: Event, priority: str = QueuePriority.NORMAL) -> str:
    """As in AnyPublisher."""
    return await _publisher().send_to_user(user_id, message, priority)


def _publisher() -> AnyPublisher:
    if _publishers:
        return _publishers[-1]
    url, token = os.environ.get("TRACKER_URL"), os.environ.get("TRACKER_TOKEN")
    if not (url and token):
        raise ConfigurationError("set TRACKER_URL and TRACKER_TOKEN, or name a publisher with api.backend.use")
    return HttpPublisher(url, token)
