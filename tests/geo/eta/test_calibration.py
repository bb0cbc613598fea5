import numpy as np
import pytest

from geo.eta.calibration import FLOOR_S, PRIOR, Calibration


def test_new_trips_fall_below_the_quantiles_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    expected = rng.uniform(60, 3000, 20_000)
    taken = expected * np.exp(rng.normal(0.05, 0.1 + 60 / expected))
    low, middle, high = Calibration.of(expected[:10_000], taken[:10_000]).quantiles(expected[10_000:]).T

    assert np.mean(taken[10_000:] < low) == pytest.approx(0.1, abs=0.01)
    assert 0.45 < np.mean(taken[10_000:] < middle) < 0.5  # drawn down by the shares that short trips miss by
    assert np.mean(taken[10_000:] <= high) == pytest.approx(0.9, abs=0.01)
    short = expected[10_000:] < 300
    assert np.mean((taken[10_000:] <= high)[short]) == pytest.approx(0.9, abs=0.03)


def test_before_any_trip_the_interval_is_wide_and_narrows_with_trips() -> None:
    rng = np.random.default_rng(0)
    width = []
    for n in (0, 10, 100, 1000):
        expected = np.full(n, 600.0)
        low, _, high = Calibration.of(expected, expected * np.exp(rng.normal(0, 0.1, n))).quantiles(np.array([600.0]))[
            0
        ]
        width.append(high - low)

    assert width == sorted(width, reverse=True)
    assert width[0] == pytest.approx((600 + FLOOR_S) * (np.exp(PRIOR[2]) - np.exp(PRIOR[0])))


def test_quantiles_are_in_order_and_not_negative() -> None:
    seconds = Calibration.empty().quantiles(np.array([0.0, 1.0, 1e6, np.nan]))

    assert (seconds[:3, 0] >= 0).all()
    assert (np.diff(seconds[:3], axis=1) >= 0).all()
    assert np.isnan(seconds[3]).all()
