import numpy as np
import pytest

from tests.fixes import T0, batch
from tracker import liveness
from tracker.drivers import Latest
from tracker.engine import Engine
from tracker.records import Track
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()


@pytest.mark.parametrize(
    ("age_s", "status", "since"),
    [
        (-5, "live", -50),
        (59.9, "live", -50),
        (60, "late", 60),
        (299.9, "late", 60),
        (300, "silent", 300),
        (1e9, "silent", 300),
    ],
)
def test_a_silent_driver_is_shown_as_silent(age_s: float, status: str, since: float):
    driver = Latest("D1", T0, 25.0, 121.0, 8.0, 45.0, 5.0, False, live_since=T0 - 50)
    assert liveness.of(driver, T0 + age_s, SETTINGS) == liveness.Liveness("D1", status, T0 + since, T0)


def changes(engine: Engine, now: float) -> list[tuple[str, str, float]]:
    return [(found.driver_id, found.status, found.since - T0) for found in engine.changed_liveness(T0 + now)]


def test_each_change_is_told_once_with_when_it_was():
    engine = Engine(SETTINGS)
    engine.driver_row("never seen")
    engine.ingest(batch(engine, ["a", "b"], [0, 50], 0.0))
    assert changes(engine, 50) == [("a", "live", 0), ("b", "live", 50)]
    assert changes(engine, 59.9) == []
    assert changes(engine, 70) == [("a", "late", 60)]
    engine.ingest(batch(engine, "b", 75, 0.0))
    assert changes(engine, 320) == [("a", "silent", 300), ("b", "late", 135)]
    engine.ingest(batch(engine, "a", 321, 0.0))
    assert changes(engine, 321) == [("a", "live", 321)]
    assert engine.latest(["a"])[0].live_since == T0 + 321
    assert changes(engine, 322) == []


def test_what_was_told_before_a_restart_is_not_told_again():
    engine = Engine(SETTINGS)
    tails = Track.empty()
    engine.restore(orders=(), geofences=(), routes=(), inside=(), tails=tails, newest=[("a", T0)])
    engine.ingest(batch(engine, "a", 1, 0.0))
    assert changes(engine, 1) == [("a", "live", 1)], "of whom nothing is followed yet is told like a new one"
    before = Engine(SETTINGS)
    track = before.ingest(batch(before, "b", np.arange(5.0), 0.0)).track
    engine = Engine(SETTINGS)
    engine.restore(orders=(), geofences=(), routes=(), inside=(), tails=track)
    assert changes(engine, 100) == []
    assert changes(engine, 305) == [("b", "silent", 304)]
