import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.kalman import ACCURACY_PER_SIGMA, FilterState, Noise, update

NOISE = Noise(
    default_accuracy_m=5.0,
    min_accuracy_m=2.0,
    outlier_gate=16.0,
    outlier_patience=3,
    filter_reset_s=120.0,
    still_speed_mps=0.5,
)
METRE = 1 / 111_000  # degrees of latitude, near enough
NAN = np.nan


def run(fixes, state=None, noise=NOISE):
    """Feed (t, north_m, speed, course, accuracy) rows to one driver; returns outlier flags and estimates (5, n)."""
    state = state or FilterState.empty(1)
    flags, estimates = [], []
    for t, north, speed, course, accuracy in fixes:
        columns = [np.array([x], float) for x in (t, 25.0 + north * METRE, 121.5, speed, course, accuracy)]
        outlier, estimate = update(state, np.array([0]), *columns, noise)
        flags.append(bool(outlier[0]))
        estimates.append(estimate[:, 0])
    return flags, np.array(estimates).T


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
    state = FilterState.empty(1)
    for t, longitude in enumerate([179.9998, 179.9999, -180.0, -179.9999, -179.9998]):
        columns = [np.array([x], float) for x in (t, 0.0, longitude, NAN, NAN, 5)]
        outlier, estimate = update(state, np.array([0]), *columns, NOISE)
        assert not outlier[0]
        assert abs(abs(estimate[1, 0]) - 180) < 0.001
        assert -180 <= estimate[1, 0] <= 180


fix = st.tuples(
    st.floats(0.001, 500),
    st.floats(-1e4, 1e4),
    st.floats(0, 60) | st.just(NAN),
    st.floats(0, 359.9) | st.just(NAN),
    st.floats(0, 1e4) | st.just(NAN),
)


@given(st.lists(st.lists(fix, min_size=1, max_size=8), min_size=1, max_size=4))
def test_many_drivers_at_once_are_the_same_as_each_alone_and_never_nan(drivers) -> None:
    together = FilterState.empty(len(drivers))
    clocks = np.zeros(len(drivers))
    singles = [run([(sum(f[0] for f in d[: i + 1]), *d[i][1:]) for i in range(len(d))])[1] for d in drivers]
    for i in range(max(map(len, drivers))):
        rows = np.array([r for r, d in enumerate(drivers) if i < len(d)])
        _, north, speed, course, accuracy = np.array([drivers[r][i] for r in rows]).T
        clocks[rows] = [sum(f[0] for f in drivers[r][: i + 1]) for r in rows]
        _, estimate = update(
            together,
            rows,
            clocks[rows],
            25.0 + north * METRE,
            np.full(len(rows), 121.5),
            speed,
            course,
            accuracy,
            NOISE,
        )
        for k, r in enumerate(rows):
            np.testing.assert_array_equal(estimate[:, k], singles[r][:, i])
        assert np.isfinite(estimate[[0, 1, 2, 4]]).all()
