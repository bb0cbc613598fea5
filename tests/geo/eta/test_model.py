from dataclasses import replace

import numpy as np
import pytest

from geo.eta import Model, Trips, UnfitModel
from geo.eta.model import _share
from tests import towns


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.fit(*towns.trips(800))


def test_unseen_trips_are_predicted_and_fall_in_their_intervals(model: Model) -> None:
    trips, taken = towns.trips(1000, seed=1)
    low, middle, high = model.predict(trips).T

    assert np.mean(np.abs(middle - taken) / taken) < 0.2
    assert np.mean(taken < low) == pytest.approx(0.1, abs=0.04)
    assert np.mean(taken <= high) == pytest.approx(0.9, abs=0.04)


def test_every_more_trip_makes_it_better_and_coverage_stays() -> None:
    unseen, truth = towns.trips(1000, seed=1, noise=0.1)
    errors = []
    for n in (0, 50, 900):
        trips, taken = towns.trips(max(n, 1), noise=0.1)
        low, middle, high = Model.fit(trips.take(np.arange(n)), taken[:n]).predict(unseen).T
        errors.append(np.mean(np.abs(middle - truth) / truth))
        assert np.mean((truth >= low) & (truth <= high)) > 0.75

    assert errors == sorted(errors, reverse=True)


def test_no_way_to_go_takes_no_time(model: Model) -> None:
    assert model.predict(Trips.of([0, 0, 1], [3], 0.0, [0.0, 0.0])).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("length", [np.nan, np.inf, -1.0])
def test_an_impossible_way_has_no_time_and_harms_no_other(model: Model, length: float) -> None:
    alone = model.predict(Trips.of([0, 1], [4], 100.0, [0.0]))
    both = model.predict(Trips.of([0, 1, 3], [4, 3, 4], [100.0, length, 100.0], [0.0, 0.0]))

    assert both[0].tolist() == alone[0].tolist()
    assert np.isnan(both[1]).all()


def test_an_unknown_departure_has_no_time(model: Model) -> None:
    assert np.isnan(model.predict(Trips.of([0, 1], [4], 100.0, [np.nan]))).all()


def test_unknown_edges_and_classes_are_predicted_from_the_rest(model: Model) -> None:
    low, middle, high = model.predict(Trips.of([0, 1], [-77], 1000.0, [0.0], road=[0], classes=("canal",)))[0]

    assert 60 < low < middle < high < 900


def test_impossible_trips_teach_nothing(model: Model) -> None:
    trips, taken = towns.trips(100)
    bad = replace(trips, length=np.where(trips.trip == 5, np.nan, trips.length))
    learned = Model.fit(bad, np.where(np.arange(100) == 6, -3.0, taken))

    assert learned.trips == 98
    assert np.isfinite(learned.predict(trips)).all()


def test_cells_are_not_edges(model: Model) -> None:
    with pytest.raises(UnfitModel, match="cells"):
        model.predict(Trips.of([0, 1], [4], 100.0, [0.0], kind="cells"))


def test_speeds_come_by_step(model: Model) -> None:
    trips, _ = towns.trips(10, seed=3)

    assert model.speeds(trips).shape == trips.edge.shape
    assert (model.speeds(trips) > 1.0).all()


def test_of_what_trees_say_the_share_counts_that_held() -> None:
    said, once = np.array([0.1, -0.1, 0.2, -0.2]), np.ones(4)

    assert _share(said, said / 2, once) == pytest.approx(0.5)
    assert _share(said, 3 * said, once) == 1.0  # they are not believed more than they say
    assert _share(said, -said, once) == 0.0
    assert _share(0 * said, said, once) == 0.0
