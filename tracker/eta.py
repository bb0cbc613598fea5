"""When drivers reach their stops: predicted on the way, announced when it matters, withdrawn when they fall silent."""

import msgspec
import numpy as np

from tracker import corridors
from tracker.chain import CHANGED, CLOSE, SOON, Drives, Pace, Rules, Stops, predict
from tracker.deliveries import Found
from tracker.drivers import DriverTable
from tracker.eta_model import EtaModel, cold_model, place_of
from tracker.orders import Chains, OrderTable, Stage
from tracker.paths import PathTable, planned
from tracker.records import Delivery, DeliveryStatus, Floats, Legs, Order, Route, event_id
from tracker.settings import EngineSettings

_MILESTONES = {"approaching": "approached_at", "driver_arrived": "arrived_at", "departed": "departed_at"}


class Predictions:
    """Predicts the arrival at every order under way; the newest predictions stand in the order table."""

    def __init__(self, drivers: DriverTable, orders: OrderTable, settings: EngineSettings) -> None:
        self._drivers = drivers
        self._orders = orders
        self._settings = settings
        self._rules = Rules(
            settings.eta_interval_s,
            settings.eta_change_s,
            settings.eta_change_share,
            settings.eta_announce_every_s,
            settings.approaching_s,
            0.0,
        )
        self._paths = PathTable()
        self._planned: set[int] = set()
        self._pace = Pace(np.empty(0, np.int32), np.empty(0, np.bool_), np.empty(0), np.empty((2, 0)))
        self._paced = 0  # rows of it in use
        self._columns = dict.fromkeys(
            ("service_s", "along", "metres", "through", "reckoned_s", *_MILESTONES.values(), "announced_at"),
            np.empty(0),
        )
        self._before = np.empty((0, 5))
        self._now = -np.inf
        self.use(cold_model(settings))

    # What is expected

    def use(self, model: EtaModel) -> None:
        """Predict by this model from the next prediction on; orders keep the service times that they have."""
        self.model = model
        self._rules = self._rules._replace(pace_trust=model.pace_trust)
        self._paths.forget_times()
        self._before[:] = np.nan

    def set_order(self, order: Order, former: int | None) -> None:
        """An order is new, or other than it was; `former` is the driver who had it before."""
        slot = self._orders.slot(order.order_id)
        if former is not None and (slot is None or self._orders.driver[slot] != former):
            self.ask(former)
        if slot is None:
            return
        self._fit()
        columns = self._columns
        for name in _MILESTONES.values():
            stage_at = getattr(order, "approaching_at" if name == "approached_at" else name)
            columns[name][slot] = np.inf if stage_at is None else stage_at
        columns["announced_at"][slot] = -np.inf
        self._before[slot] = np.nan
        self._set_service(order)
        self.ask(int(self._orders.driver[slot]))

    def set_route(self, driver: int, route: Route | None) -> None:
        """Reckon along this route's path from now on."""
        self._fit()
        path = planned(route)
        self._planned.discard(driver)
        if path.shape[1]:
            self._planned.add(driver)
        self._paths.put(driver, path)
        self.ask(driver)

    def ask(self, driver: int) -> None:
        """A driver's stops are others now: predict them at once from where he is, and tell with his next fix."""
        self._fit()
        own = self._own_pace(driver)
        chains = self._orders.chains(np.array([driver]))
        ahead = chains.slot[self._orders.stage[chains.slot] < Stage.DEPARTED]
        stops = np.stack([self._orders.latitude[ahead], self._orders.longitude[ahead]])
        t, latitude, longitude = self._drivers.filter.place[[driver], :3].T
        if driver not in self._planned and np.isfinite(latitude[0]):
            start = float(latitude[0]), float(longitude[0])
            self._paths.put(driver, corridors.through(self.model.corridors, start, stops.T))
        self._columns["along"][ahead] = self._paths.place(driver, *stops)
        if t[0] >= self._now - self._settings.silent_after_s:  # NaN before his first fix
            row, zero = np.array([driver]), np.zeros(1)
            along = self._paths.follow(Legs(row, t, latitude, longitude, t, latitude, longitude, zero, zero, t))
            drives = Drives(row, t, t, latitude, longitude, zero, along, np.ones(1, np.bool_))
            self._predict(drives, chains, quiet=True)
        self._pace.asked[own] = True

    def restore(self, event: Delivery) -> None:
        """People know this ETA already; it also stands until the next prediction."""
        slot = self._orders.slot(event.order_id)
        if slot is None or event.eta is None or self._orders.stage[slot] >= Stage.ARRIVED:
            return
        orders = self._orders
        orders.eta_announced[slot], self._columns["announced_at"][slot] = event.eta, event.detected_at
        if np.isnan(orders.eta[slot]):
            low, high = event.eta_low, event.eta_high
            orders.eta[slot] = event.eta
            orders.eta_low[slot] = event.eta if low is None else low
            orders.eta_high[slot] = event.eta if high is None else high

    def _set_service(self, order: Order) -> None:
        slot = self._orders.slot(order.order_id)
        if slot is not None and order.driver_id is not None:
            place = place_of(self._orders.latitude[slot], self._orders.longitude[slot])
            self._columns["service_s"][slot] = self.model.service.expected(order.driver_id, place)

    def _fit(self) -> None:
        """Have room for every driver and every order."""
        drivers = len(self._drivers.newest)
        self._paths.fit(drivers)
        more = drivers - len(self._pace.row)
        if more > 0:
            self._pace = self._pace._replace(row=np.append(self._pace.row, np.full(more, -1, np.int32)))
        for name, column in self._columns.items():
            more = len(self._orders.driver) - len(column)
            if more > 0:
                self._columns[name] = np.append(column, np.full(more, np.nan))
        more = len(self._orders.driver) - len(self._before)
        if more > 0:
            self._before = np.concatenate([self._before, np.full((more, 5), np.nan)])

    def _own_pace(self, driver: int) -> int:
        """The driver's row of `_pace`, made when he has none."""
        own = int(self._pace.row[driver])
        if own < 0:
            row, asked, ratio, since = self._pace
            own = row[driver] = self._paced
            self._paced += 1
            if own == len(asked):
                more = max(own, 64)
                self._pace = Pace(
                    row,
                    np.append(asked, np.zeros(more, np.bool_)),
                    np.append(ratio, np.ones(more)),
                    np.concatenate([since, np.zeros((2, more))], axis=1),
                )
        return own

    # What happens

    def before(self, legs: Legs) -> Chains:
        """The stops of these drivers, to be kept until deliveries have moved on."""
        return self._orders.chains(legs.driver)

    def advance(self, legs: Legs, lag: Floats, chains: Chains, found: Found) -> None:
        """Predict where it is due, given what deliveries have `found` of these legs; add the news to it.

        `lag` (k,) is how long after it was measured each leg's end came in: what comes too late is no news.
        """
        self._fit()
        self._drivers_moved_on(found)
        live = lag <= self._settings.silent_after_s
        along = self._paths.follow(legs)
        drives = Drives(legs.driver, legs.t0, legs.t1, legs.latitude1, legs.longitude1, legs.length, along, live)
        for kind, leg, slot, *numbers in self._predict(drives, chains).tolist():
            self._tell(int(kind), legs, int(leg), int(slot), numbers, found)

    def _drivers_moved_on(self, found: Found) -> None:
        for event in found.events:
            slot = self._orders.slot(event.order_id)
            if slot is not None and event.kind in _MILESTONES:
                self._columns[_MILESTONES[event.kind]][slot] = event.detected_at

    def _predict(self, drives: Drives, chains: Chains, *, quiet: bool = False) -> Floats:
        orders, columns = self._orders, self._columns
        stops = Stops(
            orders.latitude,
            orders.longitude,
            columns["service_s"],
            columns["along"],
            columns["approached_at"],
            columns["arrived_at"],
            columns["departed_at"],
            orders.eta,
            orders.eta_low,
            orders.eta_high,
            columns["metres"],
            columns["through"],
            columns["reckoned_s"],
            self._before,
            orders.eta_announced,
            columns["announced_at"],
        )
        model = self.model
        return predict(
            drives,
            chains.start,
            chains.chain,
            chains.slot,
            stops,
            self._pace,
            self._paths.times,
            model.speeds,
            model.intervals,
            self._rules,
            quiet,
        )

    def _tell(self, kind: int, legs: Legs, leg: int, slot: int, numbers: list[float], found: Found) -> None:
        """Add an event; an approach replaces the one that deliveries found later, or gives its own ETA to it."""
        now = float(legs.t1[leg])
        event = self._event("eta_changed" if kind == CHANGED else "approaching", slot, now, numbers)
        if kind != CHANGED:
            event = msgspec.structs.replace(event, late=bool(legs.newest[leg] - now > self._settings.stale_after_s))
            for same in [e for e in found.events if e.order_id == event.order_id and e.kind == "approaching"]:
                found.events.remove(same)
                if kind == CLOSE:
                    event = msgspec.structs.replace(event, evidence=same.evidence | event.evidence)
        if kind == SOON:
            self._note_approach(slot, now, found)
        found.events.append(event)

    def _note_approach(self, slot: int, now: float, found: Found) -> None:
        order = self._orders.by_id[self._orders.ids[slot]]
        status = order.status if self._orders.stage[slot] >= Stage.ARRIVED else "approaching"
        order = msgspec.structs.replace(order, status=status, approaching_at=now)
        found.orders[order.order_id] = order
        self._orders.put(order, int(self._orders.driver[slot]))

    def _event(self, kind: DeliveryStatus, slot: int, now: float, numbers: list[float]) -> Delivery:
        order = self._orders.by_id[self._orders.ids[slot]]
        driver_id = self._drivers.ids[int(self._orders.driver[slot])]
        eta, low, high, metres, through, reckoned = numbers
        return Delivery(
            event_id=event_id(kind, driver_id, order.order_id, round(now * 1000)),
            kind=kind,
            order_id=order.order_id,
            customer_id=order.customer_id,
            driver_id=driver_id,
            occurred_at=now,
            detected_at=now,
            eta=round(eta, 3),
            eta_low=round(low, 3),
            eta_high=round(high, 3),
            evidence={
                "metres": round(metres),
                "stops": int(through),
                "reckoned": round(reckoned, 1),
                "model": self.model.version,
            },
        )

    def withdraw(self, now: float) -> list[Delivery]:
        """Take back the ETA of drivers from whom nothing has come for long, until they are back."""
        self._now = max(now, self._now)
        orders = self._orders
        count = len(orders.ids)
        silent = np.isfinite(orders.eta[:count]) & (orders.driver[:count] >= 0) & (orders.stage[:count] < Stage.ARRIVED)
        silent[silent] = self._drivers.newest[orders.driver[:count][silent]] < now - self._settings.silent_after_s
        return [self._withdrawal(slot) for slot in np.flatnonzero(silent).tolist()]

    def _withdrawal(self, slot: int) -> Delivery:
        orders, driver = self._orders, int(self._orders.driver[slot])
        for column in (orders.eta, orders.eta_low, orders.eta_high, orders.eta_announced):
            column[slot] = np.nan
        self._pace.asked[self._own_pace(driver)] = True
        newest = float(self._drivers.newest[driver])
        order, driver_id = orders.by_id[orders.ids[slot]], self._drivers.ids[driver]
        return Delivery(
            event_id=event_id("eta_withdrawn", driver_id, order.order_id, round(newest * 1000)),
            kind="eta_changed",
            order_id=order.order_id,
            customer_id=order.customer_id,
            driver_id=driver_id,
            occurred_at=newest + self._settings.silent_after_s,
            detected_at=newest + self._settings.silent_after_s,
            evidence={"silent_since": newest},
        )
