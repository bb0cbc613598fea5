import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.eta.pace import learn_pace, shrunk_speed, time_left


@given(st.floats(0, 1e6), st.floats(0.5, 50))
def test_the_quantiles_are_in_order_and_never_negative(metres: float, speed: float) -> None:
    low, middle, high = time_left(np.array([metres]), np.array([speed]))
    assert 0 <= low[0] <= middle[0] < high[0]
    assert middle[0] == pytest.approx(metres / speed)


def test_pace_follows_movement_and_forgets_slowly() -> None:
    pace = np.array([np.nan])
    for _ in range(100):
        pace = learn_pace(pace, np.array([8.0]), np.array([60.0]))
    assert pace[0] == pytest.approx(8.0)
    assert 8.0 < learn_pace(pace, np.array([12.0]), np.array([60.0]))[0] < 8.5


def test_standing_teaches_nothing() -> None:
    assert learn_pace(np.array([8.0]), np.array([0.3]), np.array([600.0])).tolist() == [8.0]
    assert learn_pace(np.array([8.0]), np.array([np.nan]), np.array([0.0])).tolist() == [8.0]
    assert np.isnan(learn_pace(np.array([np.nan]), np.array([0.3]), np.array([600.0])))[0]


def test_an_unknown_pace_is_the_fleets() -> None:
    assert shrunk_speed(np.array([np.nan, 10.0]), 6.0).tolist() == [6.0, 8.0]
