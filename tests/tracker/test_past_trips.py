from dataclasses import replace

import numpy as np
import pytest

from geo.eta import Model, Trips
from geo.intervals import cold_intervals, quantiles
from geo.speeds import heading_of, hour_of, pace_at
from tests import towns
from tracker.corridors import between
from tracker.learning import Learned
from tracker.past_trips import learned_of
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()
MONDAY_S = 4 * 86_400.0


def learned_from(trips: Trips, seconds: np.ndarray) -> Learned:
    return learned_of(Model.fit(trips, seconds), trips, seconds, MONDAY_S + 60.0 * trips.minute, SETTINGS)


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learned_from(*towns.trips(3000, 0))


def reckoned(learned: Learned, trips: Trips) -> np.ndarray:
    """Seconds of trips along their steps, each within one cell, as a server reckons along a path."""
    speeds = learned.model(1, SETTINGS).speeds
    middle = trips.latitude.mean(axis=1), trips.longitude.mean(axis=1)
    hour = [hour_of(MONDAY_S + 60.0 * minute) for minute in trips.minute[trips.trip]]
    ends = (side.tolist() for i in (0, 1) for side in (trips.latitude[:, i], trips.longitude[:, i]))
    heading = [heading_of(*leg) for leg in zip(*ends, strict=True)]
    pace = [pace_at(speeds, *leg) for leg in zip(*(m.tolist() for m in middle), hour, heading, strict=True)]
    return trips.sums(np.array(pace) * trips.length)


def test_other_trips_are_reckoned_well_and_their_intervals_hold(learned: Learned) -> None:
    trips, taken = towns.trips(800, 1)
    ours, cold = reckoned(learned, trips), trips.metres / SETTINGS.default_speed_mps
    assert np.abs(ours - taken).mean() < 0.7 * np.abs(cold - taken).mean()
    low, middle, high = np.array([quantiles(learned.intervals, seconds, 0) for seconds in ours.tolist()]).T
    assert abs(np.mean(taken < low) - 0.1) < 0.04
    assert abs(np.mean(taken < middle) - 0.5) < 0.07
    assert abs(np.mean(taken < high) - 0.9) < 0.04


def test_seconds_and_metres_are_all_there(learned: Learned) -> None:
    trips, taken = towns.trips(3000, 0)
    seconds, metres = learned.driven.sum(axis=(1, 2))
    assert (seconds, metres) == (pytest.approx(taken.sum()), pytest.approx(trips.metres.sum()))
    assert learned.trips == 3000
    assert learned.circuity[0] > learned.circuity[1] > 0


def test_an_hour_of_the_week_is_that_of_the_departure(learned: Learned) -> None:
    seconds, metres = learned.driven.sum(axis=1)
    night, rush = (hour_of(MONDAY_S + 3600.0 * hour) for hour in (3, 8))
    assert seconds[rush] / metres[rush] > 1.2 * seconds[night] / metres[night]


def test_the_ways_of_the_trips_are_known(learned: Learned) -> None:
    trips, _ = towns.trips(3000, 0)
    first, last = trips.offset[-2], trips.offset[-1] - 1
    start, end = (
        (float(trips.latitude[step, side]), float(trips.longitude[step, side]))
        for step, side in ((first, 0), (last, 1))
    )
    assert between(learned.corridors, start, end) is not None


def test_trips_without_a_way_on_the_map_teach_nothing() -> None:
    trips, taken = towns.trips(100, 0)
    nowhere = np.full_like(trips.latitude, np.nan)
    assert learned_from(replace(trips, latitude=nowhere, longitude=nowhere), taken).trips == 0
    some = trips.latitude.copy()
    some[trips.offset[7]] = np.nan
    assert learned_from(replace(trips, latitude=some), taken).trips == 99


def test_trips_that_cannot_be_are_left_out() -> None:
    trips, taken = towns.trips(10, 0)
    taken[:3] = np.nan, -5.0, 0.0
    learned = learned_from(trips, taken)
    assert learned.trips == 7
    assert np.isfinite(learned.model(1, SETTINGS).speeds.pace).all()
    np.testing.assert_array_equal(learned.intervals.strayed, cold_intervals().strayed)  # too few to tell
