"""When a driver reaches each of his stops: along his route, through the stops before, and worth announcing or not."""

from dataclasses import dataclass

import numpy as np

from geo import eta
from geo.earth import distance
from geo.routes import Path
from tracker.drivers import DriverTable
from tracker.orders import OrderTable, Stage
from tracker.records import Delivery, Floats, Legs, Order, Route, event_id
from tracker.settings import EngineSettings
from tracker.shapes import centre

OFF_ROUTE_M = 300.0
"""Further than this from the planned path, the straight line says more than the path."""
STEP_BACK_M = 50.0
"""How far a driver's progress along the path may seem to go back."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Quantiles of an arrival, Unix seconds."""

    low: float
    middle: float
    high: float


class Predictions:
    """The newest prediction of each order under way, and the one last announced."""

    def __init__(self, drivers: DriverTable, orders: OrderTable, settings: EngineSettings) -> None:
        self._drivers = drivers
        self._orders = orders
        self._settings = settings
        self._paths: dict[int, tuple[Route, Path]] = {}
        self._along: dict[int, float] = {}
        self._latest: dict[str, Prediction] = {}
        self._announced: dict[str, float] = {}

    def get(self, order_id: str) -> Prediction | None:
        """The newest one."""
        return self._latest.get(order_id)

    def forget(self, order_id: str) -> None:
        """The order is over, or another."""
        self._latest.pop(order_id, None)
        self._announced.pop(order_id, None)

    def set_path(self, driver: int, route: Route | None) -> None:
        """Reckon along this route's path from now on."""
        self._along.pop(driver, None)
        self._paths.pop(driver, None)
        self._drivers.eta_due[driver] = -np.inf
        if route is not None and route.path:
            longitude, latitude = np.asarray(route.path, float).T[:2]
            self._paths[driver] = route, Path.of(latitude, longitude)

    def advance(self, legs: Legs) -> list[Delivery]:
        """Predict again for the drivers of these legs that are due; return the changes that matter to a person."""
        last = np.flatnonzero(np.diff(legs.driver, append=-1))
        due = last[legs.t1[last] >= self._drivers.eta_due[legs.driver[last]]]
        events: list[Delivery] = []
        for i in due.tolist():
            driver, now = int(legs.driver[i]), float(legs.t1[i])
            self._drivers.eta_due[driver] = now + self._settings.eta_interval_s
            ahead = [o for o in self._orders.of_driver(driver) if self._stage(o) < Stage.ARRIVED]
            if ahead:
                events += self._predict(driver, now, float(legs.latitude1[i]), float(legs.longitude1[i]), ahead)
        return events

    def _stage(self, order_id: str) -> int:
        slot = self._orders.slot(order_id)
        return Stage.DEPARTED if slot is None else int(self._orders.stage[slot])

    def _predict(self, driver: int, now: float, latitude: float, longitude: float, ahead: list[str]) -> list[Delivery]:
        orders = [self._orders.by_id[order_id] for order_id in ahead]
        metres = self._remaining(driver, latitude, longitude, orders)
        speed = eta.shrunk_speed(self._drivers.pace[[driver]], self._settings.default_speed_mps)
        service = self._settings.service_s * np.arange(len(orders))
        low, middle, high = (now + left + service for left in eta.time_left(metres, speed))
        events = []
        for i, order in enumerate(orders):
            prediction = Prediction(float(low[i]), float(middle[i]), float(high[i]))
            self._latest[order.order_id] = prediction
            slot = self._orders.slot(order.order_id)
            assert slot is not None
            self._orders.eta[slot] = prediction.middle
            if self._orders.is_next[slot] and self._matters(order.order_id, prediction.middle, now):
                self._announced[order.order_id] = prediction.middle
                events.append(self._event(driver, order, prediction, now))
        return events

    def _remaining(self, driver: int, latitude: float, longitude: float, orders: list[Order]) -> Floats:
        """Metres to each of the orders in turn; (n,)."""
        points = np.array([(latitude, longitude)] + [centre(order.destination) for order in orders])
        lat, lon = points.T
        straight = np.cumsum(distance(lat[:-1], lon[:-1], lat[1:], lon[1:])) * self._settings.circuity
        if driver not in self._paths:
            return np.asarray(straight)
        _, path = self._paths[driver]
        here, off = path.locate(latitude, longitude, self._along.get(driver, 0.0) - STEP_BACK_M)
        if not off <= OFF_ROUTE_M:
            return np.asarray(straight)
        self._along[driver] = max(here, self._along.get(driver, 0.0))
        metres, at = np.empty(len(orders)), here
        for i in range(len(orders)):
            stop, off = path.locate(lat[i + 1], lon[i + 1], at)
            metres[i] = stop - here + off if off <= OFF_ROUTE_M else straight[i]
            at = stop if off <= OFF_ROUTE_M else at
        return metres

    def _matters(self, order_id: str, middle: float, now: float) -> bool:
        before = self._announced.get(order_id)
        if before is None:
            return True
        change = abs(middle - before)
        least = max(self._settings.eta_change_s, self._settings.eta_change_share * (before - now))
        return change >= least

    def _event(self, driver: int, order: Order, prediction: Prediction, now: float) -> Delivery:
        driver_id = self._drivers.ids[driver]
        return Delivery(
            event_id=event_id("eta_changed", driver_id, order.order_id, round(now * 1000)),
            kind="eta_changed",
            order_id=order.order_id,
            customer_id=order.customer_id,
            driver_id=driver_id,
            occurred_at=now,
            detected_at=now,
            eta=round(prediction.middle, 3),
            eta_low=round(prediction.low, 3),
            eta_high=round(prediction.high, 3),
        )
