import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.routes import Path
from tests.fixes import place


def path(*points: tuple[float, float]) -> Path:
    east, north = np.array(points, float).T
    return Path.of(*place(east, north))


def test_distance_along_and_off() -> None:
    street = path((0, 0), (1000, 0), (1000, 500))
    latitude, longitude = place(400.0, 30.0)
    along, off = street.locate(float(latitude), float(longitude))
    assert along == pytest.approx(400, abs=0.5)
    assert off == pytest.approx(30, abs=0.1)
    assert street.along[-1] == pytest.approx(1500, abs=1)


def test_a_window_keeps_to_the_right_pass_of_a_path_that_comes_back() -> None:
    there_and_back = path((0, 0), (1000, 0), (1000, 10), (0, 10))
    latitude, longitude = (float(x) for x in place(400.0, 6.0))
    assert there_and_back.locate(latitude, longitude)[0] == pytest.approx(1610, abs=1)
    assert there_and_back.locate(latitude, longitude, since=300, until=700)[0] == pytest.approx(400, abs=1)


def test_an_empty_window_is_nowhere() -> None:
    assert np.isnan(path((0, 0), (10, 0)).locate(25.0, 121.5, since=11)).all()


def test_a_vertex_twice_does_no_harm() -> None:
    latitude, longitude = (float(x) for x in place(0.0, 0.0))
    assert path((0, 0), (0, 0), (10, 0)).locate(latitude, longitude) == (0.0, 0.0)


@given(st.floats(0, 1), st.integers(0, 3))
def test_a_point_on_the_path_is_found_on_it(share: float, leg: int) -> None:
    points = [(0, 0), (300, 0), (300, 400), (-100, 900), (-700, 900)]
    street = path(*points)
    (x0, y0), (x1, y1) = points[leg], points[leg + 1]
    latitude, longitude = place(x0 + share * (x1 - x0), y0 + share * (y1 - y0))
    along, off = street.locate(float(latitude), float(longitude))
    assert off < 0.5
    expected = street.along[leg] + share * (street.along[leg + 1] - street.along[leg])
    assert along == pytest.approx(expected, abs=1.0)
