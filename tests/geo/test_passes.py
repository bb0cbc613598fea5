"""Visits of areas by legs."""

import numpy as np
import pytest

from geo.earth import distance, offset
from geo.fences import Area, Circle
from geo.passes import Legs, Passes, merged, passes

CENTRE = (25.0, 121.5)


def legs(*paths: tuple[int, list[float], list[float], list[float]]) -> Legs:
    """(driver, seconds, metres east, metres north of the centre) each."""
    columns = []
    for driver, t, east, north in paths:
        latitude, longitude = offset(*CENTRE, np.array(east, float), np.array(north, float))
        t = np.array(t, float)
        columns.append(
            (np.full(len(t) - 1, driver), t[:-1], latitude[:-1], longitude[:-1], t[1:], latitude[1:], longitude[1:])
        )
    return Legs(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def test_the_closest_approach_of_a_leg_is_where_its_foot_is():
    found = passes(legs((7, [0, 10], [-1000, 1000], [-400, 600])), Circle(*CENTRE, 200.0), -np.inf, np.inf)
    away = 100 * 2 / np.sqrt(5)
    assert found.driver.tolist() == [7]
    assert found.distance == pytest.approx([away], rel=1e-4)
    latitude, longitude = found.latitude[0], found.longitude[0]
    assert distance(latitude, longitude, *CENTRE) == found.distance[0]
    assert (found.entered_at + found.left_at) / 2 == pytest.approx(found.closest_at, abs=5e-3)


def test_legs_in_any_order_are_visits_in_order():
    whole = legs((2, [0, 10, 20, 30], [-300, 0, 300, 0], [0] * 4), (1, [5, 15], [-10, 10], [3, 3]))
    mixed = whole.take(np.array([3, 2, 0, 1]))
    found = passes(mixed, Circle(*CENTRE, 30.0), 0.0, 100.0)
    assert found.driver.tolist() == [1, 2, 2]
    assert found.entered_at == pytest.approx([5, 9, 29])
    assert found.left_at == pytest.approx([15, 11, 30])
    assert found.entered.tolist() == [False, True, True]
    assert found.left.tolist() == [False, True, False]


def test_a_point_is_inside_or_not():
    inside = passes(legs((1, [5, 5], [10, 10], [0, 0]), (2, [5, 5], [50, 50], [0, 0])), Circle(*CENTRE, 30.0), 0.0, 9.0)
    assert (inside.driver.tolist(), inside.entered_at.tolist(), inside.left_at.tolist()) == ([1], [5], [5])


def test_an_area_entered_twice_on_one_leg():
    west, east = ([offset(*CENTRE, x, 0.0)[1] for x in pair] for pair in ((-200.0, -100.0), (100.0, 200.0)))

    def box(a, b):
        return [[[a, 24.99], [b, 24.99], [b, 25.01], [a, 25.01], [a, 24.99]]]

    found = passes(legs((1, [0, 100], [-500, 500], [0, 0])), Area([box(*west), box(*east)]), 0.0, 100.0)
    assert found.entered_at == pytest.approx([30, 60], abs=1e-3)
    assert found.left_at == pytest.approx([40, 70], abs=1e-3)
    assert np.isnan(found.distance).all()


def test_no_legs_no_visits():
    nothing = passes(legs((1, [0, 1], [500, 600], [0, 0])), Circle(*CENTRE, 30.0), 5.0, 9.0)
    assert len(nothing) == 0
    assert len(merged([nothing, nothing])) == 0


def test_parts_cut_at_a_time_are_one_again():
    line = legs((1, [0, 100], [-500, 500], [20, 20]))
    whole = passes(line, Circle(*CENTRE, 100.0), 0.0, 100.0)
    for cut in (40.0, 45.0, 50.0, 59.0, 70.0):
        parts = [passes(line, Circle(*CENTRE, 100.0), a, b) for a, b in ((0.0, cut), (cut, 100.0))]
        again = merged(parts)
        for name in Passes.__slots__:
            assert getattr(again, name) == pytest.approx(getattr(whole, name), abs=1e-3)
