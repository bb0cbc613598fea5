import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixes import T0, batch, place, split
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.judgements import judgements
from tracker.records import FixBatch, Geofence, Transition
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()


def fence(geofence_id: str, east: float, radius: float = 50.0) -> Geofence:
    latitude, longitude = (float(x) for x in place(east))
    return Geofence(geofence_id=geofence_id, type="Point", coordinates=[longitude, latitude], radius=radius)


def fleet(engine: Engine, drivers: int, fixes: int, seed: int = 0) -> FixBatch:
    """Noisy drives of many drivers, in the order of time."""
    rng = np.random.default_rng(seed)
    t = np.tile(np.arange(fixes) * 5.0, drivers)
    ids = [f"d{i}" for i in range(drivers) for _ in range(fixes)]
    east = 8.0 * t + rng.normal(0, 4, len(t))
    north = np.repeat(np.arange(drivers) * 30.0, fixes) + rng.normal(0, 4, len(t))
    whole = batch(engine, ids, t, east, north, accuracy=rng.uniform(4, 20, len(t)))
    return split(whole, np.argsort(t, kind="stable"))


def test_an_empty_batch_is_nothing() -> None:
    engine = Engine(SETTINGS)
    updates = engine.ingest(split(fleet(engine, 1, 1), slice(0, 0)))
    assert len(updates.flag) == len(updates.track) == len(updates.aside) == 0
    assert updates.events == updates.orders == []


def test_every_fix_is_accounted_for() -> None:
    engine = Engine(SETTINGS)
    engine.ingest(batch(engine, "d", [10.0, 20.0], [100.0, 200.0]))
    later = batch(engine, "d", [15.0, 20.0, 30.0, 31.0, 40.0, 40.0], [150, 200, 300, 9000, 400, 400])
    later.latitude[2] = 91.0
    updates = engine.ingest(later)
    assert [Flag(f).name for f in updates.flag] == [
        "LATE",
        "DUPLICATE",
        "LATITUDE_OUT_OF_RANGE",
        "OUTLIER",
        "ACCEPTED",
        "DUPLICATE",
    ]
    assert updates.aside.kind.tolist() == [Flag.OUTLIER, Flag.LATE]
    assert updates.aside_index.tolist() == [3, 0]
    assert updates.track.connected.tolist() == [True]
    assert (updates.track.fix_time - T0).tolist() == [20.0, 40.0]
    assert np.isnan(updates.latitude[[1, 2, 5]]).all()
    assert np.isfinite(updates.latitude[[0, 3, 4]]).all()


def test_a_run_reaches_back_to_the_last_vertex_but_not_over_a_long_silence() -> None:
    engine = Engine(SETTINGS)
    first = engine.ingest(batch(engine, "d", [0.0, 5.0], [0.0, 40.0], speed=8.0, accuracy=5.0)).track
    assert (first.connected.tolist(), first.offset.tolist()) == ([False], [0, 2])
    second = engine.ingest(batch(engine, "d", [10.0], [80.0], speed=8.0, accuracy=5.0)).track
    assert (second.connected.tolist(), second.offset.tolist()) == ([True], [0, 2])
    assert second.latitude[0] == first.latitude[-1]
    assert second.speed.tolist() == [8.0, 8.0]
    third = engine.ingest(batch(engine, "d", [5000.0], [80.0])).track
    assert (third.connected.tolist(), third.offset.tolist()) == ([False], [0, 1])


def test_late_fixes_never_move_the_marker() -> None:
    engine = Engine(SETTINGS)
    engine.ingest(batch(engine, "d", [100.0], [1000.0], speed=5.0, course=90.0))
    before = engine.latest()
    updates = engine.ingest(batch(engine, "d", [50.0, 60.0], [500.0, 600.0]))
    assert updates.flag.tolist() == [Flag.LATE, Flag.LATE]
    assert str(engine.latest()) == str(before)  # NaN and all
    assert updates.events == []


def test_a_bad_clock_does_not_pin_a_driver() -> None:
    engine = Engine(SETTINGS)
    bad = batch(engine, "d", [0.0, 86_400.0], [0.0, 10.0], received_at=T0)
    assert engine.ingest(bad).flag.tolist() == [Flag.ACCEPTED, Flag.TIMESTAMP_IN_FUTURE]
    assert engine.ingest(batch(engine, "d", 1.0, 10.0)).flag.tolist() == [Flag.ACCEPTED]


def test_the_same_outlier_again_and_again_does_not_become_true() -> None:
    engine = Engine(SETTINGS)
    engine.ingest(batch(engine, "d", np.arange(5.0), 0.0, accuracy=5.0))
    flags = [engine.ingest(batch(engine, "d", 5.0, 4000.0, accuracy=5.0)).flag[0] for _ in range(5)]
    assert flags == [Flag.OUTLIER] + [Flag.DUPLICATE] * 4


def test_an_outlier_newer_than_all_that_is_believed_is_not_stored_again_after_a_restart() -> None:
    engine = Engine(SETTINGS)
    first = engine.ingest(batch(engine, "d", np.arange(6.0), [0, 0, 0, 0, 0, 4000.0], accuracy=5.0))
    assert first.aside.kind.tolist() == [Flag.OUTLIER]
    after = Engine(SETTINGS)
    newest = [("d", float(first.aside.fix_time[-1]))]
    after.restore(orders=[], geofences=[], routes=[], inside=[], tails=first.track, newest=newest)
    again = after.ingest(batch(after, "d", [5.0, 6.0], [4000.0, 0.0], accuracy=5.0))
    assert (again.aside.fix_time - T0).tolist() == [5.0]  # where the store finds that it has it
    assert (again.track.fix_time - T0).tolist() == [4.0, 6.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 200), max_size=8))
def test_any_batching_gives_the_same_positions_tracks_and_transitions(seed: int, cuts: list[int]) -> None:
    def run(bounds: list[int]):
        engine = Engine(SETTINGS)
        engine.set_geofence(fence("f1", 300.0))
        engine.set_geofence(fence("f2", 500.0, 80.0))
        whole = fleet(engine, 4, 40, seed)
        parts = [engine.ingest(split(whole, slice(a, b))) for a, b in zip([0, *bounds], [*bounds, 160], strict=True)]
        events = [e for p in parts for e in p.events if isinstance(e, Transition)]
        columns = [
            np.concatenate([getattr(p, name) for p in parts]) for name in ("flag", "latitude", "longitude", "sigma")
        ]
        vertices = {}
        final = {said[:2]: said[2] for p in parts for said in judgements(p.revised, engine.driver_ids)}
        for p in parts:
            for i, driver_id in enumerate(p.track.driver_id):
                run = slice(p.track.offset[i] + p.track.connected[i], p.track.offset[i + 1])
                vertices.setdefault(driver_id, []).extend(p.track.fix_time[run].tolist())
        return columns, (vertices, final), sorted(events, key=lambda e: (e.driver_id, e.occurred_at, e.kind))

    columns, stored, events = run(sorted({c for c in cuts if c <= 160}))
    expected_columns, expected_stored, expected_events = run([])
    for got, expected in zip(columns, expected_columns, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert stored == expected_stored
    assert [(e.event_id, e.occurred_at) for e in events] == [(e.event_id, e.occurred_at) for e in expected_events]
    assert events


def test_a_restart_goes_on_where_the_store_ends() -> None:
    engine = Engine(SETTINGS)
    engine.set_geofence(fence("depot", 0.0))
    first = engine.ingest(batch(engine, "d", np.arange(10.0), np.arange(10.0) * 10, course=90.0, accuracy=5.0))
    assert [e.kind for e in first.events] == ["enter", "exit"]
    after = Engine(SETTINGS)
    after.restore(
        orders=[], geofences=[fence("depot", 0.0, 500.0)], routes=[], inside=[("d", "depot", T0)], tails=first.track
    )
    assert str(after.latest()) == str(engine.latest())
    again = after.ingest(batch(after, "d", [9.0, 10.0], [90.0, 100.0], accuracy=5.0))
    assert again.flag.tolist() == [Flag.DUPLICATE, Flag.ACCEPTED]
    assert again.events == []  # he was inside, and still is
    assert again.track.connected.tolist() == [True]


def test_orders_are_visible_to_their_customer_when_next_or_near() -> None:
    from tests.tracker.test_deliveries import order

    engine = Engine(SETTINGS)
    engine.set_order(order("o1", east=20_000.0, created_at=1.0))
    engine.set_order(order("o2", east=30_000.0, created_at=2.0))
    engine.ingest(batch(engine, "d", 0.0, 0.0))
    assert (engine.visible("o1"), engine.visible("o2")) == (True, False)
    engine.ingest(batch(engine, "d", 3000.0, 28_000.0))
    assert engine.visible("o2")
    engine.set_order(order("o1", east=20_000.0, status="delivered"))
    assert not engine.visible("o1")
    assert engine.orders_of("d") == ["o2"]
    with pytest.raises(KeyError):
        engine.orders["o1"]
