import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geo.earth import course, distance, metres_per_degree, metric_scale, offset, wrap_degrees, wrapped

GEOD = Geod(ellps="WGS84")
latitudes = st.floats(-89.9, 89.9)
longitudes = st.floats(-180, 180)


def test_metres_per_degree_at_the_equator_and_near_a_pole() -> None:
    assert metres_per_degree(0.0) == pytest.approx((110_574.3, 111_319.5), abs=0.1)
    assert metres_per_degree(90.0) == pytest.approx((111_693.9, 0.0), abs=0.1)


@settings(deadline=None)
@given(latitudes)
def test_the_compiled_scale_is_the_same(latitude: float) -> None:
    assert metric_scale(latitude) == pytest.approx(metres_per_degree(latitude), rel=1e-12)


@pytest.mark.parametrize(
    ("given", "expected"), [(190, -170), (-190, 170), (180, -180), (-180, -180), (359.5, -0.5), (0, 0)]
)
def test_longitudes_wrap(given: float, expected: float) -> None:
    assert wrap_degrees(given) == pytest.approx(expected)
    assert wrapped(given) == pytest.approx(expected)


@given(latitudes, longitudes, latitudes, longitudes)
def test_any_distance_is_the_geodesic_one(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    exact = GEOD.inv(lon1, lat1, lon2, lat2)[2]
    assert distance(lat1, lon1, lat2, lon2) == pytest.approx(exact, rel=2e-6, abs=1e-3)


@given(st.floats(-80, 80), longitudes, st.floats(-7000, 7000), st.floats(-7000, 7000))
def test_a_short_offset_is_as_far_as_it_says(lat: float, lon: float, east: float, north: float) -> None:
    there = offset(lat, lon, east, north)
    exact = GEOD.inv(lon, lat, there[1], there[0])[2]
    assert exact == pytest.approx(np.hypot(east, north), rel=5e-3, abs=0.01)


def test_course_in_all_four_directions() -> None:
    assert course(0, 0, [1, 0, -1, 0], [0, 1, 0, -1]) == pytest.approx([0, 90, 180, 270])
    assert course(0, 179.9, 0, -179.9) == pytest.approx(90)


def test_scalars_and_arrays_keep_their_shape() -> None:
    assert np.shape(distance(1.0, 2.0, 3.0, 4.0)) == ()
    assert np.shape(distance([1.0, 1.0], 2.0, 3.0, 4.0)) == (2,)
