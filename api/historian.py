"""Tells again what late fixes change, off the hot path: from the store, through an engine beside the live one.

The store notes late fixes in the transaction that stores them, and drops the note in the one that stores what they
change: whatever is killed when, it is told, and only once.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

import numpy as np
import structlog

from api.services import Services
from storage.store import Commit, Span
from tracker.amend import MILESTONE, newest_versions, with_milestones
from tracker.announce import amended_messages, delivery_messages, transition_messages
from tracker.errors import StoreUnavailable
from tracker.history import AROUND_S, WARM_UP_S, Amendment, Past, retell, start_of
from tracker.pending import Group, Pending
from tracker.records import Delivery, Event, Message, Order, Route, Transition

log = structlog.get_logger()

INTERVAL_S = 5.0
"""So often it is looked whether something is due, or oftener when things settle sooner."""
_PAGE = 1000
_DAY_S = 86400.0


class Historian:
    """One driver after the other; live fixes go on in between."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._pending = Pending(services.config.engine.retell_after_s)
        self.counts: Counter[str] = Counter()
        """Events that late data told or changed: late, amended, withdrawn."""

    def note(self, spans: Iterable[Span]) -> None:
        """Late fixes were stored."""
        now = self._services.clock()
        for driver_id, first, last in spans:
            self._pending.add(driver_id, first, last, now)

    async def work(self) -> None:
        """Tell what is due, for ever."""
        interval = min(INTERVAL_S, self._services.config.engine.retell_after_s)
        while True:
            await asyncio.sleep(interval)
            await self.tell_due()

    async def tell_due(self) -> None:
        """Tell again what has settled by now."""
        if not len(self._pending):
            return
        newest = {latest.driver_id: latest.fix_time for latest in self._services.engine.latest()}
        due = self._pending.take_due(lambda driver_id: newest.get(driver_id, -np.inf), self._services.clock())
        for group in due:
            try:
                await self._tell(group)
            except StoreUnavailable:
                self.note(group.spans)  # it stays noted in the store, too
            except Exception:
                log.exception("late fixes not told", driver_id=group.driver_id)
                self._services.meters.failures["historian"] += 1

    async def _tell(self, group: Group) -> None:
        past = await self._past(group)
        retelling = retell(self._services.engine.beside(), past, group.first, group.last)
        while True:
            try:
                next(retelling)
            except StopIteration as end:
                amendment: Amendment = end.value
                break
            await asyncio.sleep(0)
        orders = {order.order_id: self._services.engine.orders.get(order.order_id, order) for order in past.orders}
        if any(_overtaken(event, orders) for event in amendment.events):
            self.note(group.spans)  # once more, from what is stored then
            return
        await self._store(group, orders, amendment)
        for event in amendment.events:
            self.counts["withdrawn" if event.withdrawn else "amended" if event.version > 1 else "late"] += 1

    async def _past(self, group: Group) -> Past:
        store, driver_id, start = self._services.store, group.driver_id, start_of(group.first)
        fixes, kind = await store.fixes(driver_id, start - WARM_UP_S, group.last + AROUND_S)
        events = newest_versions(await self._events(driver_id, start - _DAY_S, group.last + _DAY_S))
        since = [event for event in events if event.detected_at >= start]
        return Past(
            fixes,
            kind,
            await store.inside(driver_id, start),
            since,
            await self._orders(driver_id, since),
            await store.find(Route, driver_id=driver_id),
        )

    async def _events(self, driver_id: str, start: float, end: float) -> list[Event]:
        events: list[Event] = []
        after = None
        while True:
            page = await self._services.store.events(
                driver_id=driver_id, start=start, end=end, after=after, limit=_PAGE, versions=True
            )
            events += page
            if len(page) < _PAGE:
                return events
            after = (page[-1].occurred_at, page[-1].event_id, page[-1].version)

    async def _orders(self, driver_id: str, events: Iterable[Event]) -> list[Order]:
        """A driver's open orders, and those of the events, as they are now."""
        open_ = self._services.engine.orders
        ids = {event.order_id for event in events if isinstance(event, Delivery)}
        ids |= {order.order_id for order in open_.values() if order.driver_id == driver_id}
        found = [open_.get(key) or await self._services.store.get(Order, key) for key in sorted(ids)]
        return [order for order in found if order is not None and order.driver_id == driver_id]

    async def _store(self, group: Group, orders: dict[str, Order], amendment: Amendment) -> None:
        """All in one transaction; the engine learns of orders in the step that queues them, as of everything."""
        services = self._services
        after = {key: with_milestones(order, amendment.events) for key, order in orders.items()}
        changed = [order for key, order in after.items() if order != orders[key]]
        for order in changed:
            services.engine.set_order(order)
        await services.line.commit(
            Commit(
                events=amendment.events,
                save=changed,
                messages=[message for event in amendment.events for message in self._messages(event, after)],
                judgements=amendment.judgements,
                told=group.spans,
            )
        )

    def _messages(self, event: Event, orders: dict[str, Order]) -> list[Message]:
        """The office, and the driver, hear of it; a customer never."""
        if event.version > 1:
            return amended_messages(event, orders)
        if isinstance(event, Transition):
            return transition_messages(event)
        assert isinstance(event, Delivery)
        return delivery_messages(event, orders[event.order_id], self._services.config.language)


def _overtaken(event: Event, orders: dict[str, Order]) -> bool:
    """Whether a milestone found in the past has been told live since that past was read."""
    if not isinstance(event, Delivery) or event.version > 1 or event.kind not in MILESTONE:
        return False
    return getattr(orders[event.order_id], MILESTONE[event.kind]) is not None
