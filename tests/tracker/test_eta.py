from dataclasses import replace

import numpy as np
import pytest

from tests.fixes import T0, batch, place
from tests.tracker.test_deliveries import engine_with, order
from tracker import corridors
from tracker.eta_model import cold_model
from tracker.records import Route, Track
from tracker.settings import EngineSettings


def changes(updates):
    return [e for e in updates.events if e.kind == "eta_changed"]


def test_the_first_prediction_is_announced_with_its_interval() -> None:
    engine = engine_with(order(east=6000.0))
    (event,) = changes(engine.ingest(batch(engine, "d", 0.0, 0.0)))
    assert event.eta - T0 == pytest.approx(6000 * 1.35 / 6.0, rel=0.01)
    assert event.eta_low < event.eta < event.eta_high
    prediction = engine.eta("o1")
    assert prediction is not None
    assert prediction == pytest.approx((event.eta_low, event.eta, event.eta_high), abs=0.01)


def test_a_small_change_is_not_news_and_a_big_one_is() -> None:
    engine = engine_with(order(east=6000.0))
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    t = np.arange(10.0, 300.0, 10.0)
    assert changes(engine.ingest(batch(engine, "d", t, 4.5 * t))) == []
    assert len(changes(engine.ingest(batch(engine, "d", t + 1800, 1300.0)))) >= 1  # half an hour without moving


def test_a_later_stop_comes_after_the_stops_before_it() -> None:
    first, second = order("o1", east=3000.0), order("o2", east=0.0, north=100.0)
    engine = engine_with(first, second)
    engine.set_route(Route(route_id="r", driver_id="d", stops=["o1", "o2"]))
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    one, two = engine.eta("o1"), engine.eta("o2")
    assert one is not None and two is not None
    assert two[1] - one[1] > 3000 * 1.35 / 6 + 170  # back again, after the service
    engine.set_route(Route(route_id="r", driver_id="d", stops=["o2", "o1"]))
    engine.ingest(batch(engine, "d", 1.0, 0.0))
    one, two = engine.eta("o1"), engine.eta("o2")
    assert one is not None and two is not None
    assert two[1] < one[1]


def test_a_planned_path_is_followed() -> None:
    engine = engine_with(order(east=1000.0))
    corners = [(0, 0), (0, 3000), (1000, 3000), (1000, 0)]
    path = [[float(x) for x in reversed(place(e, n))] for e, n in corners]
    engine.set_route(Route(route_id="r", driver_id="d", stops=["o1"], path=path))
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    along = engine.eta("o1")
    assert along is not None
    assert along[1] - T0 == pytest.approx(7000 / 6.0, rel=0.01)


def test_no_prediction_after_the_arrival_or_the_order() -> None:
    engine = engine_with(order(east=0.0))
    engine.ingest(batch(engine, "d", [0.0, 60.0], 0.0, speed=0.0))
    assert engine.eta("o1") is None
    assert engine.eta("nothing") is None


def test_the_eta_of_a_silent_driver_is_withdrawn_once_and_comes_back_with_him() -> None:
    engine = engine_with(order(east=6000.0), order("o2", east=9000.0, created_at=1.0), silent_after_s=300.0)
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    assert engine.tick(T0 + 300.0) == []  # a tunnel
    withdrawn = engine.tick(T0 + 301.0)
    assert [(e.kind, e.order_id, e.eta, e.eta_low) for e in withdrawn] == [
        ("eta_changed", "o1", None, None),
        ("eta_changed", "o2", None, None),
    ]
    assert withdrawn[0].occurred_at == T0 + 300.0
    assert engine.eta("o1") is None
    assert engine.tick(T0 + 400.0) == []
    engine.set_order(order("o3", north=5000.0, created_at=2.0))
    assert engine.eta("o3") is None  # nobody knows where he is
    told = changes(engine.ingest(batch(engine, "d", 1000.0, 3000.0)))
    assert {e.order_id for e in told} == {"o1", "o2", "o3"}
    assert engine.eta("o1") is not None


def test_a_withdrawal_is_the_same_event_after_a_restart() -> None:
    first, second = engine_with(order()), engine_with(order())
    for engine in (first, second):
        engine.ingest(batch(engine, "d", 0.0, 0.0))
    assert first.tick(T0 + 999.0)[0].event_id == second.tick(T0 + 1234.0)[0].event_id


def test_a_new_model_counts_from_the_next_prediction_on() -> None:
    engine = engine_with(order(east=6000.0))
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    faster = cold_model(EngineSettings(default_speed_mps=12.0))
    engine.use_model(faster)
    assert engine.eta_model is faster
    engine.ingest(batch(engine, "d", 10.0, 0.0))
    prediction = engine.eta("o1")
    assert prediction is not None
    assert prediction[1] - T0 - 10 == pytest.approx(6000 * 1.35 / 12.0, rel=0.01)


def test_after_a_restart_people_hear_only_what_they_do_not_know() -> None:
    engine = engine_with(order(east=6000.0))
    (told,) = changes(engine.ingest(batch(engine, "d", 0.0, 0.0)))
    after = engine_with()
    nothing = {"geofences": [], "routes": [], "inside": [], "tails": Track.empty()}
    after.restore(orders=[order(east=6000.0)], announced=[told], **nothing)
    assert after.eta("o1") == (told.eta_low, told.eta, told.eta_high)
    assert changes(after.ingest(batch(after, "d", 10.0, 50.0))) == []
    assert after.eta("o1") != (told.eta_low, told.eta, told.eta_high)
    (withdrawn,) = after.tick(T0 + 999.0)
    assert withdrawn.eta is None
    arrived = engine_with()
    arrived.restore(orders=[order(arrived_at=T0)], announced=[told], **nothing)
    assert arrived.eta("o1") is None


def test_without_a_planned_path_the_usual_way_is_taken() -> None:
    engine = engine_with(order(east=3000.0))
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    straight = engine.eta("o1")
    around: corridors.Corridors = {}
    corridors.add(around, *place(np.array([0.0, 0.0, 3000.0, 3000.0]), np.array([0.0, 2000.0, 2000.0, 0.0])))
    engine.use_model(replace(cold_model(EngineSettings()), corridors=around))
    engine.set_order(order(east=3000.0, address="the same"))
    usual = engine.eta("o1")
    assert straight is not None and usual is not None
    assert usual[1] - T0 == pytest.approx(7000 / 6.0, rel=0.02)
    assert usual[1] > straight[1] + 400
    engine.ingest(batch(engine, "d", [10.0, 20.0], 0.0, [60.0, 120.0]))
    assert engine.eta("o1")[1] - T0 - 20 == pytest.approx(6880 / 6.0, rel=0.03)
    path = [[float(x) for x in reversed(place(east, 120.0))] for east in (0.0, 3000.0)]
    engine.set_route(Route(route_id="r", driver_id="d", stops=["o1"], path=path))
    assert engine.eta("o1")[1] < usual[1] - 400  # a planned path goes before
