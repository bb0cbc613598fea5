"""The rules on their own; what they make of whole drives is in test_deliveries."""

import numpy as np
import pytest

from tests.tracker.test_nearness import table_with
from tests.tracker.test_stands import legs
from tracker import arrivals, stands
from tracker.arrivals import COLUMNS, PASSED, Rules
from tracker.nearness import ARRIVED, DEPARTED
from tracker.orders import OrderTable
from tracker.records import Floats, Route

RULES = Rules(500.0, float(np.log(9.0)), 2.0, 300.0, 30.0, 300.0, 300.0, False)


def follow(table: OrderTable, columns: arrivals.LegColumns, room: int = 100, rules: Rules = RULES) -> Floats:
    stand, rows, start = np.zeros(1, stands.STAND), [], 0
    out = np.empty((room, COLUMNS))
    while start < len(columns.driver):
        args = columns, stand, table.head, table.slots, table.destinations.places, rules, table.most, out
        start, count = arrivals.follow(start, *args)
        rows.append(out[:count].copy())
    return np.concatenate(rows)


def standing(seconds: int = 100) -> arrivals.LegColumns:
    """At 300 m east from 30 s on, and away after some time."""
    t = np.arange(100.0 + seconds)
    east = np.minimum(10 * t, 300.0) + 10 * np.maximum(t - 30 - seconds, 0)
    return legs(t, east, np.where((t < 30) | (t > 30 + seconds), 10.0, 0.0))


def told_after(table: OrderTable, kind: int = ARRIVED) -> float:
    rows = follow(table, standing())
    (row,) = rows[rows[:, 0] == kind]
    return float(row[4] - standing().t1[0] - 30.0)


def test_how_long_it_takes_to_be_sure() -> None:
    at_the_door = told_after(table_with(300.0))
    assert at_the_door == pytest.approx(15 * np.log(9 / 2.5), abs=2.0)
    assert told_after(table_with(335.0)) > at_the_door + 5.0
    routed = table_with(300.0, 5000.0)
    routed.put_route(Route(route_id="r", driver_id="d", stops=["o0", "o1"]), 0)
    assert told_after(routed) == pytest.approx(15 * np.log(9 / 5), abs=2.0)
    routed.put_route(Route(route_id="r", driver_id="d", stops=["o1", "o0"]), 0)
    routed.stage[:] = 0
    assert told_after(routed) == pytest.approx(15 * np.log(9 / 1.5), abs=2.0)


def test_the_confidence_is_that_of_the_odds() -> None:
    rows = follow(table_with(300.0), standing())
    (row,) = rows[rows[:, 0] == ARRIVED]
    assert 0.9 <= row[5] < 0.92
    rows = follow(table_with(300.0), standing(10))
    (row,) = rows[rows[:, 0] == PASSED]
    assert row[5] == pytest.approx(1 - 1 / (1 + 1 / (2.5 * np.exp(row[9] / 15))), abs=0.03)


def test_a_full_table_of_rows_is_no_end() -> None:
    whole = follow(table_with(300.0, 320.0, 600.0), standing())
    assert len(whole) > 4
    assert np.array_equal(follow(table_with(300.0, 320.0, 600.0), standing(), room=9), whole, equal_nan=True)


def test_quiet_legs_follow_visits_and_tell_nothing() -> None:
    table = table_with(300.0)
    columns = standing()
    assert not len(follow(table, arrivals.LegColumns(*(c[:100] for c in columns)), rules=RULES._replace(quiet=True)))
    assert table.slots.entered_at[0] - columns.t1[0] == pytest.approx(25.0, abs=0.1)
    assert table.stage[0] == 0


def test_gone_is_twice_beyond_the_margin_or_once_far() -> None:
    t = np.arange(140.0)
    there = np.where(t < 30, 10 * t, 300.0)
    once, twice, far = (
        np.where(np.isin(t, at), 300.0 + by, there) for at, by in (([100], 100), ([100, 101], 100), ([100], 300))
    )
    for east, departs in ((once, 0), (twice, 1), (far, 1)):
        rows = follow(table_with(300.0), legs(t, east, np.where(t < 30, 10.0, 0.0)))
        assert np.count_nonzero(rows[:, 0] == DEPARTED) == departs
