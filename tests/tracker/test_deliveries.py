import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixes import T0, batch, place, split
from tracker.engine import Engine
from tracker.records import Delivery, Destination, Order
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()


def order(order_id: str = "o1", east: float = 2000.0, north: float = 0.0, **changes) -> Order:
    latitude, longitude = (float(x) for x in place(east, north))
    given = dict(
        customer_id="c1", driver_id="d", destination=Destination(latitude=latitude, longitude=longitude, radius=50.0)
    )
    return Order(order_id=order_id, **(given | changes))


def engine_with(*orders: Order, **changes) -> Engine:
    engine = Engine(EngineSettings(**changes))
    for each in orders:
        engine.set_order(each)
    return engine


def drive(seconds: int, speed: float = 10.0, start: float = 0.0):
    """Times and metres east of a drive at one speed."""
    t = np.arange(seconds + 1.0)
    return t, start + speed * t


def stop_at(east: float, stay: float, speed: float = 10.0, beyond: float = 600.0):
    """Times, metres east and speeds of a drive that stops at `east` and goes on."""
    there = east / speed
    t = np.arange(0.0, there + stay + beyond / speed + 1)
    return (
        t,
        np.where(t < there, speed * t, east + speed * np.maximum(t - there - stay, 0)),
        np.where((t >= there) & (t <= there + stay), 0.0, speed),
    )


def milestones(events) -> list[str]:
    return [e.kind for e in events if isinstance(e, Delivery) and e.kind != "eta_changed"]


def test_approaching_arrived_departed_once_each_with_the_time_of_crossing() -> None:
    engine = engine_with(order())
    t, east, speed = stop_at(2000.0, 60.0)
    updates = engine.ingest(batch(engine, "d", t, east, speed=speed, accuracy=5.0))
    events = [e for e in updates.events if isinstance(e, Delivery) and e.kind != "eta_changed"]
    assert [e.kind for e in events] == ["approaching", "driver_arrived", "departed"]
    approaching, arrived, departed = events
    assert arrived.occurred_at - T0 == pytest.approx(195, abs=0.5)  # 50 m before the centre at 10 m/s
    assert arrived.detected_at - T0 >= 199
    assert departed.occurred_at - T0 == pytest.approx(265, abs=0.5)
    assert approaching.occurred_at < arrived.occurred_at
    assert arrived.confidence > 0.9
    assert set(arrived.evidence) == {"fixes", "accuracy", "speed", "dwell", "distance"}
    (left,) = updates.orders
    assert (left.arrived_at, left.departed_at, left.status) == (arrived.occurred_at, departed.occurred_at, "departed")
    again = engine.ingest(batch(engine, "d", t + 400, east, speed=speed))
    assert milestones(again.events) == []


def test_driving_past_or_through_is_not_an_arrival() -> None:
    engine = engine_with(order())
    t, east = drive(400)
    assert milestones(engine.ingest(batch(engine, "d", t, east, speed=10.0)).events) == ["approaching"]
    engine = engine_with(order(north=80.0))  # the next street
    t, east, speed = stop_at(2000.0, 300.0)
    assert milestones(engine.ingest(batch(engine, "d", t, east, speed=speed)).events) == ["approaching"]


def test_crawling_through_for_long_enough_is_an_arrival() -> None:
    engine = engine_with(order(east=100.0))
    t, east = drive(60, speed=2.5)
    assert milestones(engine.ingest(batch(engine, "d", t, east, speed=2.5)).events) == ["approaching", "driver_arrived"]


def test_an_order_made_when_the_driver_is_there_already() -> None:
    engine = engine_with()
    engine.ingest(batch(engine, "d", [0.0, 1.0], 2000.0, speed=0.0))
    engine.set_order(order())
    updates = engine.ingest(batch(engine, "d", 2.0, 2000.0, speed=0.0))
    assert milestones(updates.events) == ["approaching", "driver_arrived"]
    assert updates.events[-1].occurred_at == T0 + 2


def test_two_orders_at_one_address_and_a_cancelled_one() -> None:
    engine = engine_with(order("o1"), order("o2", customer_id="c2"), order("o3", status="cancelled"))
    t, east, speed = stop_at(2000.0, 60.0)
    events = engine.ingest(batch(engine, "d", t, east, speed=speed)).events
    arrived = [e for e in events if e.kind == "driver_arrived"]
    assert sorted(e.order_id for e in arrived) == ["o1", "o2"]
    assert len({e.event_id for e in events}) == len(events)


def test_the_next_customer_hears_nothing_before_it_is_his_turn() -> None:
    engine = engine_with(order("later", 2300.0, created_at=2.0), order("now", created_at=1.0))
    t, east, speed = stop_at(2000.0, 60.0)
    found = [e for e in engine.ingest(batch(engine, "d", t, east, speed=speed)).events if e.kind != "eta_changed"]
    by_order = {(e.order_id, e.kind): e.detected_at for e in found}
    assert by_order["later", "approaching"] >= by_order["now", "departed"]


def test_an_order_given_to_another_driver_follows_him_alone() -> None:
    engine = engine_with(order())
    engine.set_order(order(driver_id="e"))
    t, east, speed = stop_at(2000.0, 60.0)
    assert milestones(engine.ingest(batch(engine, "d", t, east, speed=speed)).events) == []
    assert milestones(engine.ingest(batch(engine, "e", t, east, speed=speed)).events)[:2] == [
        "approaching",
        "driver_arrived",
    ]


def test_a_polygon_is_a_destination_too() -> None:
    ring = [
        [float(x) for x in reversed(place(e, n))]
        for e, n in [(1950, -20), (2100, -20), (2100, 20), (1950, 20), (1950, -20)]
    ]
    engine = engine_with(order(destination=Destination(type="Polygon", coordinates=[ring])))
    t, east, speed = stop_at(2000.0, 60.0)
    events = engine.ingest(batch(engine, "d", t, east, speed=speed)).events
    (arrived,) = [e for e in events if e.kind == "driver_arrived"]
    assert arrived.occurred_at - T0 == pytest.approx(195, abs=0.5)


def test_what_is_found_far_behind_the_newest_fix_is_late() -> None:
    t, east, speed = stop_at(2000.0, 60.0, beyond=4000.0)
    engine = engine_with(order())
    at_once = engine.ingest(batch(engine, "d", t, east, speed=speed, received_at=T0 + t[-1])).events
    assert [e.late for e in at_once if e.kind != "eta_changed"] == [True, True, True]
    engine = engine_with(order())
    as_it_was = engine.ingest(batch(engine, "d", t, east, speed=speed)).events
    assert [e.late for e in as_it_was if e.kind != "eta_changed"] == [False, False, False]


def test_milestones_survive_a_restart() -> None:
    t, east, speed = stop_at(2000.0, 60.0)
    engine = engine_with(order())
    whole = batch(engine, "d", t, east, speed=speed)
    first = engine.ingest(split(whole, slice(0, 220)))
    assert milestones(first.events)[-1] == "driver_arrived"
    (known,) = first.orders
    after = Engine(SETTINGS)
    after.restore(orders=[known], geofences=[], routes=[], inside=[], tails=first.track)
    assert milestones(after.ingest(split(whole, slice(220, None))).events) == ["departed"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 300), max_size=6), st.floats(5.0, 120.0))
def test_any_batching_finds_the_same_milestones(cuts: list[int], stay: float) -> None:
    t, east, speed = stop_at(2000.0, stay)

    def run(bounds: list[int]) -> list[Delivery]:
        engine = engine_with(order())
        whole = batch(engine, "d", t, east, speed=speed, accuracy=5.0)  # received as measured
        found = []
        for start, end in zip([0, *bounds], [*bounds, len(t)], strict=True):
            found += engine.ingest(split(whole, slice(start, end))).events
        return found

    assert run(sorted({c for c in cuts if c < len(t)})) == run([])
