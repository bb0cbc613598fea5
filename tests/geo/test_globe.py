import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geo.earth import metres_per_degree, wrap_degrees
from geo.globe import MOST_PIECES, POINT, apart, arc, chord, put_point, split, squared, wrap

GEOD = Geod(ellps="WGS84")
latitudes, longitudes = st.floats(-90, 90), st.floats(-180, 180)


@settings(deadline=None)
@given(st.floats(-1000, 1000))
def test_longitudes_wrap_as_in_columns(degrees: float) -> None:
    assert wrap(degrees) == pytest.approx(float(wrap_degrees(degrees)), abs=1e-9)
    assert -180.0 <= wrap(degrees) < 180.0


@settings(deadline=None)
@given(longitudes, longitudes)
def test_longitudes_are_apart_the_short_way(one: float, other: float) -> None:
    assert apart(one, other) == pytest.approx(abs(wrap(one - other)), abs=1e-9)


@settings(deadline=None)
@given(latitudes, longitudes, st.floats(0, 360), st.floats(0.01, 1_000_000))
def test_the_arc_of_a_chord_is_the_geodesic(lat: float, lon: float, course: float, metres: float) -> None:
    lon1, lat1, _ = GEOD.fwd(lon, lat, course, metres)
    points = np.zeros(2, POINT)
    put_point(points[0], lat, lon)
    put_point(points[1], lat1, lon1)
    assert arc(float(np.sqrt(squared(points[0], points[1])))) == pytest.approx(metres, rel=6e-5, abs=1e-6)
    assert arc(chord(metres)) == pytest.approx(metres, rel=1e-6)


@settings(deadline=None)
@given(latitudes)
def test_a_degree_is_as_long_as_in_columns(latitude: float) -> None:
    point = np.zeros(1, POINT)
    put_point(point[0], latitude, 12.0)
    north, east = metres_per_degree(latitude)
    assert (point["north"][0], point["east"][0]) == (pytest.approx(north), pytest.approx(east, abs=1e-6))


@settings(deadline=None)
@given(latitudes, longitudes, st.floats(0, 360), st.floats(0, 100_000))
def test_pieces_are_short_and_lie_on_the_way(lat: float, lon: float, course: float, metres: float) -> None:
    lon1, lat1, _ = GEOD.fwd(lon, lat, course, metres)
    points = np.zeros(MOST_PIECES + 1, POINT)
    put_point(points[0], lat, lon)
    put_point(points[1], lat1, lon1)
    pieces = split(points)
    way = points[: pieces + 1]
    assert (way["latitude"][[0, -1]].tolist(), way["longitude"][[0, -1]].tolist()) == ([lat, lat1], [lon, lon1])
    steps = GEOD.inv(way["longitude"][:-1], way["latitude"][:-1], way["longitude"][1:], way["latitude"][1:])[2]
    assert sum(steps) == pytest.approx(metres, rel=1e-5, abs=1e-3)  # no detour
    assert max(steps) <= max(2_100.0, 1.5 * metres / MOST_PIECES)


def test_a_leg_over_the_pole_goes_over_it() -> None:
    points = np.zeros(MOST_PIECES + 1, POINT)
    put_point(points[0], 89.999, 10.0)
    put_point(points[1], 89.999, -170.0)
    pieces = split(points)
    assert pieces == MOST_PIECES
    assert points["latitude"][: pieces + 1].max() > 89.9999
