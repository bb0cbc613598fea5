"""What people do with orders, geofences and routes, over HTTP and on sockets alike: rights, records, announcements."""

import asyncio
import re
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from api import changes
from api.bodies import read_geofence, read_order, read_route
from api.services import Services
from storage.store import Commit, D, Document
from tracker import channels
from tracker.announce import delivery_messages, route_messages
from tracker.channels import Viewer
from tracker.codec import iso
from tracker.errors import InvalidInput, NotAllowed, NotFound
from tracker.messages import DeliveryConfirmed
from tracker.records import Delivery, Geofence, Message, Order, Route

_NUL = re.compile(rb"(?<!\\)(\\\\)*\\u0000")
"""U+0000 in JSON."""


class Office:
    """Changes of one thing are made one after the other.

    The engine learns of a change at once, and in the same step it is queued for the store: so what the engine finds
    with it is stored after it.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._turns: WeakValueDictionary[tuple[type[Document], str], asyncio.Lock] = WeakValueDictionary()

    # Orders

    async def order(self, viewer: Viewer, order_id: str) -> Order:
        """An order this viewer may see. Raises NotAllowed, and NotFound where that tells nothing."""
        if not channels.is_id(order_id):
            raise NotFound("No order can have this id.")
        order = await self._order(order_id)
        channels.topic(viewer, f"order:{order_id}", order)  # who may follow an order may read it
        assert order is not None
        return order

    async def put_order(self, viewer: Viewer, order_id: str, body: Any, now: float) -> tuple[Order, bool]:
        """Add or replace an order; also tells whether it is new. Raises NotAllowed, InvalidInput."""
        _check_office(viewer)
        given = read_order(order_id, body)
        if not channels.is_id(order_id):
            raise InvalidInput(
                "order_id: must be printable, of at most 200 characters, without @customer: and @driver:",
                field="order_id",
            )
        async with self._turn(Order, order_id):
            before = await self._order(order_id)
            if before is None:
                after = msgspec.structs.replace(given, created_at=min(given.created_at or now, now))
            else:
                after = changes.replaced(before, given, status_given="status" in body, now=now)
            await self._change(viewer, before, after, now)
        return after, before is None

    async def update_order(
        self, viewer: Viewer, order_id: str, status: str, details: dict[str, Any] | None, now: float
    ) -> None:
        """Move an order on. Raises NotAllowed, NotFound, InvalidInput, and Conflict once it has ended."""
        async with self._turn(Order, order_id):
            before = await self.order(viewer, order_id)
            if viewer.role == "customer":
                raise NotAllowed("Only an order's driver and the office move it on.")
            await self._change(viewer, before, changes.moved_on(before, status, details), now)

    async def confirm_delivery(self, viewer: Viewer, message: DeliveryConfirmed, now: float) -> None:
        """Note that the goods were handed over; the first confirmation stays. Raises as `update_order` does."""
        async with self._turn(Order, message.order_id):
            before = await self.order(viewer, message.order_id)
            if message.customer_id not in (None, before.customer_id):
                raise InvalidInput("customer_id: is not the customer of this order", field="customer_id")
            if before.status == "delivered" and "confirmation" in (before.details or {}):
                return
            confirmed_at = changes.reported_time(message.confirmed_at, now)
            confirmation = {
                "confirmed_at": iso(confirmed_at),
                "confirmed_by": viewer.role,
                "confirmation_type": message.confirmation_type,
                "cylinder_serial": message.cylinder_serial,
            }
            after = changes.moved_on(before, "delivered", {"confirmation": confirmation})
            await self._change(viewer, before, after, now, occurred_at=confirmed_at)

    async def remove_order(self, viewer: Viewer, order_id: str, now: float) -> None:
        """Delete an order. Raises NotAllowed, NotFound."""
        _check_office(viewer)
        async with self._turn(Order, order_id):
            before = await self.order(viewer, order_id)
            self._services.engine.remove_order(order_id)
            await self._commit(remove=[(Order, order_id)], messages=changes.deleted_messages(before, now))

    # Geofences

    async def put_geofence(self, viewer: Viewer, geofence_id: str, feature: Any) -> tuple[Geofence, bool]:
        """Add or replace a geofence; also tells whether it is new. Raises NotAllowed, InvalidInput."""
        _check_office(viewer)
        geofence = _storable(read_geofence(geofence_id, feature))
        async with self._turn(Geofence, geofence_id):
            before = await self._services.store.get(Geofence, geofence_id)
            if before is None or msgspec.structs.replace(before, changed_at=0.0) != geofence:
                geofence = msgspec.structs.replace(geofence, changed_at=self._services.clock())
                self._services.engine.set_geofence(geofence)
                await self._commit(save=[geofence])
        return geofence, before is None

    async def remove_geofence(self, viewer: Viewer, geofence_id: str) -> None:
        """Delete a geofence. Raises NotAllowed, NotFound."""
        _check_office(viewer)
        async with self._turn(Geofence, geofence_id):
            if await self._services.store.get(Geofence, geofence_id) is None:
                raise NotFound(f"There is no geofence {geofence_id!r}.")
            self._services.engine.remove_geofence(geofence_id)
            await self._commit(remove=[(Geofence, geofence_id)])

    # Routes

    async def put_route(self, viewer: Viewer, route_id: str, body: Any, now: float) -> tuple[Route, bool]:
        """Add or replace a route; also tells whether it is new. Raises NotAllowed, InvalidInput."""
        _check_office(viewer)
        route = _storable(read_route(route_id, body))
        async with self._turn(Route, route_id):
            before = await self._services.store.get(Route, route_id)
            if route != before:
                self._services.engine.set_route(route)
                await self._commit(save=[route], messages=_route_messages(before, route, now))
        return route, before is None

    async def remove_route(self, viewer: Viewer, route_id: str, now: float) -> None:
        """Delete a route. Raises NotAllowed, NotFound."""
        _check_office(viewer)
        async with self._turn(Route, route_id):
            before = await self._services.store.get(Route, route_id)
            if before is None:
                raise NotFound(f"There is no route {route_id!r}.")
            self._services.engine.remove_route(route_id)
            await self._commit(remove=[(Route, route_id)], messages=route_messages(before, now))

    # How

    def _turn(self, kind: type[Document], key: str) -> asyncio.Lock:
        return self._turns.setdefault((kind, key), asyncio.Lock())

    async def _order(self, order_id: str) -> Order | None:
        """The newest there is: of an order under way the engine knows more than the store."""
        return self._services.engine.orders.get(order_id) or await self._services.store.get(Order, order_id)

    async def _change(
        self, viewer: Viewer, before: Order | None, after: Order, now: float, occurred_at: float | None = None
    ) -> None:
        """Nothing where nothing changes, so whatever is said twice is announced once."""
        if after == before:
            return
        self._services.engine.set_order(_storable(after))
        if before is None:
            messages = changes.created_messages(after, now)
        else:
            messages = changes.updated_messages(before, after, now)
        events = changes.deliveries(
            before, after, now=now, occurred_at=now if occurred_at is None else occurred_at, role=viewer.role
        )
        events = [self._with_eta(event) for event in events]
        for event in events:
            messages += delivery_messages(event, after, self._services.config.language)
        await self._commit(save=[after], events=events, messages=messages)

    def _with_eta(self, event: Delivery) -> Delivery:
        """Who hears that the driver is on his way hears when he comes, where that is known."""
        eta = self._services.engine.eta(event.order_id) if event.kind == "en_route" else None
        if eta is None:
            return event
        low, middle, high = (round(t, 3) for t in eta)
        return msgspec.structs.replace(event, eta=middle, eta_low=low, eta_high=high)

    async def _commit(self, **parts: Any) -> None:
        await self._services.line.commit(Commit(**parts))


def _check_office(viewer: Viewer) -> None:
    if not viewer.is_office:
        raise NotAllowed("Only the office may change this.")


def _storable(document: D) -> D:
    """The document, if every store can keep its texts. Raises InvalidInput."""
    if _NUL.search(msgspec.json.encode(document)):
        raise InvalidInput("Texts may not have the character U+0000; leave it out.")
    return document


def _route_messages(before: Route | None, route: Route, now: float) -> list[Message]:
    """`route.updated`, also to the driver who had the route before."""
    messages = {message.topic: message for old in (before, route) if old for message in route_messages(old, now)}
    return list(messages.values())
