import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.tracker.test_deliveries import order
from tracker.orders import OrderTable, Stage, stage_of
from tracker.records import Route
from tracker.settings import EngineSettings


def matched(table: OrderTable, drivers: list[int]) -> list[tuple[int, list[str]]]:
    """Where the rows of each driver begin in a column, and his orders in turn."""
    start, chain, slot = table.chains(np.array(drivers, np.int64))
    parts = [[table.ids[s] for s in slot[a:b]] for a, b in itertools.pairwise(chain.tolist())]
    return list(zip(start.tolist(), parts, strict=True))


def test_chains_are_all_orders_of_each_driver_in_turn() -> None:
    table = OrderTable(EngineSettings())
    for order_id, driver, age in [("o1", 7, 2.0), ("o2", 3, 0.0), ("o3", 7, 1.0)]:
        table.put(order(order_id, created_at=age), driver)
    assert matched(table, [3, 5, 7, 7, 900]) == [(0, ["o2"]), (1, []), (2, ["o3", "o1"]), (4, [])]
    assert matched(table, []) == []
    for i in range(40):
        table.put(order(f"more{i:02}", created_at=3.0 + i), 7)
    assert matched(table, [7, 7])[0][1] == ["o3", "o1", *(f"more{i:02}" for i in range(40))]


def test_an_order_without_a_driver_waits_and_one_that_ended_is_gone() -> None:
    table = OrderTable(EngineSettings())
    table.put(order("o1", driver_id=None), None)
    assert "o1" in table.by_id
    assert table.slot("o1") is None
    table.put(order("o1"), 0)
    assert table.slot("o1") is not None
    table.put(order("o1", status="failed"), 0)
    assert "o1" not in table.by_id
    assert table.of_driver(0) == []


def test_the_route_says_which_is_next_and_a_departed_one_is_last() -> None:
    table = OrderTable(EngineSettings())
    for i, order_id in enumerate(["o1", "o2", "o3"]):
        table.put(order(order_id, created_at=float(i)), 0)
    assert table.of_driver(0) == ["o1", "o2", "o3"]
    table.put_route(Route(route_id="r", driver_id="d", stops=["o3", "o1", "o2"]), 0)
    assert table.of_driver(0) == ["o3", "o1", "o2"]
    table.put(order("o3", created_at=2.0, arrived_at=1.0, departed_at=2.0), 0)
    assert table.of_driver(0) == ["o1", "o2", "o3"]
    assert [bool(table.is_next[table._slot[o]]) for o in ("o1", "o2", "o3")] == [True, False, False]
    table.put_route(None, 0)
    assert table.of_driver(0) == ["o1", "o2", "o3"]


def test_stages_follow_the_milestones() -> None:
    assert stage_of(order()) == Stage.UNDER_WAY
    assert stage_of(order(approaching_at=1.0)) == Stage.APPROACHING
    assert stage_of(order(approaching_at=1.0, arrived_at=2.0)) == Stage.ARRIVED
    assert stage_of(order(departed_at=3.0)) == Stage.DEPARTED


@given(st.lists(st.tuples(st.integers(0, 150), st.integers(-1, 5)), max_size=300))
def test_slots_are_never_shared(changes: list[tuple[int, int]]) -> None:
    """-1 removes; anything else gives the order to that driver."""
    table = OrderTable(EngineSettings())
    expected: dict[str, int] = {}
    for number, driver in changes:
        order_id = f"o{number}"
        if driver < 0:
            table.remove(order_id)
            expected.pop(order_id, None)
        else:
            table.put(order(order_id), driver)
            expected[order_id] = driver
    found = [(order_id, driver) for driver, orders in matched(table, list(range(6))) for order_id in orders]
    assert sorted(found) == sorted(expected.items())
    assert sum(bool(x) for x in table.is_next) == len(set(expected.values()))
