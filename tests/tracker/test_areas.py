import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.areas import Area, Areas, area_of
from tracker.errors import InvalidInput

TAIPEI = Area(121.5, 25.0, 121.6, 25.1)
FIJI = Area(177.0, -20.0, -178.0, -15.0)
"""Across the antimeridian."""
NOBODY = np.empty(0, np.int64), np.empty(0), np.empty(0)


def at(*points: tuple[float, float], rows=None):
    """Rows, longitudes and latitudes of drivers 0, 1, …"""
    rows = np.arange(len(points)) if rows is None else np.array(rows)
    return rows, np.array([p[0] for p in points]), np.array([p[1] for p in points])


def test_a_key_is_a_box():
    assert area_of("121.5,25.0,121.6,25.1") == TAIPEI
    assert area_of("177,-20,-178,-15") == FIJI
    assert area_of("-180,-90,180,90") == Area(-180, -90, 180, 90)


@pytest.mark.parametrize(
    "key",
    [
        *("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,3,nan", "1e1,2,3,4", " 1,2,3,4", "1,2,3,4\n", "1,2,3,٤", "1,2,3,"),
        *("181,0,182,1", "-181,0,0,1", "0,-91,1,0", "0,0,1,91", "0,1,1,0"),
    ],
)
def test_what_is_no_box_is_refused_with_what_it_should_be(key: str):
    with pytest.raises(InvalidInput, match="area: "):
        area_of(key)


def test_who_is_inside_is_told_and_who_left_once_more():
    areas = Areas()
    assert areas.add("t", TAIPEI, *at((121.55, 25.05), (121.7, 25.05))) == [0]
    assert areas.moved(*at((121.7, 25.05), (121.7, 25.05))) == {"t": [0]}, "0 has left, 1 was never there"
    assert areas.moved(*at((121.8, 25.05), (121.5, 25.0))) == {"t": [1]}, "the edge is inside"
    assert areas.moved(*at((121.8, 25.05), rows=[1])) == {"t": [0]}
    assert areas.moved(*at((121.9, 25.05), rows=[1])) == {}


def test_a_box_may_lie_across_the_antimeridian():
    areas = Areas()
    inside = [(179.9, -17.0), (-179.9, -17.0), (180.0, -15.0)]
    outside = [(176.9, -17.0), (-177.9, -17.0), (0.0, -17.0), (179.9, -14.0)]
    assert areas.add("t", FIJI, *at(*inside, *outside)) == [0, 1, 2]


def test_a_second_watcher_takes_nothing_from_the_first():
    areas = Areas()
    areas.add("t", TAIPEI, *at((121.55, 25.05)))
    assert areas.add("t", TAIPEI, *at((121.7, 25.05))) == []
    assert areas.moved(*at((121.7, 25.05))) == {"t": [0]}


def test_boxes_nobody_wants_are_forgotten_and_drivers_may_grow_in_number():
    areas = Areas()
    for topic in ("a", "b", "c"):
        areas.add(topic, TAIPEI, *NOBODY)
    areas.keep({"a", "c"})
    assert (list(areas), len(areas)) == (["a", "c"], 2)
    many = at(*[(121.55, 25.05)] * 1000)
    assert areas.moved(*many) == {"a": list(range(1000)), "c": list(range(1000))}
    areas.keep(())
    assert areas.moved(*many) == {}


@given(
    st.lists(
        st.tuples(
            *[st.sampled_from([-180.0, -170.0, 0.0, 10.0, 180.0])] * 2, *[st.sampled_from([-90.0, 0.0, 5.0])] * 2
        ),
        max_size=4,
    ),
    st.lists(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=3, max_size=3), max_size=5),
)
def test_each_box_is_told_of_exactly_those_inside_now_or_a_moment_ago(corners, steps):
    areas, boxes = Areas(), {}
    for number, (west, east, south, north) in enumerate(corners):
        boxes[str(number)] = Area(west, min(south, north), east, max(south, north))
        areas.add(str(number), boxes[str(number)], *NOBODY)
    before: dict[str, set[int]] = {topic: set() for topic in boxes}
    for points in steps:
        told = areas.moved(*at(*points))
        for topic, box in boxes.items():
            inside = {i for i, (lon, lat) in enumerate(points) if _holds(box, lon, lat)}
            assert set(told.get(topic, ())) == inside | before[topic]
            before[topic] = inside


def _holds(box: Area, lon: float, lat: float) -> bool:
    lons = lon >= box.min_lon and lon <= box.max_lon
    if box.min_lon > box.max_lon:
        lons = lon >= box.min_lon or lon <= box.max_lon
    return lons and box.min_lat <= lat <= box.max_lat
