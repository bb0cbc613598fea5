import numpy as np

from geo.eta import Trips
from geo.eta.effects import EFFECTS, Effect, knots, terms


def test_every_effect_has_its_term() -> None:
    trips = Trips.of([0, 1, 2], [7, 7], 100.0, [0.0, 0.0])

    assert set(terms(trips)) == {effect.name for effect in EFFECTS}


def test_time_lies_between_two_whole_hours_and_wraps() -> None:
    before, after, share = knots(Effect("hour", 1.0, 1440.0), np.array([90.0, 1410.0, 1440.0 + 60.0]))

    assert before.tolist() == [1, 23, 1]
    assert after.tolist() == [2, 0, 2]
    assert share.tolist() == [0.5, 0.5, 0.0]


def test_an_unknown_place_has_no_area_and_no_turn() -> None:
    unknown = terms(Trips.of([0, 2], [1, 2], 100.0, [0.0]))

    assert unknown["area 200 m"].key.tolist() == [-1, -1]
    assert unknown["turn"].key.tolist() == [-1]


def test_a_left_turn_is_not_a_right_turn() -> None:
    latitude, longitude = (
        np.array([[0, 0], [0, 0.001], [0, 0], [0, -0.001]]),
        np.array([[0, 0.001], [0.001, 0.001], [0, 0.001], [0.001, 0.001]]),
    )
    turn = terms(Trips.of([0, 2, 4], [1, 2, 1, 3], 100.0, [0.0, 0.0], latitude=latitude, longitude=longitude))["turn"]

    assert turn.trip.tolist() == [0, 1]
    assert turn.key[0] != turn.key[1]


def test_a_way_on_a_free_day_is_another_than_on_a_workday() -> None:
    friday, saturday, sunday = 5 * 1440.0 - 1.0, 5 * 1440.0, 7 * 1440.0 - 1.0
    trips = Trips.of([0, 1, 2, 3], [1, 1, 1], 100.0, [friday, saturday, sunday], road=0, classes=("primary",))
    keys = terms(trips)["class, kind of day, hour"].key

    assert keys[0] != keys[1] == keys[2]


def test_one_edge_after_another_is_not_the_other_after_the_one() -> None:
    pairs = terms(Trips.of([0, 3, 5], [1, 2, 1, 1, 2], 100.0, [0.0, 0.0]))["from edge to edge"]

    assert pairs.trip.tolist() == [0, 0, 1]
    assert pairs.key[0] == pairs.key[2] != pairs.key[1]
    assert (pairs.key >= 0).all()
