"""The compiled loop, through the engine: stops in turn, news of them, and bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixes import T0, batch, place, split
from tests.tracker.test_deliveries import engine_with, order
from tracker.records import Delivery, Route

COLD_MPS = 6.0 / 1.35  # of the straight line


def deliveries(updates) -> list[Delivery]:
    return [e for e in updates.events if isinstance(e, Delivery)]


def expected(engine, order_id: str) -> float:
    """Seconds after T0."""
    prediction = engine.eta(order_id)
    assert prediction is not None
    low, middle, high = prediction
    assert low <= middle <= high
    return middle - T0


def three_stops(**changes):
    return engine_with(*[order(f"o{i}", east=2000.0 * i, created_at=float(i)) for i in (1, 2, 3)], **changes)


def test_each_stop_comes_after_the_drives_and_the_services_before_it() -> None:
    engine = three_stops(service_s=120.0)
    updates = engine.ingest(batch(engine, "d", 0.0, 0.0))
    drive = 2000 / COLD_MPS
    assert [expected(engine, f"o{i}") for i in (1, 2, 3)] == pytest.approx(
        [drive, 2 * drive + 120, 3 * drive + 240], rel=1e-3
    )
    first, second, third = sorted(deliveries(updates), key=lambda e: e.order_id)
    assert [e.evidence["stops"] for e in (first, second, third)] == [0, 1, 2]
    assert third.evidence["metres"] == pytest.approx(3 * 2700, rel=1e-3)
    assert first.eta_high - first.eta_low < second.eta_high - second.eta_low < third.eta_high - third.eta_low


def test_a_driver_at_a_stop_has_its_remaining_service_before_him() -> None:
    engine = three_stops(service_s=300.0)
    drive = 2000 / COLD_MPS
    t = np.arange(0.0, 900.0, 5.0)
    east = np.minimum(10 * t, 2000.0)
    engine.ingest(batch(engine, "d", t[:61], east[:61], speed=np.where(east[:61] < 2000, 10.0, 0.0), accuracy=5.0))
    arrived = 195.0  # at 10 m/s, 50 m before the middle
    assert engine.eta("o1") is None
    assert expected(engine, "o2") == pytest.approx(300 + (300 - (300 - arrived)) + drive, rel=0.15)
    engine.ingest(batch(engine, "d", t[61:], east[61:], speed=0.0, accuracy=5.0))
    now = t[-1]  # the stop takes longer than it should
    assert expected(engine, "o2") > now + 0.2 * 300 + 0.8 * drive
    assert expected(engine, "o2") < now + 0.2 * 300 + 1.5 * drive


def test_a_stop_skipped_added_or_moved_changes_the_others_at_once() -> None:
    engine = three_stops()
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    before = expected(engine, "o3")
    engine.remove_order("o1")
    without = expected(engine, "o3")
    assert without == pytest.approx(before - 180, abs=15)
    engine.set_order(order("o4", east=6000.0, north=3000.0, created_at=2.5))
    detour = (np.hypot(4000 - 6000, 3000) + 3000 - 2000) / COLD_MPS + 180
    assert expected(engine, "o3") == pytest.approx(without + detour, rel=0.02)
    engine.set_route(Route(route_id="r", driver_id="d", stops=["o3", "o2", "o4"]))
    assert expected(engine, "o3") == pytest.approx(6000 / COLD_MPS, rel=1e-3)
    updates = engine.ingest(batch(engine, "d", 1.0, 0.0))  # and with the next fix people hear of it
    assert {e.order_id for e in deliveries(updates)} >= {"o2", "o4"}


def test_an_order_that_goes_to_another_driver_leaves_the_chain_of_the_first() -> None:
    engine = three_stops()
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    before = expected(engine, "o3")
    engine.set_order(order("o1", east=2000.0, driver_id="other", created_at=1.0))
    assert expected(engine, "o3") == pytest.approx(before - 180, abs=15)


def test_a_change_is_told_when_it_matters_and_not_too_often() -> None:
    engine = engine_with(order(east=20_000.0), eta_announce_every_s=600.0, eta_change_s=60.0, eta_change_share=0.0)
    t = np.arange(0.0, 3600.0, 10.0)
    told = deliveries(engine.ingest(batch(engine, "d", t, 0.0)))  # he does not move
    assert len(told) == 6
    assert np.diff([e.detected_at for e in told]).min() >= 600
    patient = engine_with(order(east=20_000.0), eta_change_share=0.9)
    assert len(deliveries(patient.ingest(batch(patient, "d", t[:90], 0.0)))) == 1  # little of what is left


def test_approaching_by_predicted_time_before_the_distance_says_so() -> None:
    engine = engine_with(order(east=2000.0), approaching_s=240.0)
    t = np.arange(0.0, 150.0, 5.0)
    events = deliveries(engine.ingest(batch(engine, "d", t, 10 * t, speed=10.0, accuracy=5.0)))
    (approaching,) = [e for e in events if e.kind == "approaching"]
    assert 2000 - 10 * (approaching.detected_at - T0) > 600
    assert approaching.eta is not None
    assert approaching.eta - approaching.detected_at <= 240
    assert engine.orders["o1"].approaching_at == approaching.detected_at
    assert engine.orders["o1"].status == "approaching"


def test_approaching_by_distance_says_when_too() -> None:
    engine = engine_with(order(east=2000.0), approaching_s=0.0)
    t = np.arange(0.0, 190.0, 5.0)
    (approaching,) = [
        e for e in deliveries(engine.ingest(batch(engine, "d", t, 10 * t, speed=10.0))) if e.kind == "approaching"
    ]
    assert 10 * (approaching.detected_at - T0) == pytest.approx(1450, abs=50)
    assert approaching.eta is not None
    assert approaching.eta_low < approaching.eta < approaching.eta_high


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 360), max_size=8))
def test_any_batching_gives_the_same_predictions_to_the_bit(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    drivers, fixes = 3, 120
    t = np.repeat(np.cumsum(rng.choice([1.0, 5.0, 9.0], fixes)), drivers)
    pace = rng.choice([0.0, 5.0, 15.0], (fixes, drivers), p=[0.3, 0.3, 0.4])
    east = np.cumsum(pace * np.diff(t.reshape(fixes, drivers), axis=0, prepend=0.0), axis=0).ravel()
    north = np.tile(np.arange(drivers) * 5000.0, fixes) + rng.normal(0, 3, len(t))
    late = np.where(rng.random(len(t)) < 0.1, 500.0, 0.0)  # not news when they come in
    path = [[float(x) for x in reversed(place(e, 5000.0))] for e in (-100.0, 2500.0, 9000.0)]

    def run(bounds: list[int]):
        engine = engine_with(
            *[
                order(f"{d}{i}", east=900.0 * i, north=5000.0 * d, driver_id=f"d{d}")
                for d in range(3)
                for i in (1, 2, 3)
            ],
            eta_change_s=20.0,
            eta_change_share=0.05,
        )
        engine.set_route(Route(route_id="r", driver_id="d1", stops=["12", "11", "13"], path=path))
        ids = [f"d{d}" for _ in range(fixes) for d in range(drivers)]
        whole = batch(engine, ids, t, east, north, received_at=T0 + t + late, accuracy=5.0)
        found = [
            e
            for a, b in zip([0, *bounds], [*bounds, len(t)], strict=True)
            for e in engine.ingest(split(whole, slice(a, b))).events
        ]
        found = [e for e in found if e.kind in ("eta_changed", "approaching")]
        return sorted(found, key=lambda e: (e.detected_at, e.event_id)), [engine.eta(o) for o in sorted(engine.orders)]

    assert run(sorted({c for c in cuts if c <= len(t)})) == run([])


@pytest.mark.parametrize(
    "path",
    [
        [[121.0, 10.0], [121.1, 10.0]],  # on another island
        [[121.5654, 25.0330], [121.5654, 25.0330]],  # of no length
        [[121.5654, 25.0330]],
        [],
    ],
)
def test_an_impossible_path_leaves_the_straight_line(path: list[list[float]]) -> None:
    engine = engine_with(order(east=2000.0))
    engine.set_route(Route(route_id="r", driver_id="d", stops=["o1", "unknown"], path=path))
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    assert expected(engine, "o1") == pytest.approx(2000 / COLD_MPS, rel=1e-3)


def test_a_stop_already_passed_is_driven_back_to() -> None:
    engine = engine_with(order("o1", east=500.0), order("o2", east=4000.0, created_at=1.0))
    path = [[float(x) for x in reversed(place(e))] for e in (0.0, 5000.0)]
    engine.set_route(Route(route_id="r", driver_id="d", stops=["o1", "o2"], path=path))
    t = np.arange(0.0, 105.0, 5.0)
    engine.ingest(batch(engine, "d", t, 20 * t, speed=20.0))  # by it, and on
    there = t[-1] + 1500 / COLD_MPS
    assert expected(engine, "o1") == pytest.approx(there, rel=0.15)
    assert expected(engine, "o2") == pytest.approx(expected(engine, "o1") + 180 + 3500 / 6, rel=0.15)


def test_a_driver_who_moves_away_is_expected_later_and_later() -> None:
    engine = engine_with(order(east=1000.0))
    etas = []
    for t in np.arange(0.0, 300.0, 10.0):
        engine.ingest(batch(engine, "d", t, -10 * t))
        etas.append(expected(engine, "o1"))
    assert (np.diff(etas) > 0).all()


def test_at_the_place_already_is_expected_now() -> None:
    engine = engine_with(order(east=0.0), arrival_speed_mps=0.0, arrival_dwell_s=1e9)
    engine.ingest(batch(engine, "d", 0.0, 0.0, speed=9.0))
    low, middle, high = engine.eta("o1")
    assert low == middle == T0
    assert high > T0


def test_a_wrong_clock_predicts_in_its_own_time() -> None:
    engine = engine_with(order(east=2000.0))
    told = deliveries(engine.ingest(batch(engine, "d", 0.0, 0.0, received_at=T0 + 250.0)))  # four minutes slow
    assert [e.kind for e in told] == ["eta_changed"]
    engine = engine_with(order(east=2000.0))
    assert deliveries(engine.ingest(batch(engine, "d", 0.0, 0.0, received_at=T0 + 3600.0))) == []  # no news any more
    assert engine.eta("o1") is None
