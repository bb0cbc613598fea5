import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.earth import offset
from geo.fences import Area, Circle, FenceIndex
from geo.places import PlaceTable, crossings, depth, local

LATITUDE, LONGITUDE = 25.033, 179.9999


def ring(*corners: tuple[float, float]) -> list[list[float]]:
    points = [offset(LATITUDE, LONGITUDE, east, north) for east, north in corners]
    return [[float(longitude), float(latitude)] for latitude, longitude in [*points, points[0]]]


SHAPES = [
    Circle(LATITUDE, LONGITUDE, 60.0),
    Area([[ring((-90, -90), (90, -90), (90, 90), (0, 20), (-90, 90)), ring((-30, -60), (30, -60), (30, -10))]]),
    Area([[ring((-90, -90), (-20, -90), (-20, 0))], [ring((20, 0), (90, 0), (90, 90))]]),
]
METRES = st.floats(-150.0, 150.0)


def tables() -> tuple[PlaceTable, FenceIndex]:
    table, index = PlaceTable(), FenceIndex()
    for key, shape in enumerate(SHAPES):
        table.put(key + 100, shape)
        index.put({key + 100: shape})
    return table, index


TABLE, INDEX = tables()


@given(METRES, METRES, METRES, METRES, st.sampled_from(range(100, 103)))
def test_a_place_agrees_with_the_fence_of_the_same_shape(x0: float, y0: float, x1: float, y1: float, key: int) -> None:
    (lat0, lon0), (lat1, lon1) = offset(LATITUDE, LONGITUDE, x0, y0), offset(LATITUDE, LONGITUDE, x1, y1)
    one = [np.array([float(value)]) for value in (lat0, lon0, lat1, lon1)]
    cuts = INDEX.cut(*one, np.zeros(1, np.int64), np.array([key]))
    start, end = local(TABLE.places, key, float(lat0), float(lon0)), local(TABLE.places, key, float(lat1), float(lon1))
    distance = INDEX.signed_distance(one[2], one[3], np.array([key]))[0]
    assert depth(TABLE.places, key, *end) == pytest.approx(-distance, abs=0.01)
    if abs(distance) > 0.01 and abs(INDEX.signed_distance(one[0], one[1], np.array([key]))[0]) > 0.01:
        first, last = crossings(TABLE.places, key, *start, *end)
        middle = np.mean([first, last]) if first == first else cuts.fraction.mean() if len(cuts.fraction) else 0.5
        point = (start[0] + middle * (end[0] - start[0]), start[1] + middle * (end[1] - start[1]))
        if abs(depth(TABLE.places, key, *point)) > 0.1 or first == last:  # else it grazes, or only touches a corner
            expected = (cuts.fraction[0], cuts.fraction[-1]) if len(cuts.fraction) else (np.nan, np.nan)
            assert (first, last) == pytest.approx(expected, abs=1e-3, nan_ok=True)


def test_places_come_and_go_without_touching_each_other() -> None:
    table = PlaceTable()
    rng = np.random.default_rng(1)
    shapes: dict[int, int] = {}
    for _ in range(600):
        key, kind = int(rng.integers(0, 90)), int(rng.integers(0, 4))
        if kind == 3:
            table.drop(key)
            shapes.pop(key, None)
        else:
            table.put(key, SHAPES[kind])
            shapes[key] = kind
    for key, kind in shapes.items():
        assert depth(table.places, key, 10.0, 30.0) == depth(TABLE.places, kind + 100, 10.0, 30.0)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="radius"):
        PlaceTable().put(0, Circle(0.0, 0.0, 0.0))
