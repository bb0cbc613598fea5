"""When a driver reaches each of his stops: along his route, through the stops before, and worth announcing or not."""

from dataclasses import dataclass

import numpy as np

from geo import eta
from geo.earth import distance
from geo.routes import Path
from tracker.drivers import DriverTable
from tracker.gate import run_starts
from tracker.orders import OrderTable, Stage
from tracker.records import Delivery, Floats, Ints, Legs, Order, Route, event_id
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
        self._drivers.eta_asked.add(driver)
        if route is not None and route.path:
            longitude, latitude = np.asarray(route.path, float).T[:2]
            self._paths[driver] = route, Path.of(latitude, longitude)

    def parts(self, legs: Legs) -> list[tuple[Ints, Ints]]:
        """Split legs where a prediction is due, so that any batching predicts from the same fixes.

        Returns (legs, those of them that are due) in turn, as indices; a due leg is its driver's last of the part.
        """
        asked, self._drivers.eta_asked = self._drivers.eta_asked, set()
        interval = self._settings.eta_interval_s
        due = (legs.t1 // interval != legs.t0 // interval) | (legs.t0 == legs.t1)
        starts = run_starts(legs.driver)
        due[starts] |= np.isin(legs.driver[starts], list(asked))
        self._drivers.eta_asked |= asked.difference(legs.driver[starts].tolist())
        before = np.cumsum(due) - due
        turn = before - np.repeat(before[starts], np.diff(starts, append=len(due)))
        return [
            (part, part[due[part]]) for part in (np.flatnonzero(turn == i) for i in range(turn.max(initial=-1) + 1))
        ]

    def advance(self, legs: Legs, due: Ints) -> list[Delivery]:
        """Learn from these legs and predict again at those that are due; return the changes that matter to a person."""
        drivers = self._drivers
        starts = run_starts(legs.driver)
        if len(starts):
            row = legs.driver[starts]
            drivers.since[0, row] += np.add.reduceat(legs.t1 - legs.t0, starts)
            drivers.since[1, row] += np.add.reduceat(legs.length, starts)
        row = legs.driver[due]
        seconds, metres = drivers.since[:, row]
        speed = metres / np.where(seconds > 0, seconds, np.nan)
        drivers.pace[row] = eta.learn_pace(drivers.pace[row], speed, seconds)
        drivers.since[:, row] = 0.0
        events: list[Delivery] = []
        for i in due.tolist():
            driver = int(legs.driver[i])
            ahead = [o for o in self._orders.of_driver(driver) if self._stage(o) < Stage.ARRIVED]
            if ahead:
                where = float(legs.latitude1[i]), float(legs.longitude1[i])
                events += self._predict(driver, float(legs.t1[i]), *where, ahead)
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
