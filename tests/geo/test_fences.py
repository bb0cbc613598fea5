import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geo.earth import metres_per_degree, offset
from geo.fences import Area, Circle, FenceIndex

LAT, LON = 25.03, 121.56


def ring(points, latitude=LAT, longitude=LON):
    """A closed ring from metres east and north of a place."""
    east, north = np.array([*points, points[0]], float).T
    lat, lon = offset(latitude, longitude, east, north)
    return np.stack([lon, lat], axis=1).tolist()


def index_of(*shapes) -> FenceIndex:
    index = FenceIndex()
    for key, shape in enumerate(shapes):
        index.put({key: shape})
    return index


def cut(index: FenceIndex, start, end, latitude=LAT, longitude=LON, key=0):
    """(fraction, inward) of each crossing of a leg given in metres."""
    lat0, lon0 = (np.array([x]) for x in offset(latitude, longitude, *map(float, start)))
    lat1, lon1 = (np.array([x]) for x in offset(latitude, longitude, *map(float, end)))
    cuts = index.cut(lat0, lon0, lat1, lon1, np.array([0]), np.array([key]))
    return [(pytest.approx(f, abs=1e-3), bool(i)) for f, i in zip(cuts.fraction, cuts.inward, strict=True)]


SQUARE = [(-50, -50), (50, -50), (50, 50), (-50, 50)]


@pytest.mark.parametrize("shape", [Circle(LAT, LON, 50.0), Area([[ring(SQUARE)]])])
def test_both_roots_of_a_pass_and_one_of_an_entry(shape) -> None:
    index = index_of(shape)
    assert cut(index, (-100, 0), (100, 0)) == [(0.25, True), (0.75, False)]
    assert cut(index, (-100, 0), (0, 0)) == [(0.5, True)]
    assert cut(index, (0, 0), (100, 0)) == [(0.5, False)]
    assert cut(index, (-10, 0), (10, 0)) == []
    assert cut(index, (-100, 60), (100, 60)) == []
    assert cut(index, (0, 0), (0, 0)) == []


def test_a_hole_is_outside() -> None:
    hole = [(-20, -20), (20, -20), (20, 20), (-20, 20)]
    index = index_of(Area([[ring(SQUARE), ring(hole)]]))
    assert cut(index, (-100, 0), (100, 0)) == [(0.25, True), (0.4, False), (0.6, True), (0.75, False)]
    assert index.signed_distance(np.array([LAT]), np.array([LON]), np.array([0])) == pytest.approx(20, abs=0.1)


def test_several_polygons_are_one_area() -> None:
    far = [(200, -50), (300, -50), (300, 50), (200, 50)]
    index = index_of(Area([[ring(SQUARE)], [ring(far)]]))
    assert [inward for _, inward in cut(index, (-100, 0), (400, 0))] == [True, False, True, False]


@pytest.mark.parametrize(("latitude", "longitude"), [(0.0, 179.9999), (-16.5, -179.9999), (89.0, 10.0), (-85.0, 180.0)])
def test_anywhere_on_earth(latitude: float, longitude: float) -> None:
    index = index_of(Circle(latitude, longitude, 50.0), Area([[ring(SQUARE, latitude, longitude)]]))
    for key in (0, 1):
        assert cut(index, (-100, 0), (100, 0), latitude, longitude, key) == [(0.25, True), (0.75, False)]
    assert index.containing(*(float(x) for x in offset(latitude, longitude, 30.0, 10.0))) == [0, 1]


def test_keys_are_replaced_dropped_and_used_again() -> None:
    index = index_of(Circle(LAT, LON, 50.0), Circle(LAT, LON, 500.0))
    index.put({0: Area([[ring(SQUARE)]])})
    assert index.signed_distance(np.array([LAT] * 2), np.array([LON] * 2), np.array([0, 1])) == pytest.approx(
        [-50, -500], abs=0.1
    )
    index.drop([0])
    assert index.containing(LAT, LON) == [1]
    index.put({0: Circle(LAT, LON, 10.0)})
    assert index.containing(LAT, LON) == [0, 1]
    index.put({1000: Circle(LAT, LON, 10.0)})
    assert index.containing(LAT, LON) == [0, 1, 1000]


def test_polygons_stay_themselves_while_others_come_and_go() -> None:
    index, rng, sides = FenceIndex(), np.random.default_rng(0), {}
    for change in range(600):
        key = int(rng.integers(40))
        if change % 5 == 0:
            index.drop([key])
            sides.pop(key, None)
        elif change % 5 == 1:
            sides[key] = float(rng.uniform(10, 90))
            index.put({key: Circle(LAT, LON, sides[key])})
        else:
            sides[key] = float(rng.uniform(10, 90))
            index.put({key: Area([[ring(np.array(SQUARE) * sides[key] / 50)]])})
    keys = np.array(sorted(sides))
    away = index.signed_distance(np.full(len(keys), LAT), np.full(len(keys), LON), keys)
    assert away == pytest.approx([-sides[key] for key in keys], abs=0.01)


@pytest.mark.parametrize(
    ("latitude", "radius", "error"),
    [(25.0, 10_000.0, 0.5), (60.0, 10_000.0, 0.5), (-85.0, 2_000.0, 0.5), (89.9, 300.0, 0.5), (89.99, 300.0, 6.0)],
)
def test_a_large_circle_is_round_on_the_ground(latitude: float, radius: float, error: float) -> None:
    index = index_of(Circle(latitude, 179.9, radius))
    course = np.linspace(0, 360, 73)
    lon, lat, _ = Geod(ellps="WGS84").fwd(np.full(73, 179.9), np.full(73, latitude), course, np.full(73, radius))
    assert index.signed_distance(lat, lon, np.zeros(73, int)) == pytest.approx(np.zeros(73), abs=error)


def test_cuts_tell_which_legs_end_inside() -> None:
    index = index_of(Circle(LAT, LON, 50.0), Area([[ring(SQUARE)]]))
    lat, lon = offset(LAT, LON, np.array([-100.0, 0.0, 100.0]), np.zeros(3))
    legs = lat[[0, 0, 1]], lon[[0, 0, 1]], lat[[1, 2, 1]], lon[[1, 2, 1]]
    cuts = index.cut(*legs, np.array([0, 1, 2, 0, 1, 2]), np.array([0, 0, 0, 1, 1, 1]))
    assert cuts.inside.tolist() == [True, False, True] * 2


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        (Circle(91.0, 0.0, 5.0), "latitude"),
        (Circle(0.0, 0.0, 0.0), "radius"),
        (Circle(0.0, 0.0, float("nan")), "radius"),
        (Area([]), "ring"),
        (Area([[[[0, 0], [1, 0], [0, 0]]]]), "four positions"),
        (Area([[[[0, 0], [1, 0], [1, 1], [0, 1]]]]), "last position the same as the first"),
        (Area([[[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]]), "not valid"),
        (Area([[[[0, 0], [1, 0], [2, 0], [0, 0]]]]), "not valid|no area"),
        (Area([[[[0, 0], [1, 0], [1, 95], [0, 0]]]]), "latitude"),
    ],
)
def test_a_bad_shape_is_refused_with_its_reason(shape, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        index_of(shape)


coordinate = st.integers(-300, 300).map(float)
point = st.tuples(coordinate, coordinate)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(20, 250), min_size=3, max_size=9), point, point)
def test_a_star_polygon_is_cut_as_shapely_says(radii: list[float], start, end) -> None:
    angle = np.arange(len(radii)) * 2 * np.pi / len(radii)
    points = list(zip(np.array(radii) * np.sin(angle), np.array(radii) * np.cos(angle), strict=True))
    index = index_of(Area([[ring(points)]]))
    ours = cut(index, start, end)
    polygon, line = shapely.Polygon(points), shapely.LineString([start, end])
    away = index.signed_distance(*(np.array(x) for x in offset(LAT, LON, *np.array([start, end]).T)), np.array([0, 0]))
    exact = [
        polygon.exterior.distance(shapely.Point(p)) * (-1 if polygon.contains(shapely.Point(p)) else 1)
        for p in (start, end)
    ]
    assert away == pytest.approx(exact, abs=0.5)
    inside = [d < 0 for d in away]
    directions = [inward for _, inward in ours]
    assert directions == [(k % 2 == 0) != inside[0] for k in range(len(ours))]  # in and out in turn
    assert (len(ours) % 2 == 1) == (inside[0] != inside[1])
    crossing = polygon.exterior.intersection(line)
    touching = any(polygon.exterior.distance(shapely.Point(p)) < 1 for p in (start, end))
    corner = any(line.distance(shapely.Point(p)) < 1 for p in points)
    if not touching and not corner and start != end:
        assert len(ours) == shapely.get_num_geometries(crossing) * (not crossing.is_empty)


@given(st.floats(5, 200), point, point)
def test_a_circle_is_cut_where_the_distance_is_its_radius(radius: float, start, end) -> None:
    index = index_of(Circle(LAT, LON, radius))
    north, east = metres_per_degree(LAT)
    for fraction, inward in [(f.expected, i) for f, i in cut(index, start, end)]:
        place = np.array(start) + fraction * (np.array(end) - start)
        assert np.hypot(*place) == pytest.approx(radius, abs=0.5)
        before = np.array(start) + (fraction - 1e-3) * (np.array(end) - start)
        assert (np.hypot(*before) >= np.hypot(*place) - 1e-9) == inward or np.hypot(*(np.array(end) - start)) < 1
    assert north > east
