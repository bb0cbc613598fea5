import numpy as np

from geo.eta import Trips
from geo.eta.features import features
from tests import towns


def test_a_trip_alone_has_the_features_it_has_among_others() -> None:
    trips, taken = towns.trips(20)

    np.testing.assert_allclose(features(trips.take([7]), taken[[7]]), features(trips, taken)[[7]], rtol=1e-9)


def test_what_is_not_known_is_nan_and_harms_no_other() -> None:
    placed = features(Trips.of([0, 1], [1], 100.0, [0.0], latitude=[[0.0, 0.001]], longitude=[[0.0, 0.0]]), np.ones(1))
    both = features(
        Trips.of(
            [0, 1, 2], [1, 1], 100.0, [0.0, 0.0], latitude=[[0.0, 0.001], [np.nan] * 2], longitude=np.zeros((2, 2))
        ),
        np.ones(2),
    )

    np.testing.assert_array_equal(both[0], placed[0])
    assert np.isnan(both[1]).sum() > np.isnan(both[0]).sum()
