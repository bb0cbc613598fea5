from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixes import T0, batch, place, split
from tracker.engine import Engine
from tracker.records import Delivery, Destination, Order, Route, Track, Updates
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
    assert arrived.confidence >= 0.9
    assert set(arrived.evidence) == {"fixes", "accuracy", "speed", "dwell", "stand", "distance"}
    (left,) = updates.orders
    assert (left.arrived_at, left.departed_at, left.status) == (arrived.occurred_at, departed.occurred_at, "departed")
    again = engine.ingest(batch(engine, "d", t + 400, east, speed=speed))
    assert milestones(again.events) == []


def test_driving_past_or_through_is_a_pass_on_record_and_no_arrival() -> None:
    engine = engine_with(order())
    t, east = drive(400)
    updates = engine.ingest(batch(engine, "d", t, east, speed=10.0))
    assert milestones(updates.events) == ["approaching", "passed"]
    passed = next(e for e in updates.events if e.kind == "passed")
    assert passed.occurred_at - T0 == pytest.approx(195, abs=0.5)
    assert passed.evidence["dwell"] == pytest.approx(10.0, abs=0.2)
    assert passed.evidence["distance"] == pytest.approx(-50.0, abs=2.0)
    assert passed.confidence > 0.5
    assert engine.orders["o1"].status == "approaching"
    engine = engine_with(order(north=80.0))  # the next street
    t, east, speed = stop_at(2000.0, 100.0)
    assert milestones(engine.ingest(batch(engine, "d", t, east, speed=speed)).events) == ["approaching"]


def test_a_pass_between_two_fixes_is_one_too() -> None:
    engine = engine_with(order())
    t = np.arange(0.0, 400.0, 20.0)
    assert milestones(engine.ingest(batch(engine, "d", t, 10.0 * t + 100.0)).events) == ["approaching", "passed"]


def test_a_red_light_on_the_way_to_another_stop_is_no_arrival() -> None:
    orders = order("o1", 2000.0), order("o2", 4000.0)
    for stops, kinds in ((["o2", "o1"], ["passed"]), (["o1", "o2"], ["approaching", "driver_arrived", "departed"])):
        engine = engine_with(*orders)
        engine.set_route(Route(route_id="r", driver_id="d", stops=stops))
        t, east, speed = stop_at(2000.0, 20.0)
        events = engine.ingest(batch(engine, "d", t, east, speed=speed)).events
        assert milestones([e for e in events if e.order_id == "o1"]) == kinds


def test_a_queue_past_the_door_is_no_arrival() -> None:
    """On for 10 m in 5 s, then 12 s of standing, again and again."""
    engine = engine_with(order(north=15.0))
    t = np.arange(1000.0)
    east = 1700 + 10 * (t // 17) + np.minimum(2 * (t % 17), 10)
    speed = np.where(t % 17 < 5, 2.0, 0.0)
    assert milestones(engine.ingest(batch(engine, "d", t, east, speed=speed)).events) == ["approaching", "passed"]


def test_an_order_made_when_the_driver_is_there_already() -> None:
    engine = engine_with()
    t = np.arange(60.0)
    engine.ingest(batch(engine, "d", t, 2000.0 + np.maximum(20 - t, 0) * 10, speed=np.where(t < 20, 10.0, 0.0)))
    engine.set_order(order(created_at=T0 + 59.5))
    updates = engine.ingest(batch(engine, "d", 60.0, 2000.0, speed=0.0))
    assert milestones(updates.events) == ["driver_arrived"]
    assert updates.events[-1].occurred_at - T0 == pytest.approx(20.0, abs=2.0)


@pytest.mark.parametrize("cut", [None, 280])
def test_a_visit_that_ended_before_the_order_is_not_its_arrival(cut: int | None) -> None:
    t, east, speed = stop_at(2000.0, 60.0)
    engine = engine_with(order(created_at=T0 + 290.0))
    whole = batch(engine, "d", t, east, speed=speed)
    for part in [slice(0, cut), slice(cut, None)] if cut else [slice(None)]:
        assert {"approaching"} >= set(milestones(engine.ingest(split(whole, part)).events))
    again = engine.ingest(batch(engine, "d", np.arange(400.0, 500.0), 2000.0, speed=0.0))
    assert milestones(again.events) == ["driver_arrived"]


def test_passing_at_noon_and_delivering_at_five() -> None:
    engine = engine_with(order())
    t, east = drive(400)
    engine.ingest(batch(engine, "d", t, east, speed=10.0))
    t, east, speed = stop_at(2000.0, 60.0)
    updates = engine.ingest(batch(engine, "d", t + 18000.0, east, speed=speed))
    assert milestones(updates.events) == ["driver_arrived", "departed"]
    assert updates.orders[0].arrived_at == pytest.approx(T0 + 18195.0, abs=0.5)


def test_leaving_and_coming_back_is_told_once() -> None:
    engine = engine_with(order())
    t, east, speed = stop_at(2000.0, 60.0)
    for day in range(3):
        found = engine.ingest(batch(engine, "d", t + 1000.0 * day, east, speed=speed))
        assert milestones(found.events) == (["approaching", "driver_arrived", "departed"] if day == 0 else [])


def test_standing_just_beside_the_destination_for_long_is_an_arrival() -> None:
    for north, stay, kinds in (
        (65.0, 200.0, ["approaching", "driver_arrived", "departed"]),
        (65.0, 60.0, []),
        (90.0, 400.0, []),
    ):
        engine = engine_with(order(north=north))
        t, east, speed = stop_at(2000.0, stay)
        found = engine.ingest(batch(engine, "d", t, east, speed=speed, accuracy=5.0))
        assert milestones(found.events) == kinds or (milestones(found.events) == ["approaching"] and not kinds)
        if kinds:
            arrived = next(e for e in found.events if e.kind == "driver_arrived")
            assert arrived.occurred_at - T0 == pytest.approx(200.0, abs=3.0)
            assert arrived.evidence["distance"] == pytest.approx(15.0, abs=2.0)


def test_drift_in_front_of_the_door_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    t, east, _speed = stop_at(2000.0, 1200.0)
    drift = np.zeros((2, len(t)))
    for i in range(1, len(t)):
        drift[:, i] = 0.95 * drift[:, i - 1] + rng.normal(0.0, 4.0, 2)  # 13 m per axis
    engine = engine_with(order(north=30.0))
    found = engine.ingest(batch(engine, "d", t, east + drift[0], drift[1], accuracy=20.0))
    assert milestones(found.events) == ["approaching", "driver_arrived", "departed"]
    assert found.events[-1].occurred_at - T0 >= 1350.0


def test_a_driver_next_door_is_not_there_until_it_is_the_turn_of_that_door() -> None:
    engine = engine_with(order("o1", created_at=1.0), order("o2", 2040.0, created_at=2.0))
    t, east, speed = stop_at(2000.0, 100.0, beyond=0.0)
    found = engine.ingest(batch(engine, "d", t, east, speed=speed)).events
    assert {e.order_id for e in found if e.kind == "driver_arrived"} == {"o1"}
    engine.set_order(order("o1", status="delivered"))
    found = engine.ingest(batch(engine, "d", t[-1] + 1.0, 2000.0, speed=0.0)).events
    assert milestones(found) == ["driver_arrived"]


def test_a_destination_moved_under_way_is_where_he_arrives() -> None:
    engine = engine_with(order())
    t, east, speed = stop_at(2000.0, 60.0)
    whole = batch(engine, "d", t, east, speed=speed)
    engine.ingest(split(whole, slice(0, 204)))
    engine.set_order(order(east=2600.0, assigned_at=T0 + 203.5))
    found = engine.ingest(split(whole, slice(204, None))).events
    assert milestones(found) == ["approaching"]
    found = engine.ingest(batch(engine, "d", t[-1] + 1.0 + np.arange(60.0), 2600.0, speed=0.0)).events
    assert milestones(found) == ["driver_arrived"]


def test_two_orders_at_one_address_and_a_cancelled_one() -> None:
    engine = engine_with(order("o1"), order("o2", customer_id="c2"), order("o3", status="cancelled"))
    t, east, speed = stop_at(2000.0, 60.0)
    events = engine.ingest(batch(engine, "d", t, east, speed=speed)).events
    arrived = [e for e in events if e.kind == "driver_arrived"]
    assert sorted(e.order_id for e in arrived) == ["o1", "o2"]
    assert arrived[0].detected_at == arrived[1].detected_at
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


def test_an_arrival_found_late_is_news_while_the_driver_is_still_there() -> None:
    t, east, speed = stop_at(2000.0, 900.0, beyond=0.0)
    engine = engine_with(order())
    found = engine.ingest(batch(engine, "d", t, east, speed=speed, received_at=T0 + t[-1])).events
    arrived = next(e for e in found if e.kind == "driver_arrived")
    assert not arrived.late
    assert arrived.occurred_at - T0 == pytest.approx(195.0, abs=0.5)
    assert next(e for e in found if e.kind == "approaching").late


def test_a_backlog_in_slices_is_as_late_as_a_whole() -> None:
    t, east, speed = stop_at(2000.0, 60.0, beyond=8000.0)
    engine, found = engine_with(order()), []
    whole = batch(engine, "d", t, east, speed=speed, received_at=T0 + t[-1])
    for first in range(0, len(t), 100):
        found += engine.ingest(split(whole, slice(first, first + 100))).events
    assert [e.late for e in found if e.kind in ("driver_arrived", "departed")] == [True, True]


def test_nobody_stands_in_a_hole_of_a_destination() -> None:
    def ring(half: float) -> list[list[float]]:
        corners = [(-half, -half), (half, -half), (half, half), (-half, half), (-half, -half)]
        return [[float(x) for x in reversed(place(2000.0 + e, n))] for e, n in corners]

    for shape in (
        Destination(type="Polygon", coordinates=[ring(200.0), ring(80.0)]),
        Destination(type="MultiPolygon", coordinates=[[ring(200.0), ring(80.0)], [ring(20.0)]]),
    ):
        engine = engine_with(order(destination=shape))
        t, east, speed = stop_at(2000.0, 300.0)
        found = milestones(engine.ingest(batch(engine, "d", t, east, speed=speed)).events)
        assert ("driver_arrived" in found) == (shape.type == "MultiPolygon")


def test_a_restart_forgets_no_visit() -> None:
    t, east, speed = stop_at(2000.0, 60.0)
    engine = engine_with(order())
    whole = batch(engine, "d", t, east, speed=speed)
    first = engine.ingest(split(whole, slice(0, 205)))
    assert milestones(first.events) == ["approaching"]
    after = Engine(SETTINGS)
    after.restore(orders=first.orders, geofences=[], routes=[], inside=[], tails=first.track)
    rest = slice(205, None)
    found, expected = (
        [e for e in one.ingest(split(whole, rest)).events if e.kind != "eta_changed"] for one in (after, engine)
    )
    assert [e.kind for e in found] == ["driver_arrived", "departed"]
    assert [e.event_id for e in found] == [e.event_id for e in expected]
    assert [e.occurred_at for e in found] == pytest.approx([e.occurred_at for e in expected], abs=0.01)


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


@pytest.mark.parametrize("pace", [0.7, 1.0, 5.0])
def test_a_restart_between_arrival_and_departure_changes_nothing(pace: float) -> None:
    """Also while he is out of the destination, but not yet so far that he has departed."""
    t = np.arange(0.0, 560.0)
    east = np.interp(t, [0, 200, 320, 420, 560], [0, 2000, 2000, 2000 + 100 * pace, 2100 + 100 * pace + 1500])
    engine = engine_with(order())
    whole = batch(engine, "d", t, east, accuracy=5.0)

    def told(*parts: Updates) -> list[tuple[str, float]]:
        events = [e for part in parts for e in part.events if isinstance(e, Delivery) and e.kind != "eta_changed"]
        return [(e.kind, pytest.approx(e.occurred_at - T0, abs=0.01)) for e in events]

    expected = told(engine.ingest(whole))
    assert [kind for kind, _ in expected] == ["approaching", "driver_arrived", "departed"]
    for cut in range(205, 440, 15):
        before, after = engine_with(order()), Engine(SETTINGS)
        first, tail = (before.ingest(split(whole, part)) for part in (slice(cut - 120), slice(cut - 120, cut)))
        after.restore(orders=before.orders.values(), geofences=[], routes=[], inside=[], tails=tail.track)
        assert told(first, tail, after.ingest(split(whole, slice(cut, None)))) == expected, cut


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


_STEP = st.one_of(
    st.tuples(st.just("drive"), st.sampled_from([-600.0, -40.0, 0.0, 15.0, 70.0, 500.0])),
    st.tuples(st.just("stand"), st.sampled_from([5.0, 40.0, 130.0])),
    st.tuples(st.just("put"), st.sampled_from([0.0, 1.0])),
    st.tuples(st.just("route"), st.sampled_from([0.0, 1.0])),
    st.tuples(st.just("restart"), st.just(0.0)),
    st.tuples(st.just("again"), st.just(0.0)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_STEP, max_size=14))
def test_each_milestone_at_most_once_and_where_the_driver_was(steps: list[tuple[str, float]]) -> None:  # noqa: C901
    """Whatever is driven, sent again, put again, planned, and restarted."""
    orders = {o.order_id: o for o in (order("o0"), order("o1", 2030.0, created_at=1.0))}
    engine = engine_with(*orders.values())
    t, east, told, seen, last = 0.0, 1000.0, Counter[tuple[str, str]](), [1000.0], None
    tail = None
    for kind, value in steps:
        if kind in ("drive", "stand"):
            seconds = value if kind == "stand" else max(abs(2000.0 + value - east) / 10.0, 1.0)
            to = east if kind == "stand" else 2000.0 + value
            way = np.linspace(east, to, int(seconds) + 1)
            last = batch(engine, "d", t + 1.0 + np.arange(len(way)), way, speed=abs(to - east) / seconds)
            t, east = t + len(way), to
            seen += way.tolist()
        if kind == "put":
            engine.set_order(engine.orders[f"o{value:.0f}"])
        if kind == "route":
            engine.set_route(Route(route_id="r", driver_id="d", stops=["o0", "o1"][:: 1 if value else -1]))
        if kind == "restart":
            engine, before = Engine(SETTINGS), engine
            tails = Track.empty() if tail is None else tail
            engine.restore(orders=list(before.orders.values()), geofences=[], routes=[], inside=[], tails=tails)
        if last is not None and kind == "again":  # it comes in after all that came before
            last = replace(last, received_at=np.full(len(last), T0 + t))
        if last is not None and kind in ("drive", "stand", "again"):
            found = engine.ingest(last)
            tail = found.track if len(found.track) else tail
            for event in found.events:
                if event.kind in ("approaching", "driver_arrived", "departed"):
                    told[event.order_id, event.kind] += 1
                if event.kind in ("driver_arrived", "passed"):
                    centre = 2000.0 if event.order_id == "o0" else 2030.0
                    assert min(abs(x - centre) for x in seen) <= 50.0 + 25.0 + 5.0
    assert max(told.values(), default=0) <= 1
    for order_id in orders:
        assert told[order_id, "departed"] <= told[order_id, "driver_arrived"]
