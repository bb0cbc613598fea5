"""When a driver reaches each of his stops: along his route, through the stops before, and worth announcing or not."""

import numpy as np

from geo import eta
from geo.earth import distance
from geo.routes import Path
from tracker.drivers import DriverTable
from tracker.gate import run_starts
from tracker.orders import OrderTable, Stage
from tracker.records import Delivery, Floats, Ints, Legs, Route, event_id
from tracker.settings import EngineSettings

OFF_ROUTE_M = 300.0
"""Further than this from the planned path, the straight line says more than the path."""
STEP_BACK_M = 50.0
"""How far a driver's progress along the path may seem to go back."""


class Predictions:
    """Predicts the arrival at every order under way; the newest predictions stand in the order table."""

    def __init__(self, drivers: DriverTable, orders: OrderTable, settings: EngineSettings) -> None:
        self._drivers = drivers
        self._orders = orders
        self._settings = settings
        self._paths: dict[int, Path] = {}
        self._along: dict[int, float] = {}

    def set_path(self, driver: int, route: Route | None) -> None:
        """Reckon along this route's path from now on."""
        self._along.pop(driver, None)
        self._paths.pop(driver, None)
        self._drivers.eta_asked.add(driver)
        if route is not None and route.path:
            longitude, latitude = np.asarray(route.path, float).T[:2]
            self._paths[driver] = Path.of(latitude, longitude)

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
        self._learn(legs, due)
        orders = self._orders
        which, slot = orders.pairs(legs.driver[due])
        ahead = np.flatnonzero(orders.stage[slot] < Stage.ARRIVED)
        ahead = ahead[np.lexsort((orders.turn[slot[ahead]], which[ahead]))]
        if not len(ahead):
            return []
        leg, slot = due[which[ahead]], slot[ahead]
        now = legs.t1[leg]
        speed = eta.shrunk_speed(self._drivers.pace[legs.driver[leg]], self._settings.default_speed_mps)
        starts = run_starts(leg)
        before = np.arange(len(leg)) - np.repeat(starts, np.diff(starts, append=len(leg)))  # stops on the way
        after = now + self._settings.service_s * before
        low, middle, high = (after + left for left in eta.time_left(self._remaining(legs, leg, slot, starts), speed))
        orders.eta_low[slot], orders.eta[slot], orders.eta_high[slot] = low, middle, high
        change = np.abs(middle - orders.eta_announced[slot])
        least = self._settings.eta_change_share * (orders.eta_announced[slot] - now)
        small = change < np.maximum(least, self._settings.eta_change_s)
        news = np.flatnonzero(orders.is_next[slot] & ~small)
        orders.eta_announced[slot[news]] = middle[news]
        return [self._event(s, t) for s, t in zip(slot[news].tolist(), now[news].tolist(), strict=True)]

    def _learn(self, legs: Legs, due: Ints) -> None:
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

    def _remaining(self, legs: Legs, leg: Ints, slot: Ints, starts: Ints) -> Floats:
        """Metres from the end of each leg to its driver's stops in turn, whose runs begin at `starts`; (p,)."""
        latitude, longitude = self._orders.latitude[slot], self._orders.longitude[slot]
        lat0, lon0 = np.roll(latitude, 1), np.roll(longitude, 1)
        lat0[starts], lon0[starts] = legs.latitude1[leg[starts]], legs.longitude1[leg[starts]]
        between = distance(lat0, lon0, latitude, longitude) * self._settings.circuity
        total = np.cumsum(between)
        lengths = np.diff(starts, append=len(leg))
        metres: Floats = total - np.repeat((total - between)[starts], lengths)
        if self._paths:
            for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
                driver = int(legs.driver[leg[start]])
                if driver in self._paths:
                    run = slice(start, start + length)
                    here = float(lat0[start]), float(lon0[start])
                    metres[run] = self._along_path(driver, here, latitude[run], longitude[run], metres[run])
        return metres

    def _along_path(
        self, driver: int, here: tuple[float, float], latitude: Floats, longitude: Floats, straight: Floats
    ) -> Floats:
        """Metres along the planned path to stops in turn, `straight` where they or the driver are off it; (n,)."""
        path = self._paths[driver]
        reached = self._along.get(driver, 0.0)
        start, off = path.locate(*here, reached - STEP_BACK_M)
        if not off <= OFF_ROUTE_M:
            return straight
        self._along[driver] = max(start, reached)
        metres, at = straight.copy(), start
        for i in range(len(straight)):
            stop, off = path.locate(float(latitude[i]), float(longitude[i]), at)
            if off <= OFF_ROUTE_M:
                metres[i] = stop - start + off
                at = stop
        return metres

    def _event(self, slot: int, now: float) -> Delivery:
        orders = self._orders
        order = orders.by_id[orders.ids[slot]]
        driver_id = self._drivers.ids[int(orders.driver[slot])]
        return Delivery(
            event_id=event_id("eta_changed", driver_id, order.order_id, round(now * 1000)),
            kind="eta_changed",
            order_id=order.order_id,
            customer_id=order.customer_id,
            driver_id=driver_id,
            occurred_at=now,
            detected_at=now,
            eta=round(float(orders.eta[slot]), 3),
            eta_low=round(float(orders.eta_low[slot]), 3),
            eta_high=round(float(orders.eta_high[slot]), 3),
        )
