"""Publishing in this process: what other back ends say becomes stored messages, as what the engine finds does."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from api.services import Services
from storage.store import Commit
from tracker import channels
from tracker.errors import InvalidInput
from tracker.publications import QueuePriority, publication, topics
from tracker.records import Order


class Publisher:
    """As `api.backend` describes."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def publish_event(
        self,
        channel: str,
        event: Mapping[str, Any],
        priority: str = QueuePriority.NORMAL,
        use_queue: bool = False,
        target_user_id: str | None = None,
    ) -> str:
        """Tell everybody on a channel, or one user only.

        Raises InvalidInput, MessageTooLarge, UnknownChannel, NotFound.
        """
        services = self._services
        given = publication(
            event, priority, new_id=uuid4().hex, now=services.clock(), ttl_s=services.config.message_ttl_s
        )
        if target_user_id is not None:
            if not channels.is_id(target_user_id):
                raise InvalidInput("target_user_id: no user can have this id", field="target_user_id")
            told = [f"user:{target_user_id}"]
        else:
            told = topics(channel, given.body, await self._order(channel, given.body))
        commit = Commit(messages=[given.to(topic) for topic in told])
        if use_queue:
            services.line.commit_soon(commit)
        else:
            await services.line.commit(commit)
        return given.event_id

    async def send_to_user(self, user_id: str, message: Mapping[str, Any], priority: str = QueuePriority.NORMAL) -> str:
        """Tell one user, now or when they connect. Raises as `publish_event` does."""
        return await self.publish_event(f"user:{user_id}", message, priority, target_user_id=user_id)

    async def _order(self, channel: str, event: Mapping[str, Any]) -> Order | None:
        """The order that an event is about."""
        order_id = channels.order_id_of(channel)
        if channel == "orders":
            order_id = event.get("order_id")
        if not isinstance(order_id, str) or not channels.is_id(order_id):
            return None
        return self._services.engine.orders.get(order_id) or await self._services.store.get(Order, order_id)
