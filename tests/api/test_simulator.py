"""Simulated drives are physically plausible, and the same for the same seed."""

import numpy as np
import pytest

from api.simulator import ACCELERATION, CRUISE, NOISE, NOISE_S, drive, measure
from geo.earth import distance

DEPOT = (25.0478, 121.5318)
TOWER = (25.0338, 121.5645)

seeds = pytest.mark.parametrize("seed", range(5))


def trip(seed, start=DEPOT, end=TOWER, **options):
    return drive(start, end, np.random.default_rng(seed), **options)


@seeds
def test_a_drive_begins_and_ends_where_it_should(seed):
    way = trip(seed, stay_s=30)
    assert (way.latitude[0], way.longitude[0]) == pytest.approx(DEPOT, abs=1e-6)
    assert (way.latitude[-1], way.longitude[-1]) == pytest.approx(TOWER, abs=1e-6)
    assert (way.speed[-30:] == 0).all()


@seeds
def test_speed_and_acceleration_are_those_of_a_car_in_a_city(seed):
    way = trip(seed)
    assert 0 <= way.speed.min() <= way.speed.max() <= CRUISE[1]
    assert np.abs(np.diff(way.speed)).max() <= ACCELERATION + 1e-9
    moved = distance(way.latitude[:-1], way.longitude[:-1], way.latitude[1:], way.longitude[1:])
    assert moved.max() <= CRUISE[1] + 0.1
    assert np.count_nonzero(way.speed == 0) > 60  # the stay, and red lights


@seeds
def test_positions_follow_speed_and_course(seed):
    way = trip(seed, stay_s=0)
    moved = distance(way.latitude[:-1], way.longitude[:-1], way.latitude[1:], way.longitude[1:])
    assert moved.sum() == pytest.approx(way.speed.sum(), rel=0.03)
    straight = distance(*DEPOT, *TOWER)
    assert straight <= moved.sum() <= 1.5 * straight


def test_a_course_points_where_the_car_goes():
    north = trip(0, end=(DEPOT[0] + 0.01, DEPOT[1]), stay_s=0)
    assert north.course == pytest.approx(0.0)
    west = trip(0, end=(DEPOT[0], DEPOT[1] - 0.01), stay_s=0)
    assert west.course == pytest.approx(270.0)


def test_there_is_a_drive_to_where_one_is_already():
    way = trip(0, end=DEPOT, stay_s=5)
    assert np.isfinite([way.latitude, way.longitude, way.speed, way.course]).all()
    assert 5 <= len(way) <= 10


@seeds
def test_a_phone_measures_with_the_error_it_has(seed):
    way = trip(seed, stay_s=3000)
    fixes = measure(way, np.random.default_rng(seed), start_time=1000.0, every_s=2)
    assert [fix.timestamp for fix in fixes] == [1000.0 + i for i in range(0, len(way), 2)]
    north = distance(way.latitude[::2], way.longitude[::2], [f.latitude for f in fixes], way.longitude[::2])
    assert np.median(north) == pytest.approx(0.674 * NOISE, rel=0.4)
    assert max(north) > 5 * NOISE  # a reflection
    assert all(fix.accuracy > 0 and fix.speed >= 0 and (fix.heading is None or 0 <= fix.heading < 360) for fix in fixes)


def test_errors_are_alike_for_a_while():
    still = trip(0, end=DEPOT, stay_s=20_000)
    fixes = measure(still, np.random.default_rng(0), start_time=0.0, every_s=1)
    north = np.array([fix.latitude for fix in fixes]) - DEPOT[0]
    north = north[np.abs(north) < 4 * NOISE / 111_000]
    lag = int(NOISE_S)
    assert np.corrcoef(north[:-1], north[1:])[0, 1] > 0.9
    assert np.corrcoef(north[:-lag], north[lag:])[0, 1] == pytest.approx(np.exp(-1), abs=0.15)


def test_the_same_seed_gives_the_same_drive_and_fixes():
    ways = [trip(7) for _ in range(2)]
    np.testing.assert_array_equal(ways[0].latitude, ways[1].latitude)
    fixes = [measure(way, np.random.default_rng(7), start_time=0.0) for way in ways]
    assert fixes[0] == fixes[1]
    assert not np.array_equal(trip(8).longitude[:100], ways[0].longitude[:100])
