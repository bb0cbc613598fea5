import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.globe import apart
from geo.grid import Grid

degrees = st.floats(0, 30) | st.floats(0, 0.02) | st.just(180.0)
box = st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 90) | st.floats(0, 0.02), degrees)
asked = st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 0.02), st.floats(0, 0.02))
NEARLY = 1e-3


def put(grid: Grid, boxes: dict[int, tuple[float, float, float, float]]) -> None:
    grid.put(np.array(list(boxes), np.int64), np.array(list(boxes.values())).reshape(-1, 4))


@settings(deadline=None)
@given(st.lists(box, max_size=12), st.lists(asked, max_size=12), st.sets(st.integers(0, 11)))
def test_the_grid_finds_what_comparing_each_with_each_finds(boxes, asks, dropped) -> None:
    grid = Grid()
    put(grid, dict(enumerate(boxes)))
    grid.drop(np.array(sorted(dropped), np.int64))
    for lat, lon, high, wide in asks:
        found = set(grid.query(lat, lon, high, wide))

        def touching(slack: float, lat=lat, lon=lon, high=high + NEARLY, wide=wide + NEARLY) -> set[int]:
            return {
                key
                for key, (y, x, h, w) in enumerate(boxes)
                if key not in dropped and abs(lat - y) <= high + h + slack and apart(lon, x) <= wide + w + slack
            }

        assert touching(-NEARLY) <= found <= touching(0.0)


def test_an_empty_grid_finds_nothing() -> None:
    assert Grid().query(0.0, 0.0, 90.0, 180.0) == []


def test_boxes_that_come_go_and_move_are_found_where_they_are() -> None:
    rng = np.random.default_rng(0)
    grid, boxes = Grid(), {}
    for change in range(2_000):
        key = int(rng.integers(200))
        if change % 3 == 0:
            grid.drop(np.array([key]))
            boxes.pop(key, None)
        else:
            boxes[key] = *rng.uniform(0.0, 0.05, 2), *rng.uniform(0.0, 0.004, 2)
            put(grid, {key: boxes[key]})
    assert grid.query(0.025, 0.025, 0.03, 0.03) == sorted(boxes)
    assert int(grid.cells.in_use.sum()) == len(boxes)
    grid.drop(np.array(list(boxes)))
    assert grid.query(0.025, 0.025, 0.03, 0.03) == []
    assert int(grid.cells.buckets["count"].sum()) == 0


def test_memory_does_not_grow_while_one_box_changes() -> None:
    grid, rng = Grid(), np.random.default_rng(0)
    for _ in range(1_000):
        put(grid, {0: (*rng.uniform(0.0, 0.01, 2), 0.001, 0.001)})
    assert len(grid.cells.boxes) <= 1024


def test_a_box_across_the_antimeridian_is_found_from_both_sides() -> None:
    grid = Grid()
    put(grid, {0: (0.0, -179.9999, 0.001, 0.001)})
    put(grid, {1: (0.0, 179.9999, 0.001, 0.001)})
    assert grid.query(0.0, 179.9995, 0.0, 0.0) == grid.query(0.0, -179.9995, 0.0, 0.0) == [0, 1]


def test_a_box_over_a_pole_is_found_from_every_side() -> None:
    grid = Grid()
    put(grid, {0: (89.995, 0.0, 0.005, 180.0)})
    assert [grid.query(89.992, longitude, 0.0, 0.0) for longitude in (-180.0, -77.0, 0.0, 179.9)] == [[0]] * 4
