import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import motion
from geo.motion import acceleration, first, innovation_variance, own_velocity, predict, spread, with_position

NAN = float("nan")
NOTHING = own_velocity(NAN, NAN, 0.5)


def matrices(m: motion.Motion) -> tuple[np.ndarray, np.ndarray]:
    """State (3, 2) and covariance (3, 3): position, velocity, bias."""
    state = np.array([[m.east, m.north], [m.speed_east, m.speed_north], [m.bias_east, m.bias_north]])
    return state, np.array([[m.pp, m.pv, m.pb], [m.pv, m.vv, m.vb], [m.pb, m.vb, m.bb]])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 30), st.floats(-50, 50), st.floats(-50, 50), st.floats(1, 60)), max_size=12),
)
def test_the_six_numbers_are_the_matrices_of_a_kalman_filter(fixes) -> None:
    fix = spread(10.0, 3.5, 2.0)
    m = first(3.0, 4.0, fix, NOTHING)
    state, covariance = matrices(m)
    for dt, east, north, accuracy in fixes:
        fix, q = spread(accuracy, 3.5, 2.0), acceleration(dt, True)
        k = np.exp(-dt / fix.wane_s)
        step = np.array([[1, dt, 0], [0, 1, 0], [0, 0, k]])
        noise = np.array([[q * dt**3 / 3, q * dt**2 / 2, 0], [q * dt**2 / 2, q * dt, 0], [0, 0, 1 - k * k]])
        state, covariance = step @ state, step @ covariance @ step.T + noise
        m = predict(m, dt, fix.wane_s, q)
        look = np.array([1.0, 0.0, fix.bias])
        variance = look @ covariance @ look + fix.white
        assert innovation_variance(m, fix) == pytest.approx(variance, rel=1e-6)
        gain = covariance @ look / variance
        state = state + np.outer(gain, np.array([east, north]) - look @ state)
        covariance = covariance - np.outer(gain, look @ covariance)
        m = with_position(m, east, north, fix)
    for ours, theirs in zip(matrices(m), (state, covariance), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_the_first_fix_is_as_sure_as_it_says() -> None:
    fix = spread(15.15, 3.5, 2.0)
    assert fix.sigma == pytest.approx(10.0)
    assert first(0.0, 0.0, fix, NOTHING).pp == pytest.approx(100.0)
    assert fix.bias**2 + fix.white == pytest.approx(100.0)


def test_a_fix_without_accuracy_hardly_jitters() -> None:
    told, untold = spread(3.5, 3.5, 2.0), spread(NAN, 3.5, 2.0)
    assert told.sigma == untold.sigma
    assert untold.white < 0.01 * told.white


@pytest.mark.parametrize("accuracy", [0.0, -5.0, 1e30, 1e-300, float("inf"), NAN])
def test_no_accuracy_is_too_wild(accuracy: float) -> None:
    fix = spread(accuracy, 3.5, 2.0)
    m = with_position(first(0.0, 0.0, fix, NOTHING), 1.0, 1.0, fix)
    assert np.isfinite(m).all()
    assert fix.white > 0


def test_a_speed_without_a_course_speeds_up_along_the_way() -> None:
    m = first(0.0, 0.0, spread(5.0, 3.5, 2.0), own_velocity(10.0, 90.0, 0.5))
    faster = motion.with_velocity(m, own_velocity(14.0, NAN, 0.5))
    assert 10.0 < faster.speed_east < 14.0
    assert faster.speed_north == pytest.approx(0.0, abs=1e-9)
    assert faster.vv < m.vv


@pytest.mark.parametrize("speed", [-1.0, 1e308, NAN])
def test_an_absurd_speed_tells_nothing(speed: float) -> None:
    own = own_velocity(speed, 90.0, 0.5)
    assert not own.course_told
    assert np.isnan(own.speed)


def test_the_faster_a_device_the_less_its_speed_is_taken_at_its_word() -> None:
    m = first(0.0, 0.0, spread(5.0, 3.5, 2.0), NOTHING)
    slow, fast = (motion.with_velocity(m, own_velocity(speed, 0.0, 0.5)).vv for speed in (3.0, 30.0))
    assert 0.45 < slow < 0.55
    assert fast > 3 * slow
