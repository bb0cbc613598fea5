"""The orders under way: one slot each, in columns, and the order in which each driver delivers his."""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from geo.compiled import compiled
from geo.places import PlaceTable
from tracker.errors import InvalidInput
from tracker.nearness import Slots
from tracker.records import Floats, Ints, Order, Route
from tracker.settings import EngineSettings
from tracker.shapes import centre, destination_shape

_FIRST_CAPACITY = 64
_COUNTS = frozenset({"stage", "routed", "following", "gone", "fixes"})
"""Columns of `Slots` that are whole numbers."""


class Stage(IntEnum):
    """How far a delivery is; it only moves on."""

    UNDER_WAY = 0
    APPROACHING = 1
    ARRIVED = 2
    DEPARTED = 3


def stage_of(order: Order) -> Stage:
    """The stage an order's milestones tell."""
    if order.departed_at is not None:
        return Stage.DEPARTED
    if order.arrived_at is not None:
        return Stage.ARRIVED
    return Stage.UNDER_WAY if order.approaching_at is None else Stage.APPROACHING


def _no_slots() -> Slots:
    columns: dict[str, Any] = {
        name: np.zeros(_FIRST_CAPACITY, np.int64 if name in _COUNTS else np.float64) for name in Slots._fields
    }
    return Slots(**columns)


class Chains(NamedTuple):
    """The stops of drivers in turn: the i-th, whose rows begin at `start[i]`, has `slot[chain[i] : chain[i + 1]]`."""

    start: Ints
    chain: Ints
    slot: Ints


class OrderTable:
    """Orders that have a driver and have not ended, by slot; slots of removed orders are used again."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self.by_id: dict[str, Order] = {}
        self.destinations = PlaceTable()
        """By slot."""
        self.ids: list[str] = []
        self.slots = _no_slots()
        self.head: Ints = np.full(_FIRST_CAPACITY, -1)
        """By driver: the slot of his next order, from which `slots.following` leads to the others; -1 for none."""
        self.driver: Ints = np.full(_FIRST_CAPACITY, -1)
        self.eta: Floats = np.full(_FIRST_CAPACITY, np.nan)
        self.eta_low: Floats = np.full(_FIRST_CAPACITY, np.nan)
        self.eta_high: Floats = np.full(_FIRST_CAPACITY, np.nan)
        """The predicted arrival and its interval; NaN before the first prediction."""
        self.eta_announced: Floats = np.full(_FIRST_CAPACITY, np.nan)
        self.is_next = np.zeros(_FIRST_CAPACITY, np.bool_)
        self.turn: Ints = np.zeros(_FIRST_CAPACITY, np.int64)
        """Its place among its driver's orders."""
        self.most = 0
        """No driver has ever had more orders at once."""
        self._slot: dict[str, int] = {}
        self._free: list[int] = []
        self.routes: dict[int, Route] = {}
        """By driver."""
        self._of_driver: dict[int, list[str]] = {}

    @property
    def stage(self) -> Ints:
        """How far each delivery is, as `Stage`."""
        return self.slots.stage

    @property
    def latitude(self) -> Floats:
        """Of the middle of each destination."""
        return self.slots.latitude

    @property
    def longitude(self) -> Floats:
        """Of the middle of each destination."""
        return self.slots.longitude

    @property
    def distance(self) -> Floats:
        """From the driver to the destination's edge, m, negative inside; NaN before his first position."""
        return self.slots.distance

    def put(self, order: Order, driver: int | None) -> None:
        """Add or replace an order; one without a driver waits, one that ended is forgotten. Raises InvalidInput."""
        shape = destination_shape(order.destination, self._settings.arrival_radius_m)
        before = self.by_id.get(order.order_id)
        slot = self._slot.get(order.order_id)
        if order.ended or driver is None or (slot is not None and self.driver[slot] != driver):
            self.remove(order.order_id)
            slot = None
        if order.ended:
            return
        self.by_id[order.order_id] = order
        if driver is None:
            return
        if slot is None:
            slot = self._take_slot(order.order_id, driver)
            before = None
        if before is None or before.destination != order.destination:
            try:
                self.destinations.put(slot, shape)
            except ValueError as error:
                raise InvalidInput(f"destination: {error}", field="destination") from None
            self.latitude[slot], self.longitude[slot] = centre(order.destination)
            self._clear(slot)
        self.slots.since[slot] = order.created_at if order.assigned_at is None else order.assigned_at
        self.stage[slot] = stage_of(order)
        self.rank(driver)

    def remove(self, order_id: str) -> None:
        """Forget an order, if it is there."""
        self.by_id.pop(order_id, None)
        slot = self._slot.pop(order_id, None)
        if slot is None:
            return
        driver = int(self.driver[slot])
        self.driver[slot] = -1
        self.is_next[slot] = False
        self.destinations.drop(slot)
        self._free.append(slot)
        self._of_driver[driver].remove(order_id)
        self.rank(driver)

    def put_route(self, route: Route | None, driver: int) -> None:
        """Deliver in the order of this route; without one, in the order the orders were made."""
        if route is None:
            self.routes.pop(driver, None)
        else:
            self.routes[driver] = route
        self.rank(driver)

    def slot(self, order_id: str) -> int | None:
        """Where an order under way stands."""
        return self._slot.get(order_id)

    def of_driver(self, driver: int) -> list[str]:
        """A driver's orders under way, next first; those departed from are last."""
        return self._of_driver.get(driver, [])

    def chains(self, driver: Ints) -> Chains:
        """The stops of the drivers of a column (k,) of runs of each."""
        return Chains(*_chains(driver, self.head, self.slots.following))

    def rank(self, driver: int) -> None:
        """Sort a driver's orders as he will deliver them; the first not departed from is next."""
        route = self.routes.get(driver)
        place = {order_id: i for i, order_id in enumerate(route.stops)} if route else {}

        def key(order_id: str) -> tuple[bool, int, float, str]:
            order = self.by_id[order_id]
            departed = order.departed_at is not None
            return departed, place.get(order_id, len(place)), order.created_at, order_id

        mine = self._of_driver.get(driver, [])
        mine.sort(key=key)
        if driver >= len(self.head):
            self.head = np.concatenate([self.head, np.full(max(driver, len(self.head)), -1)])
        self.head[driver] = following = -1
        for i in reversed(range(len(mine))):
            slot = self._slot[mine[i]]
            self.turn[slot] = i
            self.is_next[slot] = i == 0 and self.stage[slot] < Stage.DEPARTED
            self.slots.routed[slot] = route is not None
            self.slots.following[slot] = following
            self.head[driver] = following = slot

    def _take_slot(self, order_id: str, driver: int) -> int:
        if self._free:
            slot = self._free.pop()
            self.ids[slot] = order_id
        else:
            slot = len(self.ids)
            self.ids.append(order_id)
            if slot == len(self.driver):
                self._grow()
        self.driver[slot] = driver
        self.is_next[slot] = False
        self._slot[order_id] = slot
        mine = self._of_driver.setdefault(driver, [])
        mine.append(order_id)
        self.most = max(self.most, len(mine))
        return slot

    def _clear(self, slot: int) -> None:
        """Nothing is known of the way to a new destination."""
        for column in (self.eta, self.distance, self.slots.entered_at, self.slots.left_at, self.slots.reached_at):
            column[slot] = np.nan
        for column in (self.eta_low, self.eta_high, self.eta_announced):
            column[slot] = np.nan
        self.slots.slack[slot] = self.slots.gone[slot] = 0

    def _grow(self) -> None:
        self.slots = Slots(*(np.concatenate([column, np.zeros_like(column)]) for column in self.slots))
        for name in ("driver", "eta", "eta_low", "eta_high", "eta_announced", "is_next", "turn"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.empty_like(column)]))


@compiled
def _chains(driver: Ints, head: Ints, following: Ints) -> tuple[Ints, Ints, Ints]:
    start, chain = np.empty(len(driver), np.int64), np.zeros(len(driver) + 1, np.int64)
    slots = np.empty(max(len(driver), 16), np.int64)
    runs, n = 0, 0
    for k in range(len(driver)):
        if k > 0 and driver[k] == driver[k - 1]:
            continue
        start[runs] = k
        slot = head[driver[k]] if driver[k] < len(head) else -1
        while slot >= 0:
            if n == len(slots):
                slots = np.concatenate((slots, np.empty(n, np.int64)))
            slots[n] = slot
            n += 1
            slot = following[slot]
        runs += 1
        chain[runs] = n
    return start[:runs], chain[: runs + 1], slots[:n]
