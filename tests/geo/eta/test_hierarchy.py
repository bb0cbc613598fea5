import numpy as np
import pytest

from geo.eta import Trips, hierarchy
from geo.eta.hierarchy import PRIOR_MPS, Hierarchy
from tests import towns


def test_with_no_trips_everything_goes_at_the_prior_speed() -> None:
    trips, _ = towns.trips(3)

    np.testing.assert_allclose(Hierarchy.empty().seconds(trips), trips.metres / PRIOR_MPS)
    np.testing.assert_allclose(Hierarchy.empty().speeds(trips), PRIOR_MPS)


def test_it_learns_which_streets_are_slow() -> None:
    trips, seconds = towns.trips(1500, noise=0.05)
    unseen, truth = towns.trips(300, seed=1, noise=0.05)
    learned = hierarchy.fit(trips, seconds)

    assert np.mean(np.abs(learned.seconds(unseen) - truth) / truth) < 0.08


def test_an_edge_never_seen_goes_at_the_speed_of_its_class() -> None:
    trips, seconds = towns.trips(1000)
    learned = hierarchy.fit(trips, seconds)
    strange = Trips.of([0, 1, 2], [-5, -6], 100.0, [700.0, 700.0], road=[0, 1], classes=trips.classes)

    residential, primary = learned.speeds(strange)
    assert 2.0 < residential < primary < 20.0


def test_rush_hour_is_slower() -> None:
    trips, seconds = towns.trips(1000)
    learned = hierarchy.fit(trips, seconds)
    rush, night = (Trips.of([0, 1], [-5], 100.0, [minute]) for minute in (8 * 60.0, 3 * 60.0))

    assert learned.speeds(rush)[0] < 0.95 * learned.speeds(night)[0]  # drawn to other hours, as a tenth of trips say


def test_progress_is_told_to_its_end() -> None:
    trips, seconds = towns.trips(50)
    told: list[float] = []
    hierarchy.fit(trips, seconds, told.append)

    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
