"""Where a driver is against where he is expected: approaching, arrived, departed, each once and with its evidence.

Entering a destination is not yet an arrival: a driver arrives who is slow inside it, or stays. One who drives through
only passes. Approaching by distance is found here, by predicted time in tracker/eta.py. A status found far behind the
driver's newest fix is history by then: recorded as late, not announced.
"""

from dataclasses import dataclass, field
from statistics import NormalDist

import msgspec
import numpy as np

from tracker.drivers import DriverTable
from tracker.orders import OrderTable, Stage
from tracker.records import Bools, Delivery, DeliveryStatus, Floats, Ints, Legs, Order, event_id
from tracker.settings import EngineSettings

_NORMAL = NormalDist()
_MILESTONE: dict[DeliveryStatus, str] = {
    "approaching": "approaching_at",
    "driver_arrived": "arrived_at",
    "departed": "departed_at",
}


@dataclass(frozen=True, slots=True)
class _Visits:
    """Each leg against each order of its driver; columns (p,), by order, then time."""

    leg: Ints
    slot: Ints
    distance: Floats  # of the leg's end from the destination's edge, negative inside
    crossed_in: Floats  # when the leg last came in, NaN if it did not
    crossed_out: Floats  # when the leg last went out


@dataclass(slots=True)
class Found:
    """What `advance` found: the events, and the orders as they left them."""

    events: list[Delivery] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)


def advance(
    table: OrderTable, legs: Legs, speed: Floats, drivers: DriverTable, settings: EngineSettings, found: Found
) -> None:
    """Move deliveries on by these legs, and add to what is found; `speed` (k,) at each leg's end, m/s."""
    visits = _visits(table, legs)
    if not len(visits.leg):
        return
    starts = np.flatnonzero(np.diff(visits.slot, prepend=-1))
    ends = np.append(starts[1:], len(visits.slot))
    noted = np.flatnonzero(np.logical_or.reduceat(_of_note(table, visits, legs.t1[visits.leg], settings), starts))
    in_turn = np.argsort(
        table.turn[visits.slot[starts[noted]]], kind="stable"
    )  # the next one may only be next after it
    for i in noted[in_turn]:
        part = slice(starts[i], ends[i])
        one = _Visits(*(getattr(visits, name)[part] for name in _Visits.__slots__))
        _advance_order(table, one, legs, speed[one.leg], drivers, settings, found)
    last = ends - 1
    table.distance[visits.slot[last]] = visits.distance[last]
    out = np.isfinite(visits.crossed_out)
    table.left_at[visits.slot[out]] = visits.crossed_out[out]


def _visits(table: OrderTable, legs: Legs) -> _Visits:
    leg, slot = table.pairs(legs.driver)
    order = np.argsort(slot, kind="stable")
    leg, slot = leg[order], slot[order]
    distance = table.areas.signed_distance(legs.latitude1[leg], legs.longitude1[leg], slot)
    crossed_in = np.full(len(leg), np.nan)
    crossed_out = np.full(len(leg), np.nan)
    length = legs.length[leg]
    near = np.flatnonzero(np.abs(distance) <= length)  # a leg that ends further off cannot have touched the edge
    if len(near):
        cuts = table.areas.cut(legs.latitude0, legs.longitude0, legs.latitude1, legs.longitude1, leg[near], slot[near])
        pair = near[cuts.pair]
        when = legs.t0[leg[pair]] + cuts.fraction * (legs.t1 - legs.t0)[leg[pair]]
        crossed_in[pair[cuts.inward]] = when[cuts.inward]  # sorted by fraction: the last one stays
        crossed_out[pair[~cuts.inward]] = when[~cuts.inward]
    return _Visits(leg, slot, distance, crossed_in, crossed_out)


def _of_note(table: OrderTable, v: _Visits, t1: Floats, settings: EngineSettings) -> Bools:
    """Which of them can move a delivery on; all others cost no Python."""
    stage = table.stage[v.slot]
    inside = (v.distance <= 0.0) | np.isfinite(v.crossed_in)
    gone = v.distance > settings.departed_margin_m
    approaching = (stage < Stage.APPROACHING) & (v.distance <= settings.approaching_m)
    arriving = (stage < Stage.ARRIVED) & (inside | np.isfinite(table.entered_at[v.slot]))
    departing = (stage == Stage.ARRIVED) & gone
    return np.asarray(approaching | arriving | departing)


def _advance_order(
    table: OrderTable,
    v: _Visits,
    legs: Legs,
    speed: Floats,
    drivers: DriverTable,
    settings: EngineSettings,
    found: Found,
) -> None:
    slot = int(v.slot[0])
    t1, sigma, newest = legs.t1[v.leg], legs.sigma1[v.leg], legs.newest[v.leg]
    driver = int(table.driver[slot])
    recorder = _Recorder(table, slot, drivers.ids[driver], settings, found)
    close = np.flatnonzero((v.distance <= settings.approaching_m) & (t1 >= table.next_since[slot]))
    if table.stage[slot] < Stage.APPROACHING and table.is_next[slot] and len(close):
        i = int(close[0])
        recorder.record("approaching", t1[i], t1[i], newest[i], 1.0, {"distance": _round(v.distance[i])})
    after = 0
    if table.stage[slot] < Stage.ARRIVED:
        arrived = _find_arrival(table, slot, v, t1, speed, settings)
        if arrived is None:
            return
        i, entered_at, fixes = arrived
        evidence = {
            "fixes": fixes,
            "accuracy": _round(sigma[i]),
            "speed": _round(speed[i]),
            "dwell": _round(t1[i] - entered_at),
            "distance": _round(v.distance[i]),
        }
        confidence = _NORMAL.cdf(max(-float(v.distance[i]), 0.0) / max(float(sigma[i]), 0.1))
        recorder.record("driver_arrived", entered_at, t1[i], newest[i], confidence, evidence)
        after = i + 1
    out = after + np.flatnonzero(v.distance[after:] > settings.departed_margin_m)
    if len(out):
        i = int(out[0])
        crossed = v.crossed_out[after : i + 1]
        crossed = crossed[np.isfinite(crossed)]
        left_at = float(crossed[-1]) if len(crossed) else float(table.left_at[slot])
        if np.isnan(left_at):  # he was never seen to cross: the destination moved, or the server started anew
            left_at = float(t1[i])
        recorder.record("departed", left_at, t1[i], newest[i], 1.0, {"distance": _round(v.distance[i])})
        table.entered_at[slot] = np.nan


def _find_arrival(
    table: OrderTable, slot: int, v: _Visits, t1: Floats, speed: Floats, settings: EngineSettings
) -> tuple[int, float, int] | None:
    """The first visit that is an arrival: its index, when the destination was entered, fixes inside by then."""
    entered_at, fixes = float(table.entered_at[slot]), int(table.fixes[slot])
    for i in range(len(t1)):
        if np.isfinite(v.crossed_in[i]):
            entered_at, fixes = float(v.crossed_in[i]), 0
        inside = v.distance[i] <= 0.0
        if inside and np.isnan(entered_at):  # here already when the order came
            entered_at = float(t1[i])
        if np.isnan(entered_at):
            continue
        fixes += int(inside)
        until = float(t1[i]) if inside else float(v.crossed_out[i])
        if (inside and speed[i] < settings.arrival_speed_mps) or until - entered_at >= settings.arrival_dwell_s:
            table.entered_at[slot], table.fixes[slot] = entered_at, fixes
            return i, entered_at, fixes
        if not inside:
            entered_at, fixes = float("nan"), 0
    table.entered_at[slot], table.fixes[slot] = entered_at, fixes
    return None


@dataclass(slots=True)
class _Recorder:
    """Writes one order's milestones down, in the table and in what is found."""

    table: OrderTable
    slot: int
    driver_id: str
    settings: EngineSettings
    found: Found

    def record(
        self,
        kind: DeliveryStatus,
        occurred_at: float,
        detected_at: float,
        newest: float,
        confidence: float,
        evidence: dict[str, float],
    ) -> None:
        order = self.table.by_id[self.table.ids[self.slot]]
        order = msgspec.structs.replace(order, status=kind, **{_MILESTONE[kind]: float(occurred_at)})
        self.found.orders[order.order_id] = order
        self.table.put(order, int(self.table.driver[self.slot]), now=float(detected_at))
        self.found.events.append(
            Delivery(
                event_id=event_id(kind, self.driver_id, order.order_id, round(detected_at * 1000)),
                kind=kind,
                order_id=order.order_id,
                customer_id=order.customer_id,
                driver_id=self.driver_id,
                occurred_at=float(occurred_at),
                detected_at=float(detected_at),
                confidence=round(confidence, 3),
                late=bool(newest - detected_at > self.settings.stale_after_s),
                evidence=evidence,
            )
        )


def _round(value: float) -> float:
    return round(float(value), 1)
