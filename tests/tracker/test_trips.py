import numpy as np
import pytest

from tests.fixes import T0, batch, split
from tracker.engine import Engine
from tracker.records import Stay, Trip
from tracker.settings import EngineSettings


def day(engine: Engine, driver_id: str = "D1"):
    """Two minutes of driving, five at a door, two of driving."""
    t = np.arange(0.0, 540.0, 2.0)
    return batch(engine, driver_id, t, np.interp(t, [0, 120, 420, 540], [0, 1200, 1200, 2400]), speed=np.nan)


def test_stays_and_trips_are_told_when_they_are_over():
    engine = Engine(EngineSettings())
    found = engine.ingest(day(engine)).spans
    trip, stay = found
    assert isinstance(trip, Trip) and isinstance(stay, Stay)
    assert (trip.driver_id, trip.started_at) == ("D1", T0)
    assert trip.ended_at == stay.started_at == pytest.approx(T0 + 120, abs=10)
    assert stay.ended_at == pytest.approx(T0 + 420, abs=10)
    assert trip.distance == pytest.approx(1200, abs=40)
    (last,) = engine.finish()
    assert isinstance(last, Trip) and last.ongoing and last.started_at == stay.ended_at


def test_who_is_staying_is_known():
    engine = Engine(EngineSettings())
    whole = day(engine)
    engine.ingest(split(whole, slice(0, 150)))
    assert engine.staying("D1") == pytest.approx(T0 + 120, abs=10)
    assert engine.staying("nobody") is None
    engine.ingest(split(whole, slice(150, None)))
    assert engine.staying("D1") is None


def test_any_batching_and_late_fixes_change_nothing():
    calm, engine = Engine(EngineSettings()), Engine(EngineSettings())
    whole = day(calm)
    expected = calm.ingest(whole).spans + calm.finish()
    engine.driver_row("D1")
    found = []
    for i in range(0, len(whole), 17):
        found += engine.ingest(split(whole, slice(i, i + 17))).spans
        found += engine.ingest(batch(engine, "D1", 0.5, 5000.0)).spans
    assert found + engine.finish() == expected


def test_more_drivers_than_there_was_room_for():
    engine = Engine(EngineSettings())
    for i in range(600):
        engine.driver_row(f"D{i}")
    assert len(engine.ingest(day(engine, "D599")).spans) == 2


def test_creeping_to_a_halt_is_not_staying_yet():
    """A marker is held for metres at a time; that shows where a driver is shown, not whether he stays."""
    engine = Engine(EngineSettings(stay_after_s=30.0, stay_radius_m=4.0, stay_merge_s=1.0))
    t = np.arange(0.0, 186.0)
    east = np.interp(t, [0, 60, 80, 106, 126, 186], [0, 600, 620, 620, 640, 1240])  # a halt of 26 s
    spans = [*engine.ingest(batch(engine, "D1", t, east)).spans, *engine.finish()]
    assert [type(span) for span in spans] == [Trip]
