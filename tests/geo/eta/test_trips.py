import numpy as np

from geo.eta import Trips


def test_some_of_the_trips_keep_their_steps() -> None:
    trips = Trips.of([0, 2, 2, 5], [1, 2, 3, 4, 5], [10.0, 20.0, 30.0, 40.0, 50.0], [0.0, 60.0, 120.0])
    some = trips.take([2, 1])

    assert some.offset.tolist() == [0, 3, 3]
    assert some.edge.tolist() == [3, 4, 5]
    assert some.minute.tolist() == [120.0, 60.0]
    assert trips.metres.tolist() == [30.0, 0.0, 120.0]
    assert trips.take(np.array([True, False, False])).edge.tolist() == [1, 2]


def test_a_minute_lies_within_the_week() -> None:
    assert Trips.of([0, 0, 0], [], [], [10_081.0, -1.0]).minute.tolist() == [1.0, 10_079.0]


def test_classes_are_matched_by_name() -> None:
    trips = Trips.of([0, 3], [1, 2, 3], 5.0, [0.0], road=[0, 1, -1], classes=("primary", "track"))

    assert trips.recoded(("residential", "primary")).road.tolist() == [1, -1, -1]
