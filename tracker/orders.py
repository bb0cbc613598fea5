"""The orders under way: one slot each, in columns, and the order in which each driver delivers his."""

from enum import IntEnum

import numpy as np

from geo.fences import FenceIndex
from tracker.records import Floats, Ints, Order, Route
from tracker.settings import EngineSettings
from tracker.shapes import centre, destination_shape

_FIRST_CAPACITY = 64
_COLUMNS = [
    "driver",
    "stage",
    "latitude",
    "longitude",
    "entered_at",
    "left_at",
    "fixes",
    "distance",
    "eta",
    "eta_low",
    "eta_high",
    "eta_announced",
    "is_next",
    "next_since",
    "turn",
]


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


class OrderTable:
    """Orders that have a driver and have not ended, by slot; slots of removed orders are used again."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self.by_id: dict[str, Order] = {}
        self.areas = FenceIndex()
        """Each destination, by slot."""
        self.ids: list[str] = []
        self.driver: Ints = np.full(_FIRST_CAPACITY, -1)
        self.stage = np.zeros(_FIRST_CAPACITY, np.int8)
        self.entered_at: Floats = np.full(_FIRST_CAPACITY, np.nan)
        """When the driver came into the destination he is in now; NaN outside."""
        self.left_at: Floats = np.full(_FIRST_CAPACITY, np.nan)
        """When the driver last went out of the destination."""
        self.latitude: Floats = np.full(_FIRST_CAPACITY, np.nan)
        self.longitude: Floats = np.full(_FIRST_CAPACITY, np.nan)
        """The middle of the destination."""
        self.eta: Floats = np.full(_FIRST_CAPACITY, np.nan)
        self.eta_low: Floats = np.full(_FIRST_CAPACITY, np.nan)
        self.eta_high: Floats = np.full(_FIRST_CAPACITY, np.nan)
        """Predicted arrival and its interval."""
        self.eta_announced: Floats = np.full(_FIRST_CAPACITY, np.nan)
        self.distance: Floats = np.full(_FIRST_CAPACITY, np.nan)
        """From the driver to the destination's edge, m, negative inside."""
        self.fixes: Ints = np.zeros(_FIRST_CAPACITY, np.int64)
        """How many there were inside the destination in this visit."""
        self.is_next = np.zeros(_FIRST_CAPACITY, np.bool_)
        self.next_since: Floats = np.full(_FIRST_CAPACITY, np.inf)
        """From which fix_time on it was next; inf while it is not."""
        self.turn: Ints = np.zeros(_FIRST_CAPACITY, np.int64)
        """Its place among its driver's orders."""
        self._slot: dict[str, int] = {}
        self._free: list[int] = []
        self.routes: dict[int, Route] = {}
        """By driver."""
        self._of_driver: dict[int, list[str]] = {}
        self._sorted: tuple[Ints, Ints] | None = None

    def put(self, order: Order, driver: int | None, now: float = -np.inf) -> None:
        """Add or replace an order; one without a driver waits, one that ended is forgotten. Raises InvalidInput.

        `now` is the fix_time from which an order that becomes next by this is so.
        """
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
            self.areas.put(slot, shape)
            self.latitude[slot], self.longitude[slot] = centre(order.destination)
            self._clear(slot)
        self.stage[slot] = stage_of(order)
        self._rank(driver, now)

    def remove(self, order_id: str) -> None:
        """Forget an order, if it is there."""
        self.by_id.pop(order_id, None)
        slot = self._slot.pop(order_id, None)
        if slot is None:
            return
        driver = int(self.driver[slot])
        self.driver[slot] = -1
        self.is_next[slot] = False
        self.areas.drop(slot)
        self._free.append(slot)
        self._sorted = None
        self._of_driver[driver].remove(order_id)
        self._rank(driver)

    def put_route(self, route: Route | None, driver: int) -> None:
        """Deliver in the order of this route; without one, in the order the orders were made."""
        if route is None:
            self.routes.pop(driver, None)
        else:
            self.routes[driver] = route
        self._rank(driver)

    def slot(self, order_id: str) -> int | None:
        """Where an order under way stands."""
        return self._slot.get(order_id)

    def of_driver(self, driver: int) -> list[str]:
        """A driver's orders under way, next first; those departed from are last."""
        return self._of_driver.get(driver, [])

    def pairs(self, driver: Ints) -> tuple[Ints, Ints]:
        """Match a column of drivers (k,) with their orders: index into the column, slot; sorted by index."""
        if self._sorted is None:
            slots = np.fromiter(self._slot.values(), np.int64, len(self._slot))
            slots = slots[np.argsort(self.driver[slots], kind="stable")]
            self._sorted = self.driver[slots], slots
        drivers, slots = self._sorted
        first = np.searchsorted(drivers, driver, "left")
        count = np.searchsorted(drivers, driver, "right") - first
        index = np.repeat(np.arange(len(driver)), count)
        within = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
        return index, slots[np.repeat(first, count) + within]

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
        self._of_driver.setdefault(driver, []).append(order_id)
        self._sorted = None
        return slot

    def _clear(self, slot: int) -> None:
        for column in (self.entered_at, self.left_at, self.distance, self.eta, self.eta_announced):
            column[slot] = np.nan
        self.fixes[slot] = 0

    def _grow(self) -> None:
        for name in _COLUMNS:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.empty_like(column)]))

    def _rank(self, driver: int, now: float = -np.inf) -> None:
        """Sort a driver's orders as he will deliver them; the first not departed from is next."""
        route = self.routes.get(driver)
        place = {order_id: i for i, order_id in enumerate(route.stops)} if route else {}

        def key(order_id: str) -> tuple[bool, int, float, str]:
            order = self.by_id[order_id]
            departed = order.departed_at is not None
            return departed, place.get(order_id, len(place)), order.created_at, order_id

        mine = self._of_driver.get(driver, [])
        mine.sort(key=key)
        for i, order_id in enumerate(mine):
            slot = self._slot[order_id]
            was_next = self.is_next[slot]
            self.turn[slot] = i
            self.is_next[slot] = i == 0 and self.stage[slot] < Stage.DEPARTED
            if not self.is_next[slot]:
                self.next_since[slot] = np.inf
            elif not was_next:
                self.next_since[slot] = now
