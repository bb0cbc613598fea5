import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.traffic import city_fences, city_points
from geo.clearance import clearance
from geo.fences import FenceIndex
from geo.globe import POINT, put_point
from tracker.shapes import geofence_shape

INDEX = FenceIndex()
INDEX.put({key: geofence_shape(fence) for key, fence in enumerate(city_fences(3_000, seed=3))})
KEYS = np.arange(3_000)


def clear(latitude: float, longitude: float, least: float) -> float:
    place = np.zeros(1, POINT)
    put_point(place[0], latitude, longitude)
    return clearance(INDEX.cells, INDEX.shapes, place[0], least)


@settings(deadline=None)
@given(st.integers(0, 1_000_000), st.sampled_from([0.0, 10.0, 100.0]))
def test_no_boundary_is_nearer(seed: int, least: float) -> None:
    (latitude,), (longitude,) = city_points(1, seed)
    nearest = np.abs(INDEX.signed_distance(np.full(3_000, latitude), np.full(3_000, longitude), KEYS)).min()
    found = clear(latitude, longitude, least)
    assert found <= least or found <= 1.001 * nearest + 0.1
    assert (found > least) == (clear(latitude, longitude, 0.0) > least)


def test_it_is_most_of_the_way_to_the_nearest_boundary() -> None:
    latitude, longitude = city_points(200, seed=4)
    nearest = [
        np.abs(INDEX.signed_distance(np.full(3_000, lat), np.full(3_000, lon), KEYS)).min()
        for lat, lon in zip(latitude, longitude, strict=True)
    ]
    found = [clear(lat, lon, 0.0) for lat, lon in zip(latitude, longitude, strict=True)]
    assert np.median(np.minimum(found, 100.0) / np.minimum(nearest, 100.0)) > 0.5


def test_near_a_pole_nothing_is_said() -> None:
    assert clear(89.0, 20.0, 0.0) == 0.0
