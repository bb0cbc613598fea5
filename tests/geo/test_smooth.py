import numpy as np
import pytest
from hypothesis import given, settings

from geo.motion import ACCURACY_PER_SIGMA, acceleration, spread
from geo.smooth import smooth
from tests.geo.test_kalman import METRE, NAN, NOISE, columns, drives


def one(t, north, accuracy=NAN, speed=NAN):
    """A driver who goes north."""
    n = len(t)
    fixed = (np.broadcast_to(np.asarray(x, float), n) for x in (speed, NAN, accuracy))
    return smooth(np.zeros(n, np.int64), t, 25.0 + north * METRE, np.full(n, 121.5), *fixed, NOISE)


def test_nothing_is_nothing() -> None:
    found = one(np.empty(0), np.empty(0))
    assert (len(found.outlier), found.estimate.shape) == (0, (5, 0))


def test_it_is_the_smoother_of_the_book() -> None:
    """Against matrices, in metres: forward with predict and update, backward with the gain of Rauch, Tung, Striebel."""
    rng = np.random.default_rng(3)
    t = np.cumsum(rng.uniform(0.5, 4, 40))
    accuracy = rng.uniform(5, 30, 40)
    z = 8 * t + rng.normal(0, 5, 40)
    filtered, predicted, steps = [], [], []
    for i in range(40):
        fix = spread(accuracy[i], NOISE.default_accuracy_m, NOISE.min_accuracy_m)
        look = np.array([1.0, 0.0, fix.bias])
        if i == 0:
            p = np.array([[fix.sigma**2, 0, -fix.bias], [0, 100.0, 0], [-fix.bias, 0, 1.0]])
            filtered.append((np.array([z[0], 0, 0]), p))
            continue
        dt = t[i] - t[i - 1]
        q, k = acceleration(dt, True), np.exp(-dt / fix.wane_s)
        step = np.array([[1, dt, 0], [0, 1, 0], [0, 0, k]])
        noise = np.array([[q * dt**3 / 3, q * dt**2 / 2, 0], [q * dt**2 / 2, q * dt, 0], [0, 0, 1 - k * k]])
        x, p = step @ filtered[-1][0], step @ filtered[-1][1] @ step.T + noise
        predicted.append((x, p))
        steps.append(step)
        gain = p @ look / (look @ p @ look + fix.white)
        filtered.append((x + gain * (z[i] - look @ x), p - np.outer(gain, look @ p)))
    x, p = filtered[-1]
    expected = [(x, p)]
    for i in range(38, -1, -1):
        gain = filtered[i][1] @ steps[i].T @ np.linalg.inv(predicted[i][1])
        x = filtered[i][0] + gain @ (x - predicted[i][0])
        p = filtered[i][1] + gain @ (p - predicted[i][1]) @ gain.T
        expected.insert(0, (x, p))
    found = one(t, z / (METRE * 110_773.2), accuracy)  # metres of a degree at 25 north
    assert not found.outlier.any()
    north = (found.estimate[0] - 25.0) * 110_773.2
    np.testing.assert_allclose(north, [x[0] for x, _ in expected], atol=0.01)
    np.testing.assert_allclose(found.estimate[2], [abs(x[1]) for x, _ in expected], atol=0.01)
    np.testing.assert_allclose(found.estimate[4], [np.sqrt(p[0, 0]) for _, p in expected], rtol=1e-3)


def test_it_is_nearer_the_truth_than_the_fixes_and_knows_how_near() -> None:
    rng = np.random.default_rng(2)
    t = np.arange(300.0)
    z = 8 * t + rng.normal(0, 0.7 * 10 / ACCURACY_PER_SIGMA, 300)
    found = one(t, z, 10.0)
    error = (found.estimate[0] - 25.0) / METRE - 8 * t * 1.0
    assert np.std(error) < 0.5 * np.std(z - 8 * t)


def test_an_outlier_lies_where_the_others_say() -> None:
    t = np.arange(60.0)
    found = one(t, 10 * t + 200 * (t == 30))
    assert np.flatnonzero(found.outlier).tolist() == [30]
    assert found.estimate[0, 30] == pytest.approx(25.0 + 300 * METRE, abs=1 * METRE)


def test_a_jump_that_stays_is_not_smeared() -> None:
    t = np.arange(40.0)
    found = one(t, 10 * t + 5000 * (t >= 20))
    error = (found.estimate[0] - 25.0) / METRE - (10 * t + 5000 * (t >= 20))
    assert np.abs(error).max() < 5


def test_standing_is_one_place() -> None:
    rng = np.random.default_rng(1)
    t = np.arange(120.0)
    north = np.minimum(10 * t, 300) + rng.normal(0, 0.05, 120)
    found = one(t, north)
    assert np.ptp(found.estimate[0, 40:]) == 0
    assert found.estimate[2, 60] == 0


@settings(deadline=None)
@given(drives)
def test_many_drivers_are_the_same_as_each_alone_and_never_nan(drives) -> None:
    whole = columns(drives)
    together = smooth(*whole, NOISE)
    for row in range(len(drives)):
        mine = whole[0] == row
        alone = smooth(*(column[mine] for column in whole), NOISE)
        np.testing.assert_array_equal(together.outlier[mine], alone.outlier)
        np.testing.assert_allclose(together.estimate[:, mine], alone.estimate, rtol=1e-9, atol=1e-9)
    assert np.isfinite(together.estimate[[0, 1, 2, 4]]).all()
