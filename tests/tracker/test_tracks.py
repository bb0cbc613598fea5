import numpy as np

from tests.fixes import T0, batch
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.settings import EngineSettings
from tracker.tracks import batch_of, legs, runs_aside


def test_legs_join_each_position_to_the_one_before_it() -> None:
    engine = Engine(EngineSettings())
    whole = batch(engine, ["a", "a", "b"], [0.0, 5.0, 7.0], [0.0, 40.0, 9.0])
    estimate = np.stack([whole.latitude, whole.longitude, *[np.ones(3)] * 3])
    prior = np.full((3, 3), np.nan)
    prior[:, 0] = T0 - 5, 25.0, 121.0
    joined = legs(whole, np.arange(3), estimate, prior)
    assert (joined.t0 - T0).tolist() == [-5.0, 0.0, 7.0]  # b has no past: its leg is a point
    assert joined.latitude0.tolist() == [25.0, whole.latitude[0], whole.latitude[2]]
    assert joined.t1.tolist() == whole.fix_time.tolist()


def test_each_leg_knows_the_newest_fix_that_had_come_in_by_then() -> None:
    engine = Engine(EngineSettings())
    received = T0 + np.array([50.0, 10.0, 50.0, 90.0, 7.0])
    whole = batch(engine, ["a", "a", "a", "a", "b"], [1.0, 2.0, 3.0, 4.0, 5.0], 0.0, received_at=received)
    joined = legs(whole, np.arange(5), np.ones((5, 5)), np.full((3, 5), np.nan))
    assert (joined.newest - T0).tolist() == [3.0, 2.0, 3.0, 4.0, 5.0]
    early = batch(engine, "a", [1.0, 2.0, 3.0], 0.0, received_at=T0 + np.array([50.0, 10.0, 20.0]))
    joined = legs(early, np.arange(3), np.ones((5, 3)), np.full((3, 3), np.nan))
    assert (joined.newest - T0).tolist() == [3.0, 2.0, 3.0]


def test_what_lies_aside_is_sorted_into_runs_of_one_kind() -> None:
    engine = Engine(EngineSettings())
    whole = batch(engine, ["b", "a", "a", "a"], [5.0, 3.0, 1.0, 2.0], 0.0)
    flag = np.array([Flag.LATE, Flag.LATE, Flag.LATE, Flag.OUTLIER], np.uint8)
    track, index = runs_aside(whole, np.arange(4), flag, engine.driver_ids)
    assert list(zip(track.driver_id, track.kind.tolist(), strict=True)) == [("b", 2), ("a", 1), ("a", 2)]
    assert index.tolist() == [0, 3, 2, 1]
    assert (track.fix_time - T0).tolist() == [5.0, 2.0, 1.0, 3.0]


def test_a_track_becomes_a_batch_again() -> None:
    engine = Engine(EngineSettings())
    track = engine.ingest(batch(engine, ["b", "a", "a"], [5.0, 3.0, 4.0], 0.0)).track
    again = batch_of(track, engine.driver_row)
    assert [engine.driver_ids[d] for d in again.driver] == ["b", "a", "a"]
    assert (again.fix_time - T0).tolist() == [5.0, 3.0, 4.0]
