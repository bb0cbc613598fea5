import numpy as np
import pytest

from geo.earth import distance, offset
from geo.speeds import CELL_M, HOURS, Speeds, apart, cell_of, flat_speeds, hour_of, pace_at, straight_seconds

HERE = 25.033, 121.565
T0 = 1_760_000_000.0


def with_cell(latitude: float, longitude: float, pace: float) -> Speeds:
    """6 m/s everywhere but in one cell."""
    cell = np.array([cell_of(latitude, longitude)])
    return flat_speeds(6.0, 1.0)._replace(cell=cell, pace=np.full((1, HOURS), pace, np.float32))


def test_a_cell_is_about_as_wide_as_it_is_high_and_has_one_number() -> None:
    for latitude in (-60.0, 0.0, 25.0, 65.0):
        east = np.arange(0.0, 5000.0, 5.0)
        cells = [cell_of(latitude, float(x)) for x in offset(latitude, np.full(len(east), 10.0), east, 0.0)[1]]
        assert len(set(cells)) == pytest.approx(5000 / CELL_M, abs=1.5)
        assert sorted(cells) == cells
    assert cell_of(25.0, 180.0) == cell_of(25.0, -180.0)


def test_the_hour_of_the_week_repeats_after_a_week() -> None:
    assert hour_of(T0) == hour_of(T0 + 7 * 86400) != hour_of(T0 + 3600)
    assert 0 <= hour_of(-1.0) < HOURS


def test_a_known_cell_has_its_own_pace_and_others_the_common_one() -> None:
    speeds = with_cell(*HERE, 0.5)
    assert pace_at(speeds, *HERE, 3) == 0.5
    assert pace_at(speeds, HERE[0] + 0.01, HERE[1], 3) == pytest.approx(1 / 6)


def test_apart_is_the_distance_also_across_the_antimeridian() -> None:
    assert apart(25.0, 179.99, 25.01, -179.99) == pytest.approx(distance(25.0, 179.99, 25.01, -179.99), rel=1e-6)


def test_a_straight_line_takes_as_long_as_the_cells_it_crosses() -> None:
    latitude, longitude = offset(*HERE, 2990.0, 0.0)
    metres, seconds = straight_seconds(flat_speeds(6.0, 1.35), *HERE, float(latitude), float(longitude), T0)
    assert (metres, seconds) == pytest.approx((4036.5, 672.75), rel=1e-3)
    middle = offset(*HERE, 2990 * 3.5 / 6, 0.0)
    slow = with_cell(float(middle[0]), float(middle[1]), 1.0)
    _, slower = straight_seconds(slow, *HERE, float(latitude), float(longitude), T0)
    assert slower == pytest.approx(2990 / 6 + 2990 / 6 * (1 - 1 / 6), rel=1e-3)  # one piece in six


def test_no_way_takes_no_time_and_an_unknown_one_is_not_known() -> None:
    speeds = flat_speeds(6.0, 1.35)
    assert straight_seconds(speeds, *HERE, *HERE, T0) == (0.0, 0.0)
    assert np.isnan(straight_seconds(speeds, *HERE, np.nan, 121.0, T0)).all()
