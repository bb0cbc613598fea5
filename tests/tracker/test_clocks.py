"""A wrong clock is seen, harms nobody's other fixes, and is forgotten once it is set right."""

import numpy as np
import pytest

from tests.fixes import T0, batch
from tracker import clocks
from tracker.clocks import AHEAD, IN_TIME, STEADY
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()


def told(ahead: list[float], received: list[float]) -> np.ndarray:
    """The clock after messages that came at these seconds, made by a clock so far ahead as each says."""
    engine, clock, newest = Engine(SETTINGS), clocks.empty(1), np.full(1, -np.inf)
    for said, at in zip(ahead, received, strict=True):
        one = batch(engine, "d", at, 0.0, received_at=T0 + at)
        one.sent_at[0] = T0 + at + said
        clocks.follow(one, clock, newest, 60.0)
    return clock[0]


def test_of_several_messages_the_least_delayed_tells_the_clock() -> None:
    clock = told([-40.0, -12.0, -10.0, -31.0], [0.0, 1.0, 2.0, 3.0])
    assert clock[AHEAD] == pytest.approx(-10.0, abs=0.1)
    assert clock[STEADY] == 0  # no two in turn agree


def test_messages_in_turn_that_agree_make_sure() -> None:
    assert told([-3600.0, -3601.0, -3600.5, -3600.2], [0.0, 10.0, 20.0, 30.0])[STEADY] == 3
    assert told([-3600.0] * 4, [0.0, 0.1, 0.2, 0.3])[STEADY] == 0  # all of one moment, as from a queue


def test_a_clock_set_right_is_so_at_once() -> None:
    clock = told([-3600.0, -3600.0, -3600.0, -3600.0, 0.5], [0.0, 10.0, 20.0, 30.0, 40.0])
    assert (clock[AHEAD], clock[STEADY]) == (0.5, 0)


def test_without_sent_at_only_a_fix_from_the_future_tells() -> None:
    engine, clock, newest = Engine(SETTINGS), clocks.empty(1), np.full(1, -np.inf)
    clocks.follow(batch(engine, "d", 0.0, 0.0, received_at=T0 + 100), clock, newest, 60.0)
    assert np.isnan(clock[0, AHEAD])
    clocks.follow(batch(engine, "d", 140.0, 0.0, received_at=T0 + 100), clock, newest, 60.0)
    assert clock[0, AHEAD] == 40.0
    clocks.follow(
        batch(engine, "d", 4000.0, 0.0, received_at=T0 + 101), clock, newest, 60.0
    )  # refused: no clock drifts so
    assert 39.0 < clock[0, AHEAD] < 40.0


@pytest.mark.parametrize("ahead", [20.0, 50.0, 3600.0])
def test_a_clock_that_was_ahead_and_is_set_right_does_not_pin_the_driver(ahead: float) -> None:
    engine = Engine(EngineSettings(future_limit_s=7200.0))
    live = np.arange(10.0)
    engine.ingest(batch(engine, "d", live, live * 10, accuracy=5.0))
    wrong = batch(engine, "d", live + 10 + ahead, 100 + live * 10, accuracy=5.0, received_at=T0 + 10 + live)
    engine.ingest(wrong)
    after = batch(engine, "d", live + 20, 200 + live * 10, accuracy=5.0, received_at=T0 + 29.5)
    updates = engine.ingest(after)
    assert updates.flag.tolist() == [Flag.ACCEPTED] * 10
    assert engine.latest()[0].fix_time == T0 + 29
    assert len(updates.track) == 0  # older than what is stored, so the store has to compare
    assert (updates.aside.fix_time - T0).tolist() == (live + 20).tolist()
    again = engine.ingest(batch(engine, "d", 30.0, 300.0, accuracy=5.0))
    assert again.flag.tolist() == [Flag.ACCEPTED]


def test_what_was_told_before_the_clock_went_wrong_is_not_told_again() -> None:
    engine = Engine(SETTINGS)
    engine.ingest(batch(engine, "d", [0.0, 5.0], 0.0))
    engine.ingest(batch(engine, "d", 50.0, 0.0, received_at=T0 + 10))
    flags = engine.ingest(batch(engine, "d", [3.0, 5.0, 8.0, 12.0], 0.0, received_at=T0 + 13)).flag
    assert flags.tolist() == [Flag.LATE, Flag.DUPLICATE, Flag.ACCEPTED, Flag.ACCEPTED]


def test_a_clock_that_stays_a_little_ahead_changes_nothing() -> None:
    def run(ahead: float) -> list[float]:
        engine, estimates = Engine(SETTINGS), []
        for t in range(60):
            fix = batch(engine, "d", t + ahead, t * 10.0, accuracy=5.0, received_at=T0 + t + 0.3)
            estimates += engine.ingest(fix).longitude.tolist()
        return estimates

    np.testing.assert_allclose(run(45.0), run(0.0), rtol=0, atol=1e-9)


def test_a_restart_does_not_bring_a_wrong_time_back() -> None:
    engine = Engine(EngineSettings(future_limit_s=7200.0))
    track = engine.ingest(batch(engine, "d", [0.0, 3600.0], 0.0, received_at=T0 + 1)).track
    after = Engine(SETTINGS)
    after.restore(orders=[], geofences=[], routes=[], inside=[], tails=track, newest=[("d", T0 + 3600)])
    assert after.ingest(batch(after, "d", 10.0, 0.0, received_at=T0 + 11)).flag.tolist() == [Flag.ACCEPTED]
    assert after.ingest(batch(after, "d", 11.0, 0.0, received_at=T0 + 12)).flag.tolist() == [Flag.ACCEPTED]


def test_a_clock_that_is_behind_is_told_to_be_set_once_that_is_sure() -> None:
    engine = Engine(SETTINGS)

    def send(t: float, behind: float, fix_time: float | None = None) -> int:
        one = batch(engine, "d", t - behind if fix_time is None else fix_time, 0.0, received_at=T0 + t)
        one.sent_at[0] = T0 + t - behind
        return int(engine.ingest(one).flag[0])

    assert [send(t, 3600.0) for t in (0.0, 10.0, 20.0)] == [Flag.ACCEPTED] * 3
    assert send(30.0, 3600.0) == Flag.CLOCK_WRONG
    assert send(40.0, 3600.0, fix_time=39.0) == Flag.ACCEPTED  # its time is a satellite's
    assert send(50.0, 0.0) == Flag.ACCEPTED  # set right
    assert send(51.0, 200.0) == Flag.LATE  # a delay says nothing of the clock


def test_in_time_is_the_newest_fix_that_was_not_from_the_future() -> None:
    engine = Engine(SETTINGS)
    engine.ingest(batch(engine, "d", [0.0, 7.0, 40.0], 0.0, received_at=T0 + 8))
    assert engine._drivers.clock[0, IN_TIME] == T0 + 7


def test_when_our_own_clock_was_wrong_and_is_set_back_nobody_is_told_to_set_theirs() -> None:
    engine = Engine(SETTINGS)

    def send(t: float, ours: float) -> int:
        one = batch(engine, "d", t, 0.0, received_at=T0 + t + ours)
        one.sent_at[0] = T0 + t
        return int(engine.ingest(one).flag[0])

    assert [send(t, 3600.0) for t in (0.0, 10.0, 20.0, 30.0)] == [Flag.ACCEPTED] * 3 + [Flag.CLOCK_WRONG]
    assert send(40.0, 0.0) == Flag.ACCEPTED
