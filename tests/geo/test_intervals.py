import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.intervals import AT_S, Intervals, cold_intervals, quantiles


def test_cold_intervals_are_wide_and_hold_what_was_reckoned() -> None:
    low, middle, high = quantiles(cold_intervals(), 600.0, 0)
    assert (low, middle, high) == pytest.approx((600 - 0.4 * 660, 600, 600 + 0.7 * 660))
    assert quantiles(cold_intervals(), 0.0, 0) == pytest.approx((0.0, 0.0, 42.0))


def test_between_kept_times_shares_are_interpolated_on_the_logarithm() -> None:
    strayed = np.zeros((2, len(AT_S), 3))
    strayed[0, :, 1] = np.arange(len(AT_S))
    between = float(np.sqrt(AT_S[1] * AT_S[2]))
    _, middle, _ = quantiles(Intervals(strayed), between, 0)
    assert middle == pytest.approx(between + 1.5 * (between + 60))
    assert quantiles(Intervals(strayed), between, 1)[1] == pytest.approx(between)  # through stops it is another matter


@given(st.floats(0, 1e6), st.integers(0, 50))
def test_quantiles_are_in_order_and_never_before_now(reckoned: float, through: int) -> None:
    low, middle, high = quantiles(cold_intervals(), reckoned, through)
    assert 0 <= low <= middle <= high
