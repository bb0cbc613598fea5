"""Where drivers are against where they are expected: what `tracker.arrivals` finds, written down and told.

Approaching by distance is found here, by predicted time in tracker/eta.py. A status found far behind the driver's
newest fix, or long after it was measured, is history by then: recorded as late, not announced to the customer. An
arrival waits, while it is, for the end of the visit: should the driver still be there when his fixes are up to date, it
is news after all.
"""

from dataclasses import dataclass, field
from math import log

import msgspec
import numpy as np

from tracker import arrivals
from tracker.amend import MILESTONE
from tracker.arrivals import APPROACHING, COLUMNS, EVIDENCE, PASSED, Rules
from tracker.drivers import DriverTable
from tracker.nearness import ARRIVED, DEPARTED
from tracker.orders import OrderTable
from tracker.records import Delivery, DeliveryKind, Floats, Legs, Order, event_id
from tracker.settings import EngineSettings
from tracker.stands import LegColumns

RECORDED_S = 30 * 86_400.0
"""A fix that comes in later than this is of a recording; its milestones are news at its own time."""
_ROWS = 256
_KINDS: dict[int, DeliveryKind] = {
    APPROACHING: "approaching",
    ARRIVED: "driver_arrived",
    DEPARTED: "departed",
    PASSED: "passed",
}


@dataclass(slots=True)
class Found:
    """What `advance` found: the events, and the orders as they left them."""

    events: list[Delivery] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)


def advance(
    table: OrderTable,
    legs: Legs,
    lag: Floats,
    speed: Floats,
    drivers: DriverTable,
    settings: EngineSettings,
    found: Found,
) -> None:
    """Move deliveries on by these legs, and add to what is found; `speed` (k,) at each leg's end, m/s.

    `lag` (k,) is how long after it was measured each leg's end came in, s: of a long backlog, which comes in slices,
    only this tells that it is history. With more than RECORDED_S it is a recording that is played.
    """
    newest = np.maximum(legs.newest, legs.t1 + np.where(lag > RECORDED_S, 0.0, lag))
    _follow(table, legs, newest, speed, drivers, settings, found, quiet=False)


def restore(table: OrderTable, legs: Legs, speed: Floats, drivers: DriverTable, settings: EngineSettings) -> None:
    """Find out again which visits are under way; what there was to tell of these legs has been told."""
    _follow(table, legs, legs.newest, speed, drivers, settings, Found(), quiet=True)


def _follow(
    table: OrderTable,
    legs: Legs,
    newest: Floats,
    speed: Floats,
    drivers: DriverTable,
    settings: EngineSettings,
    found: Found,
    *,
    quiet: bool,
) -> None:
    each = (getattr(legs, name) for name in LegColumns._fields[:-2])
    columns = LegColumns(*map(np.ascontiguousarray, (*each, newest, speed)))  # one layout, so it is compiled once
    rules = _rules(settings, quiet)
    most = table.most
    rows = np.empty((max(_ROWS, 4 * most), COLUMNS))
    start = 0
    while start < len(legs.driver):
        start, count = arrivals.follow(
            start, columns, drivers.stand, table.head, table.slots, table.destinations.places, rules, most, rows
        )
        for row in rows[:count].tolist():
            _record(table, row, float(legs.sigma1[int(row[2])]), drivers, found)


def _rules(settings: EngineSettings, quiet: bool) -> Rules:
    return Rules(
        approaching_m=settings.approaching_m,
        arrival_odds=log(settings.arrival_confidence / (1.0 - settings.arrival_confidence)),
        arrival_speed_mps=settings.arrival_speed_mps,
        arrival_dwell_s=settings.arrival_dwell_s,
        departed_margin_m=settings.departed_margin_m,
        pass_within_s=settings.pass_within_s,
        stale_after_s=settings.stale_after_s,
        quiet=quiet,
    )


def _record(table: OrderTable, row: list[float], sigma: float, drivers: DriverTable, found: Found) -> None:
    """One row of `arrivals.follow` as an event, and as a milestone of its order."""
    slot = int(row[1])
    occurred_at, detected_at, confidence, late = row[3:7]
    kind, driver = _KINDS[int(row[0])], int(table.driver[slot])
    order = table.by_id[table.ids[slot]]
    driver_id = drivers.ids[driver]
    if kind != "passed":
        order = msgspec.structs.replace(order, status=kind, **{MILESTONE[kind]: occurred_at})
        found.orders[order.order_id] = table.by_id[order.order_id] = order
        table.rank(driver)
    evidence = dict(zip(EVIDENCE, row[7:], strict=True), accuracy=sigma)
    found.events.append(
        Delivery(
            event_id=event_id(kind, driver_id, order.order_id, round(detected_at * 1000)),
            kind=kind,
            order_id=order.order_id,
            customer_id=order.customer_id,
            driver_id=driver_id,
            occurred_at=occurred_at,
            detected_at=detected_at,
            confidence=round(confidence, 3),
            late=bool(late),
            evidence={name: round(value, 1) for name, value in evidence.items() if value == value},
        )
    )
