import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geo.earth import wrap_degrees
from geo.grid import Grid

degrees = st.floats(0, 30) | st.floats(0, 0.02)
box = st.tuples(st.floats(-89, 89), st.floats(-180, 180), degrees, degrees)
leg = st.tuples(st.floats(-89, 89), st.floats(-180, 180), st.floats(-3, 3), st.floats(-170, 170) | st.floats(-0.1, 0.1))


@given(st.lists(box, max_size=12), st.lists(leg, max_size=12), st.sets(st.integers(0, 11)))
def test_the_grid_finds_what_comparing_each_with_each_finds(boxes, legs, dropped) -> None:
    grid = Grid()
    for key, given_box in enumerate(boxes):
        grid.put(key, *given_box)
    for key in dropped:
        grid.drop(key)
    lat0, lon0, dlat, dlon = np.array(legs, float).reshape(-1, 4).T
    found = grid.query(lat0, lon0, np.clip(lat0 + dlat, -90, 90), wrap_degrees(lon0 + dlon))
    expected = []
    for i in range(len(legs)):
        lat1, half = np.clip(lat0[i] + dlat[i], -90, 90), wrap_degrees(wrap_degrees(lon0[i] + dlon[i]) - lon0[i]) / 2
        for key, (lat, lon, height, width) in enumerate(boxes):
            high = abs((lat0[i] + lat1) / 2 - lat) <= abs(lat1 - lat0[i]) / 2 + height
            wide = abs(wrap_degrees(lon0[i] + half - lon)) <= abs(half) + width
            if key not in dropped and high and wide:
                expected.append((i, key))
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def test_an_empty_grid_finds_nothing() -> None:
    leg, key = Grid().query(*np.zeros((4, 3)))
    assert len(leg) == len(key) == 0


def test_what_changes_after_the_grid_was_built_counts() -> None:
    """As if it had just been built; with few changes, with many, and with keys that come back."""
    rng = np.random.default_rng(0)
    city = rng.uniform(0.0, 1.0, (2, 400)).T
    legs = *rng.uniform(0.0, 1.0, (2, 300)), *rng.uniform(0.0, 1.0, (2, 300))
    grid, boxes = Grid(), {}
    for change in range(1_000):
        key = int(rng.integers(400))
        if change > 500 and change % 3 == 0:
            grid.drop(key)
            boxes.pop(key, None)
        else:
            boxes[key] = *city[rng.integers(400)], 0.004, 0.004
            grid.put(key, *boxes[key])
        if change > 500 and change % 7 == 0:
            fresh = Grid()
            for kept, box in boxes.items():
                fresh.put(kept, *box)
            for ours, expected in zip(grid.query(*legs), fresh.query(*legs), strict=True):
                np.testing.assert_array_equal(ours, expected)


def test_reach_widens_each_leg_by_its_own() -> None:
    grid = Grid()
    grid.put(7, 10.0, 20.0, 0.5, 0.5)
    points = np.array([10.0, 10.0, 10.6, 10.6]), np.array([20.6, 20.6, 20.0, 20.0])
    leg, key = grid.query(*points, *points, np.array([0.0, 0.0, 0.0, 0.2]), np.array([0.0, 0.2, 0.2, 0.0]))
    assert leg.tolist() == [1, 3]
    assert key.tolist() == [7, 7]


def test_a_box_across_the_antimeridian_is_found_from_both_sides() -> None:
    grid = Grid()
    grid.put(0, 0.0, -179.9999, 0.001, 0.001)
    grid.put(1, 0.0, 179.9999, 0.001, 0.001)
    latitude = np.zeros(2)
    _, key = grid.query(latitude, np.array([179.9995, -179.9995]), latitude, np.array([179.9999, -179.9999]))
    assert key.tolist() == [0, 1, 0, 1]
