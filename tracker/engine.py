"""The order of the steps a batch of fixes goes through, and nothing else: gate, filter, fences, orders, ETA, stays."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from geo import kalman
from tracker import deliveries, gate, liveness, tracks
from tracker.drivers import DriverTable, Latest
from tracker.errors import Flag
from tracker.eta import Predictions
from tracker.eta_model import EtaModel
from tracker.liveness import Liveness
from tracker.orders import OrderTable, Stage
from tracker.records import (
    Delivery,
    Event,
    FixBatch,
    Flags,
    Floats,
    Geofence,
    Ints,
    Order,
    Revisions,
    Route,
    Stay,
    Track,
    Trip,
    Updates,
)
from tracker.settings import EngineSettings
from tracker.smoothing import Smoothed, noise, smoothed
from tracker.transitions import Fences
from tracker.trips import Motion

_ACCEPTED, _OUTLIER = int(Flag.ACCEPTED), int(Flag.OUTLIER)
"""Plain numbers: an array is compared with an enumeration in ten times the time."""


class Engine:
    """All drivers of a fleet, their geofences and their orders. No clock: the same calls give the same answers."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._noise = noise(settings)
        self._drivers = DriverTable()
        self._fences = Fences(settings)
        self._motion = Motion(settings)
        self._orders = OrderTable(settings)
        self._predictions = Predictions(self._drivers, self._orders, settings)
        self._routes: dict[str, Route] = {}

    def ingest(self, batch: FixBatch) -> Updates:
        """Take fixes of any drivers in any order through every step; what they change is in the answer."""
        drivers = self._drivers
        flag = gate.admit(batch, drivers, self._settings)
        late = gate.in_order(batch, flag, Flag.LATE)
        live, coarse = gate.set_aside_coarse(
            batch, gate.in_order(batch, flag, Flag.ACCEPTED), drivers, self._settings, flag
        )
        prior = drivers.filter.place.take(batch.driver[live], axis=0).T[:3]  # time, latitude, longitude before
        estimate, free, revised = self._filter(batch, live, flag)
        believed = flag[live] == _ACCEPTED
        index = live[believed]
        prior = prior.compress(believed, axis=1)
        legs = tracks.legs(batch, index, estimate, prior)
        new = batch.fix_time[index] > drivers.stored[batch.driver[index]]
        track = tracks.runs(batch, index[new], prior[0][new], drivers)
        others = np.concatenate([late, coarse, live[~believed], index[~new]])
        aside, aside_index = tracks.runs_aside(batch, others, flag, drivers.ids)
        drivers.advance(batch, live, coarse, flag)

        events: list[Event] = [*self._fences.advance(legs, drivers.ids)]
        free = free.compress(believed, axis=1)
        spans = self._motion.advance(
            legs.driver, legs.t1, free[0], free[1], batch.speed[index], legs.sigma1, drivers.ids
        )
        found = deliveries.Found()
        chains = self._predictions.before(legs)
        lag = batch.received_at[index] - legs.t1
        deliveries.advance(self._orders, legs, lag, estimate[2, index], drivers, self._settings, found)
        self._predictions.advance(legs, lag, chains, found)
        events += found.events
        events.sort(key=lambda event: event.occurred_at)
        latitude, longitude, speed, course, sigma = estimate
        return Updates(
            flag,
            latitude,
            longitude,
            speed,
            course,
            sigma,
            track,
            aside,
            aside_index,
            events,
            list(found.orders.values()),
            revised,
            spans,
        )

    def _filter(self, batch: FixBatch, live: Ints, flag: Flags) -> tuple[Floats, Floats, Revisions]:
        """Estimates (5, n) in the rows of `kalman.ESTIMATE`; outliers become so in `flag`. Others stay as measured.

        And latitude and longitude of `live` where nobody who stands is held; (2, k).
        """
        estimate = tracks.as_measured(batch, flag)
        found = kalman.update(
            self._drivers.filter,
            batch.driver[live],
            batch.fix_time[live],
            batch.latitude[live],
            batch.longitude[live],
            batch.speed[live],
            batch.course[live],
            batch.accuracy[live],
            self._noise,
        )
        estimate[:, live] = found.estimate
        flag[live[found.outlier]] = _OUTLIER
        driver = batch.driver[live[found.revised_by]]
        return estimate, found.free, Revisions(driver, found.revised_time, found.revised)

    # What is expected of drivers

    @property
    def orders(self) -> Mapping[str, Order]:
        """Orders that have not ended, by id."""
        return self._orders.by_id

    def set_order(self, order: Order) -> None:
        """Add or replace an order; one that has ended is forgotten. Raises InvalidInput."""
        row = None if order.driver_id is None else self.driver_row(order.driver_id)
        former = self._driver_of(order.order_id)
        self._orders.put(order, row)
        self._predictions.set_order(order, former)

    def remove_order(self, order_id: str) -> None:
        """Forget an order."""
        former = self._driver_of(order_id)
        self._orders.remove(order_id)
        if former is not None:
            self._predictions.ask(former)

    def _driver_of(self, order_id: str) -> int | None:
        slot = self._orders.slot(order_id)
        return None if slot is None else int(self._orders.driver[slot])

    def set_route(self, route: Route) -> None:
        """Add or replace a route; a driver follows the one set last."""
        self.remove_route(route.route_id)
        self._routes[route.route_id] = route
        row = self.driver_row(route.driver_id)
        self._orders.put_route(route, row)
        self._predictions.set_route(row, route)

    def remove_route(self, route_id: str) -> None:
        """Forget a route."""
        route = self._routes.pop(route_id, None)
        if route is not None:
            row = self.driver_row(route.driver_id)
            self._orders.put_route(None, row)
            self._predictions.set_route(row, None)

    def set_geofences(self, geofences: Iterable[Geofence]) -> None:
        """Add or replace geofences, all or, with InvalidInput, none; many at once take less time than one by one."""
        self._fences.put(geofences)

    def set_geofence(self, geofence: Geofence) -> None:
        """Add or replace a geofence. Raises InvalidInput."""
        self._fences.put([geofence])

    def remove_geofence(self, geofence_id: str) -> None:
        """Forget a geofence; drivers inside are simply no longer."""
        self._fences.remove(geofence_id)

    def beside(self) -> "Engine":
        """An engine with the same settings and geofences, as they are and will be, and nobody and nothing else."""
        other = Engine(self._settings)
        other._fences = self._fences.beside()
        return other

    # What may be asked

    def geofence_since(self, geofence_id: str) -> float | None:
        """Since when a geofence is as it is, Unix seconds; None where there is none."""
        return self._fences.since(geofence_id)

    def driver_row(self, driver_id: str) -> int:
        """The row of a driver in `FixBatch.driver`."""
        return self._drivers.row(driver_id)

    def forget(self, driver_id: str) -> None:
        """Know no more where a driver is or was, until his next fix."""
        row = self._drivers.find(driver_id)
        if row is not None:
            self._drivers.forget_motion(np.array([row]))
            self._drivers.measured[row] = np.nan

    @property
    def driver_ids(self) -> Sequence[str]:
        """Driver of each row."""
        return self._drivers.ids

    def latest(self, driver_ids: Iterable[str] | None = None) -> list[Latest]:
        """Where drivers are now; those never seen are left out."""
        if driver_ids is None:
            return self._drivers.latest(range(len(self._drivers)))
        rows = (self._drivers.find(driver_id) for driver_id in driver_ids)
        return self._drivers.latest(row for row in rows if row is not None)

    def orders_of(self, driver_id: str) -> list[str]:
        """A driver's orders under way, next first."""
        row = self._drivers.find(driver_id)
        return [] if row is None else self._orders.of_driver(row)

    def tick(self, now: float) -> list[Event]:
        """What the mere passing of time brings about: the ETA of silent drivers is withdrawn."""
        return [*self._predictions.withdraw(now)]

    def changed_liveness(self, now: float) -> list[Liveness]:
        """Drivers who have become live, late or silent since this was asked last."""
        return liveness.changed(self._drivers, now, self._settings)

    def use_model(self, model: EtaModel) -> None:
        """Predict arrivals by this model from now on."""
        self._predictions.use(model)

    @property
    def eta_model(self) -> EtaModel:
        """The model that arrivals are predicted by."""
        return self._predictions.model

    def visible(self, order_id: str) -> bool:
        """Whether the order's customer may see its driver now: it is next, or near, and not yet over."""
        slot = self._orders.slot(order_id)
        if slot is None or self._orders.stage[slot] >= Stage.DEPARTED:
            return False
        return bool(self._orders.is_next[slot] or self._orders.distance[slot] <= self._settings.visible_m)

    def staying(self, driver_id: str) -> float | None:
        """Since when a driver has been staying where he is; None when he is under way."""
        row = self._drivers.find(driver_id)
        return None if row is None else self._motion.staying(row)

    def finish(self) -> list[Stay | Trip]:
        """The last stay and trip of each driver at the end of a recording, as far as they got."""
        return self._motion.finish(self._drivers.ids)

    def eta(self, order_id: str) -> tuple[float, float, float] | None:
        """When the order's driver is expected: 10 %, 50 % and 90 % quantiles, Unix seconds.

        None before the first prediction, and when he is not, or no longer, under way to it.
        """
        slot = self._orders.slot(order_id)
        if slot is None or self._orders.stage[slot] >= Stage.ARRIVED or np.isnan(self._orders.eta[slot]):
            return None
        return float(self._orders.eta_low[slot]), float(self._orders.eta[slot]), float(self._orders.eta_high[slot])

    def smoothed(self, track: Track) -> Smoothed:
        """A stored track as it probably was; its fixes are as measured, outliers among them."""
        return smoothed(track, self._settings)

    def doubt(self, rows: Iterable[int]) -> None:
        """The newest fixes of these drivers may not be stored after all: the store is asked when they come again."""
        index = np.fromiter(rows, np.int64)
        self._drivers.newest[index] = np.nextafter(self._drivers.newest[index], np.inf)

    def restore(
        self,
        *,
        orders: Iterable[Order],
        geofences: Iterable[Geofence],
        routes: Iterable[Route],
        inside: Iterable[tuple[str, str, float]],
        tails: Track,
        newest: Iterable[tuple[str, float]] = (),
        announced: Iterable[Delivery] = (),
    ) -> None:
        """Go on where a store ends: each driver's last fixes in `tails`, who is in which geofence since when.

        `newest` tells up to which fix_time something of a driver is stored, believed or not. `announced` are
        the ETAs that people know.
        """
        batch = tracks.batch_of(tails, self.driver_row)
        flag = np.zeros(len(batch), np.uint8)
        live = gate.in_order(batch, flag, Flag.ACCEPTED)
        estimate, free, _ = self._filter(batch, live, flag)
        believed = flag[live] == Flag.ACCEPTED
        index = live[believed]
        driver, time, speed = batch.driver[index], batch.fix_time[index], batch.speed[index]
        free = free.compress(believed, axis=1)
        self._motion.advance(driver, time, free[0], free[1], speed, estimate[4, index], self._drivers.ids)
        self._drivers.advance(batch, live, live[:0], flag)
        self._drivers.told[: len(self._drivers)] = self._drivers.RESTORED
        for driver_id, fix_time in newest:
            self._drivers.stored[self.driver_row(driver_id)] = fix_time
        self.set_geofences(geofences)
        for driver_id, geofence_id, entered_at in inside:
            row = self.driver_row(driver_id)
            self._fences.restore(row, geofence_id, entered_at, float(self._drivers.newest[row]))
        for order in orders:
            self.set_order(order)
        for route in routes:
            self.set_route(route)
        for event in announced:
            self._predictions.restore(event)
        index = live[flag[live] == Flag.ACCEPTED]
        legs = tracks.legs(batch, index, estimate, np.full((3, len(index)), np.nan))
        deliveries.restore(self._orders, legs, estimate[2, index], self._drivers, self._settings)
