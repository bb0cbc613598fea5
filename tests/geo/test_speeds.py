import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.earth import distance, offset
from geo.speeds import (
    ANY,
    CELL_M,
    HEADINGS,
    HOURS,
    Speeds,
    apart,
    cell_of,
    flat_speeds,
    heading_of,
    hour_of,
    known_speeds,
    pace_at,
    row_of,
    straight_seconds,
)

HERE = 25.033, 121.565
T0 = 1_760_000_000.0


def with_cell(latitude: float, longitude: float, pace: float) -> Speeds:
    """6 m/s everywhere but in one cell."""
    cell = np.array([cell_of(latitude, longitude)])
    return known_speeds(cell, np.full((HOURS, 1), pace), np.ones((HEADINGS, 1)), np.full(HOURS, 1 / 6), 1.0)


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
    assert pace_at(speeds, *HERE, 3, ANY) == pace_at(speeds, *HERE, 3, 2) == 0.5
    assert pace_at(speeds, HERE[0] + 0.01, HERE[1], 3, 2) == pytest.approx(1 / 6)


def test_a_way_through_a_cell_has_its_own_pace() -> None:
    cell, heading = np.array([cell_of(*HERE)]), np.array([[0.5], [1.0], [2.0], [4.0]])
    speeds = known_speeds(cell, np.full((HOURS, 1), 0.2), heading, np.full(HOURS, 1 / 6), 1.0)
    found = [pace_at(speeds, *HERE, 3, heading) for heading in (0, 1, 2, 3, ANY)]
    assert found == pytest.approx([0.1, 0.2, 0.4, 0.8, 0.2])


@pytest.mark.parametrize("latitude", [-60.0, 0.0, 25.0, 65.0])
def test_a_heading_is_the_nearest_of_four_everywhere(latitude: float) -> None:
    for degrees in range(-44, 316, 4):
        angle = np.radians(degrees)
        end = offset(latitude, 180.0, 30.0 * np.cos(angle), 30.0 * np.sin(angle))
        assert heading_of(latitude, 180.0, *map(float, end)) == (degrees + 45) // 90
    assert heading_of(latitude, 10.0, latitude, 10.0) == ANY
    assert heading_of(latitude, 10.0, np.nan, 10.0) == ANY


def test_apart_is_the_distance_also_across_the_antimeridian() -> None:
    assert apart(25.0, 179.99, 25.01, -179.99) == pytest.approx(distance(25.0, 179.99, 25.01, -179.99), rel=1e-6)


def test_a_straight_line_takes_as_long_as_the_cells_it_crosses() -> None:
    latitude, longitude = offset(*HERE, 2990.0, 0.0)
    metres, seconds = straight_seconds(flat_speeds(6.0, 1.35), *HERE, float(latitude), float(longitude), 3)
    assert (metres, seconds) == pytest.approx((4036.5, 672.75), rel=1e-3)
    middle = offset(*HERE, 2990 * 3.5 / 6, 0.0)
    slow = with_cell(float(middle[0]), float(middle[1]), 1.0)
    _, slower = straight_seconds(slow, *HERE, float(latitude), float(longitude), 3)
    assert slower == pytest.approx(2990 / 6 + 2990 / 6 * (1 - 1 / 6), rel=1e-3)  # one piece in six


def test_no_way_takes_no_time_and_an_unknown_one_is_not_known() -> None:
    speeds = flat_speeds(6.0, 1.35)
    assert straight_seconds(speeds, *HERE, *HERE, 3) == (0.0, 0.0)
    assert np.isnan(straight_seconds(speeds, *HERE, np.nan, 121.0, 3)).all()


@given(st.sets(st.tuples(st.integers(-300, 300), st.integers(0, 100_000)), max_size=60))
def test_every_known_cell_is_found_and_no_other(cells: set[tuple[int, int]]) -> None:
    numbers = np.array(sorted((row << 32) + column for row, column in cells), np.int64)
    pace = np.tile(np.arange(len(numbers)) + 1.0, (HOURS, 1))
    speeds = known_speeds(numbers, pace, np.ones((HEADINGS, len(numbers))), np.full(HOURS, 0.5), 1.0)
    assert [row_of(speeds, cell) for cell in numbers.tolist()] == list(range(len(numbers)))
    assert all(row_of(speeds, cell + 1) == -1 for cell in numbers.tolist() if cell + 1 not in numbers)
