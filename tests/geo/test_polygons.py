import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geo.fences import Area, FenceIndex
from geo.polygons import MOST_VERTICES, InvalidShape, banded, outline


def holds(polygons, places) -> list[bool]:
    index = FenceIndex()
    index.put({0: Area(polygons)})
    return [index.containing(latitude, longitude) == [0] for latitude, longitude in places]


def distance(polygons, latitude: float, longitude: float) -> float:
    index = FenceIndex()
    index.put({0: Area(polygons)})
    return float(index.signed_distance(np.array([latitude]), np.array([longitude]), np.array([0]))[0])


RIGHT_OF_DATE_LINE = [[179, -10], [-179, -10], [-179, 10], [179, 10], [179, -10]]
CUT_AT_DATE_LINE = [
    [[[179, -10], [180, -10], [180, 10], [179, 10], [179, -10]]],
    [[[-180, -10], [-179, -10], [-179, 10], [-180, 10], [-180, -10]]],
]


@pytest.mark.parametrize("polygons", [[[RIGHT_OF_DATE_LINE]], CUT_AT_DATE_LINE])
def test_across_the_antimeridian(polygons) -> None:
    places = [(0, 179.5), (0, -179.5), (0, 180.0), (0, -180.0), (0, 178.9), (0, -178.9), (0, 0)]
    assert holds(polygons, places) == [True] * 4 + [False] * 3
    assert distance(polygons, 0.0, 180.0) == pytest.approx(-111_320, rel=1e-3)  # there is no boundary at the cut


def test_a_ring_around_a_pole_holds_the_pole_it_is_nearer_to() -> None:
    ring = [[-120, 80], [0, 80], [120, 80], [-120, 80]]
    south = [[longitude, -80] for longitude, _ in ring]
    places = [(90, 0), (85, 60), (85, 180), (79, 60), (-85, 60)]
    assert holds([[ring]], places) == [True, True, True, False, False]
    assert holds([[south]], places) == [False, False, False, False, True]
    assert distance([[ring]], 80.01, 179.99) == pytest.approx(-1117, abs=2)


def test_a_ring_around_a_pole_with_a_hole_around_it() -> None:
    outer, hole = ([[-120, lat], [0, lat], [120, lat], [-120, lat]] for lat in (80, 85))
    assert holds([[outer, hole]], [(90, 0), (86, 60), (82, 60), (82, -170), (79, 60)]) == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_a_polygon_closed_along_a_pole_as_rfc_7946_cuts_it() -> None:
    ring = [[-180, -90], [180, -90], [180, -65], [90, -70], [0, -65], [-90, -60], [-180, -65], [-180, -90]]
    assert holds([[ring]], [(-90, 0), (-80, 179.99), (-80, -179.99), (-61, -90), (-62, 90)]) == [True] * 4 + [False]
    assert distance([[ring]], -80.0, 180.0) < -1_000_000  # neither the pole nor the cut is a boundary


def test_the_whole_world_and_a_band_around_it() -> None:
    def box(south, north):
        return [[[-180, south], [180, south], [180, north], [-180, north], [-180, south]]]

    everywhere = [(0, 0), (89, 179.99), (-89, -180)]
    assert holds([box(-90, 90)], everywhere) == [True] * 3
    assert holds([box(-10, 10)], everywhere) == [True, False, False]


def test_islands_on_both_sides_of_the_earth() -> None:
    def square(longitude, latitude):
        a, b = longitude, latitude
        return [[[a, b], [a + 1, b], [a + 1, b + 1], [a, b + 1], [a, b]]]

    places = [(0.5, 0.5), (0.5, 170.5), (0.5, -99.5), (0.5, 90.5), (0.5, -179.5)]
    assert holds([square(0, 0), square(170, 0), square(-100, 0)], places) == [True, True, True, False, False]


@pytest.mark.parametrize("latitude", [0.0, 49.0, -60.0, 80.0])
def test_margins_of_a_polygon_of_hundreds_of_km(latitude: float) -> None:
    """Its northern edge is a parallel of 700 km, and a point 50 m off it is 50 m off it."""
    ring = [[-3, latitude - 3], [3, latitude - 3], [3, latitude], [-3, latitude], [-3, latitude - 3]]
    for east in (-2.9, 0.0, 2.9):
        assert distance([[ring]], latitude + 50 / 111_200, east) == pytest.approx(50, abs=0.6)
        assert distance([[ring]], latitude - 50 / 111_200, east) == pytest.approx(-50, abs=0.6)


@settings(deadline=None)
@given(st.integers(5, 400), st.integers(0, 2**32), st.floats(-1.2, 1.2), st.floats(-1.2, 1.2))
def test_bands_change_nothing(corners: int, seed: int, x: float, y: float) -> None:
    rng = np.random.default_rng(seed)
    angle, radius = np.linspace(0, 2 * np.pi, corners, endpoint=False), rng.uniform(0.3, 1.0, corners)
    points = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    ring = [*points.tolist(), points[0].tolist()]
    line = outline([[ring]])
    edges, starts, _ = banded(line.edges, line.half_width)
    assert starts[-1] == len(edges) <= max(4 * corners, corners)
    ax, ay, bx, by = (line.edges + np.array([line.longitude, 0] * 2)).T
    spans = (ax > x) != (bx > x)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = bool(np.sum(spans & (ay + (x - ax) * (by - ay) / (bx - ax) > y)) % 2)
    dx, dy = (bx - ax) * 111_320, (by - ay) * 110_574
    px, py = (x - ax) * 111_320, (y - ay) * 110_574
    share = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, 1e-9), 0, 1)
    nearest = np.hypot(px - share * dx, py - share * dy).min()
    assume(nearest > 0.01)
    assert holds([[ring]], [(y, x)]) == [expected]
    assert abs(distance([[ring]], y, x)) == pytest.approx(nearest, rel=1e-3, abs=0.1)


SPIKES = [[i / 6000 * (-1) ** i, i / 6000] for i in range(6000)]


@pytest.mark.parametrize(
    ("polygons", "reason"),
    [
        ([], "empty"),
        ([[]], "empty"),
        ([[[[0, 0], [1, 0], [0, 0]]]], "too_few_positions"),
        ([[[[0, 0], [1, 0], [1, 1], [0, 1]]]], "not_closed"),
        ([[[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]], "self_intersection"),
        ([[[[0, 0], [2, 0], [2, 2], [0, 0]]], [[[1, 0], [2, 0], [2, 2], [1, 0]]]], "self_intersection"),
        ([[[[0, 0], [1, 0], [1, 95], [0, 0]]]], "out_of_range"),
        ([[[[0, 0], [1, 0], [1, float("nan")], [0, 0]]]], "out_of_range"),
        ([[[[0, 0], [1], [1, 1], [0, 0]]]], "out_of_range"),
        ([[[[0, 0], *[[1, i / MOST_VERTICES] for i in range(MOST_VERTICES + 1)], [0, 0]]]], "too_many_vertices"),
    ],
)
def test_what_is_wrong_is_named(polygons, reason: str) -> None:
    with pytest.raises(InvalidShape) as caught:
        outline(polygons)
    assert caught.value.reason == reason
