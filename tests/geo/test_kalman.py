import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import kalman
from geo.beliefs import FilterState
from geo.kalman import ACCURACY_PER_SIGMA, Noise, update

NOISE = Noise(
    default_accuracy_m=3.5,
    min_accuracy_m=2.0,
    outlier_share=0.01,
    outlier_patience=3.0,
    filter_reset_s=120.0,
    still_speed_mps=0.5,
)
METRE = 1 / 111_000  # degrees of latitude, near enough
NAN = np.nan


def run(fixes, state=None, noise=NOISE):
    """Feed (t, north_m, speed, course, accuracy) rows to one driver; returns outlier flags and estimates (5, n)."""
    t, north, speed, course, accuracy = np.array(fixes, float).T
    place = 25.0 + north * METRE, np.full(len(t), 121.5)
    rows = np.zeros(len(t), np.int64)
    found = update(state or FilterState.empty(1), rows, t, *place, speed, course, accuracy, noise)
    return found.outlier.tolist(), found.estimate


def test_the_first_fix_is_believed_as_it_is() -> None:
    flags, estimate = run([(0, 0, NAN, NAN, 10)])
    assert flags == [False]
    assert estimate[:2, 0].tolist() == [25.0, 121.5]
    assert estimate[4, 0] == pytest.approx(10 / ACCURACY_PER_SIGMA, rel=0.3)


def test_a_jump_is_an_outlier_and_moves_nothing() -> None:
    flags, estimate = run([(t, 10 * t + (300 if t == 8 else 0), 10, 0, 5) for t in range(12)])
    assert flags == [t == 8 for t in range(12)]
    assert estimate[0, 8] == pytest.approx(25.0 + 80 * METRE, abs=5 * METRE)  # the prediction stands in
    assert estimate[0, 11] == pytest.approx(25.0 + 110 * METRE, abs=5 * METRE)


def test_three_jumps_in_a_row_are_the_new_truth() -> None:
    flags, estimate = run([(t, 0 if t < 5 else 5000, NAN, NAN, 5) for t in range(10)])
    assert flags == [False] * 5 + [True] * 2 + [False] * 3
    assert estimate[0, 9] == pytest.approx(25.0 + 5000 * METRE, abs=5 * METRE)


def test_after_a_long_gap_the_filter_starts_afresh() -> None:
    flags, estimate = run([(0, 0, NAN, NAN, 5), (121, 90_000, NAN, NAN, 5)])
    assert flags == [False, False]
    assert estimate[0, 1] == 25.0 + 90_000 * METRE


def test_a_standing_driver_stands_still() -> None:
    rng = np.random.default_rng(1)
    _, estimate = run([(t, rng.normal(0, 1.5), 0.0, NAN, 8) for t in range(60)])
    assert np.ptp(estimate[0]) / METRE < 0.01


def test_noise_that_a_device_admits_is_smoothed() -> None:
    rng = np.random.default_rng(2)
    truth = np.arange(120) * 8.0
    fixes = truth + rng.normal(0, 10 / ACCURACY_PER_SIGMA, 120)
    _, estimate = run([(t, fixes[t], 8.0, 0.0, 10) for t in range(120)])
    error = (estimate[0] - 25.0) / METRE - truth
    assert np.std(error[20:]) < 0.5 * np.std(fixes[20:] - truth[20:])


def test_course_and_speed_come_from_the_device_or_the_movement() -> None:
    _, estimate = run([(t, -12 * t, NAN, NAN, 4) for t in range(10)])
    assert estimate[2, -1] == pytest.approx(12, abs=1)
    assert estimate[3, -1] == pytest.approx(180, abs=1)
    _, estimate = run([(t, -12 * t, 11.0, 175.0, 4) for t in range(10)])
    assert estimate[2:4, -1].tolist() == [11.0, 175.0]


def test_the_antimeridian_is_no_border() -> None:
    longitude = np.array([179.9998, 179.9999, -180.0, -179.9999, -179.9998])
    nothing = np.full(5, NAN)
    columns = np.arange(5.0), np.zeros(5), longitude, nothing, nothing, np.full(5, 5.0)
    outlier, estimate, *_ = update(FilterState.empty(1), np.zeros(5, np.int64), *columns, NOISE)
    assert not outlier.any()
    assert (abs(abs(estimate[1]) - 180) < 0.001).all()
    assert ((estimate[1] >= -180) & (estimate[1] <= 180)).all()


def test_what_stays_where_a_jump_went_was_no_outlier() -> None:
    t = np.arange(30.0)
    north = 10 * t + np.where(t >= 15, 40.0, 0.0)  # an uncertain fix, then more of its kind
    rows, nothing = np.zeros(30, np.int64), np.full(30, NAN)
    accuracy = np.full(30, 15.0)
    found = update(
        FilterState.empty(1), rows, t, 25.0 + north * METRE, np.full(30, 121.5), nothing, nothing, accuracy, NOISE
    )
    final = found.outlier.copy()
    final[np.searchsorted(t, found.revised_time)] = found.revised
    assert not final.any()
    assert (found.revised_time < t[found.revised_by]).all()
    assert (found.revised_time >= t[found.revised_by] - 2).all()


def test_a_revised_judgement_is_told_with_its_fix() -> None:
    rng = np.random.default_rng(5)
    t = np.arange(0.0, 3000.0, 10.0)
    outlier = rng.random(300) < 0.1
    north = 9 * t + rng.normal(0, 3, 300) + outlier * rng.uniform(80, 400, 300) * rng.choice([-1, 1], 300)
    nothing = np.full(300, NAN)
    rows = np.zeros(300, np.int64)
    place = 25.0 + north * METRE, np.full(300, 121.5)
    found = update(FilterState.empty(1), rows, t, *place, nothing, nothing, np.full(300, 8.0), NOISE)
    final = found.outlier.copy()
    for when, is_one in zip(found.revised_time, found.revised, strict=True):
        final[np.searchsorted(t, when)] = is_one
    assert len(found.revised)
    assert (final != outlier).sum() < (found.outlier != outlier).sum()
    assert (final != outlier).mean() < 0.02


def test_sigma_holds_two_thirds_of_the_errors_of_noise_as_it_is_modelled() -> None:
    rng = np.random.default_rng(6)
    n, sigma = 4000, 10 / ACCURACY_PER_SIGMA
    bias, velocity = np.empty(n), np.empty(n)
    bias[0], velocity[0] = rng.normal(), 0.0
    for i in range(1, n):
        bias[i] = np.exp(-1 / 20) * bias[i - 1] + np.sqrt(1 - np.exp(-1 / 10)) * rng.normal()
        velocity[i] = 0.99 * velocity[i - 1] + rng.normal(0, np.sqrt(0.5))
    truth = np.cumsum(velocity)
    north = truth + sigma * (0.7 * rng.normal(size=n) + np.sqrt(0.51) * bias)
    _, estimate = run([(i, north[i], NAN, NAN, 10) for i in range(n)])
    inside = np.abs((estimate[0] - 25.0) / METRE - truth) < estimate[4]
    assert 0.6 < inside.mean() < 0.76


def test_a_driver_whose_device_tells_no_speed_stands_still_too_and_leaves_again() -> None:
    rng = np.random.default_rng(1)
    t = np.arange(90.0)
    north = np.cumsum(np.interp(t, [15, 20, 60, 65], [10.0, 0.0, 0.0, 10.0])) + rng.normal(0, 0.1, 90)
    flags, estimate = run([(s, north[int(s)], NAN, NAN, NAN) for s in t])
    assert not any(flags)
    assert np.ptp(estimate[0, 25:60]) / METRE < 0.01
    assert (estimate[2, 25:60] == 0).all()
    assert estimate[0, 89] == pytest.approx(25.0 + north[89] * METRE, abs=2 * METRE)


fix = st.tuples(
    st.floats(0.001, 500),
    st.floats(-1e4, 1e4),
    st.floats(0, 60) | st.just(NAN),
    st.floats(0, 359.9) | st.just(NAN),
    st.floats(0, 1e4) | st.just(NAN),
)


drives = st.lists(st.lists(fix, min_size=1, max_size=8), min_size=1, max_size=4)


def columns(drives):
    """Columns by driver, then time."""
    rows = np.repeat(np.arange(len(drives)), [len(drive) for drive in drives])
    dt, north, speed, course, accuracy = np.array([fix for drive in drives for fix in drive]).T
    time = np.concatenate([np.cumsum(dt[rows == row]) for row in range(len(drives))])
    return [rows, time, 25.0 + north * METRE, np.full(len(rows), 121.5), speed, course, accuracy]


@settings(deadline=None)  # compiles on first use
@given(drives, st.randoms(use_true_random=False))
def test_any_split_into_calls_gives_the_same_bits_and_never_nan(drives, random) -> None:
    whole = columns(drives)
    state = FilterState.empty(len(drives))
    outlier, estimate, free, revised_by, revised_time, revised = update(state, *whole, NOISE)
    part = np.array([random.randrange(3) for _ in whole[0]])
    for row in range(len(drives)):
        part[whole[0] == row] = np.sort(part[whole[0] == row])
    again, parts = FilterState.empty(len(drives)), []
    for number in range(3):
        index = np.flatnonzero(part == number)
        parts.append((index, *update(again, *(column[index] for column in whole), NOISE)))
    revisions = []
    for index, outlier_part, estimate_part, free_part, by, time, to in parts:
        np.testing.assert_array_equal(outlier_part, outlier[index])
        np.testing.assert_array_equal(estimate_part, estimate[:, index])
        np.testing.assert_array_equal(free_part, free[:, index])
        revisions += zip(index[by].tolist(), time.tolist(), to.tolist(), strict=True)
    assert sorted(revisions) == sorted(zip(revised_by.tolist(), revised_time.tolist(), revised.tolist(), strict=True))
    for name in ("place", "belief", "shown"):
        np.testing.assert_array_equal(getattr(again, name), getattr(state, name))
    np.testing.assert_array_equal(again.other >= 0, state.other >= 0)
    doubted = state.other >= 0
    np.testing.assert_array_equal(again.doubts.belief[again.other[doubted]], state.doubts.belief[state.other[doubted]])
    assert np.isfinite(estimate[[0, 1, 2, 4]]).all() and np.isfinite(free).all()


@settings(deadline=None, max_examples=25)
@given(drives)
def test_compiled_and_plain_python_agree(drives) -> None:
    whole, plain = columns(drives), FilterState.empty(len(drives))
    n = len(whole[0])
    found = update(FilterState.empty(len(drives)), *whole, NOISE)
    outlier, estimate, free = np.empty(n, np.bool_), np.empty((5, n)), np.empty((2, n))
    by, time, to = np.empty(2 * n, np.int64), np.empty(2 * n), np.empty(2 * n, np.bool_)
    plain.doubts.grow()
    _, count = kalman._advance.py_func(
        0, 0, plain.place, plain.belief, plain.other, plain.shown,
        plain.doubts.belief, plain.doubts.after, plain.doubts.free,
        *whole, NOISE, np.empty((4, 15)), kalman.Updated(outlier, estimate, free, by, time, to),
    )  # fmt: skip
    np.testing.assert_array_equal(outlier, found.outlier)
    np.testing.assert_allclose(estimate, found.estimate, rtol=1e-9)
    np.testing.assert_allclose(free, found.free, rtol=1e-9)
    assert (by[:count].tolist(), to[:count].tolist()) == (found.revised_by.tolist(), found.revised.tolist())
