import numpy as np

from geo.beliefs import FilterState
from geo.kalman import update
from tests.geo.test_kalman import METRE, NOISE

DRIVERS, FIXES = 300, 6


def doubted(rows: np.ndarray, state: FilterState) -> np.ndarray:
    """Estimates of drivers who go on, and then are somewhat off, all at once."""
    n = len(rows)
    north = np.arange(FIXES) * 10.0
    north[-1] += 30.0
    time, nothing = np.tile(np.arange(float(FIXES)), n), np.full(n * FIXES, np.nan)
    place = 25.0 + np.tile(north, n) * METRE, np.full(n * FIXES, 121.5)
    return update(
        state, np.repeat(rows, FIXES), time, *place, nothing, nothing, np.full(n * FIXES, 8.0), NOISE
    ).estimate


def unused(state: FilterState) -> set[int]:
    found, slot = set(), int(state.doubts.free[0])
    while slot >= 0:
        found.add(slot)
        slot = int(state.doubts.after[slot])
    return found


def test_any_number_may_be_in_doubt_at_once_each_for_himself() -> None:
    state, alone = FilterState.empty(DRIVERS), FilterState.empty(1)
    estimate, expected = doubted(np.arange(DRIVERS), state), doubted(np.zeros(1, np.int64), alone)
    np.testing.assert_array_equal(estimate, np.tile(expected, DRIVERS))
    assert len(set(state.other.tolist()) - {-1}) == DRIVERS
    assert not set(state.other.tolist()) & unused(state)
    np.testing.assert_array_equal(state.doubts.belief[state.other], np.repeat(alone.doubts.belief[:1], DRIVERS, 0))


def test_whoever_is_forgotten_or_sure_again_frees_his_place() -> None:
    state = FilterState.empty(DRIVERS)
    doubted(np.arange(DRIVERS), state)
    state.forget(np.arange(100))
    assert (state.other[:100] == -1).all()
    assert len(unused(state)) == len(state.doubts.after) - DRIVERS + 100
    rows, nothing = np.arange(100, DRIVERS), np.full(DRIVERS - 100, np.nan)
    later = np.full(DRIVERS - 100, 1e6)  # the filter starts afresh
    here = np.full(DRIVERS - 100, 25.0), np.full(DRIVERS - 100, 121.5)
    update(state, rows, later, *here, nothing, nothing, nothing, NOISE)
    assert len(unused(state)) == len(state.doubts.after)
