import numpy as np
import pytest

from geo.places import depth
from tests.tracker.test_deliveries import order
from tests.tracker.test_stands import legs
from tracker import stands
from tracker.nearness import SPREAD, look, misfit, visit
from tracker.orders import OrderTable
from tracker.settings import EngineSettings

RADIUS_M = 50.0


def table_with(*east: float) -> OrderTable:
    table = OrderTable(EngineSettings())
    for i, metres in enumerate(east):
        table.put(order(f"o{i}", metres, created_at=float(i)), 0)
    return table


def at(table: OrderTable, metres: float, sigma: float) -> float:
    places = table.destinations.places
    return misfit(places, 0, metres, 0.0, depth(places, 0, metres, 0.0), sigma)


def test_the_centre_fits_best_and_uncertainty_blurs_it() -> None:
    table = table_with(0.0)
    assert at(table, 0.0, 0.0) == 0.0
    assert at(table, SPREAD * RADIUS_M, 0.0) == pytest.approx(0.5)
    assert at(table, 49.9, 1.0) < at(table, 55.0, 1.0) < at(table, 65.0, 1.0)
    assert at(table, 0.0, 30.0) > at(table, 0.0, 3.0)
    assert at(table, 65.0, 30.0) < at(table, 65.0, 3.0)


def test_only_orders_that_may_be_near_are_measured() -> None:
    table = table_with(5000.0, 300.0)
    t = np.arange(600.0)
    columns = legs(t, 10 * t, 10.0)
    measured = []
    for k in range(len(t)):
        upcoming, _ = look(table.slots, table.destinations.places, columns, k, int(table.head[0]), 500.0)
        assert upcoming == 0
        measured.append(np.isfinite(table.slots.misfit[:2]))
        off = np.abs(np.array([5000.0, 300.0]) - 10 * t[k]) - RADIUS_M
        assert (measured[-1] | (off > 500.0)).all()
        assert table.distance[:2][measured[-1]] == pytest.approx(off[measured[-1]], abs=0.1)
    assert np.mean(measured) < 0.5


def test_a_visit_goes_from_crossing_to_crossing() -> None:
    table = table_with(300.0)
    t = np.arange(60.0)
    columns = legs(t, 10 * t + 3.0, 10.0)
    row, slots, places = np.zeros(1, stands.STAND)[0], table.slots, table.destinations.places
    for k in range(len(t)):
        stands.advance(row, columns, k, 2.0)
        look(slots, places, columns, k, 0, 500.0)
        visit(slots, places, columns, k, 0, row, 300.0)
    t0 = columns.t1[0]
    assert slots.entered_at[0] - t0 == pytest.approx(24.7, abs=0.01)
    assert slots.left_at[0] - t0 == pytest.approx(34.7, abs=0.01)
    assert slots.fixes[0] == 10
    assert slots.nearest[0] == pytest.approx(-47.0, abs=0.1)
