import numpy as np
import pytest

from geo.cuts import CUT, boundary_distance, cut_leg, inside
from geo.fences import Area, Circle, FenceIndex
from geo.globe import MOST_PIECES, POINT, put_point, split

ROUND_THE_POLE = Area([[[[-120, 89.9], [0, 89.9], [120, 89.9], [-120, 89.9]]]])
RADIUS = 11_169.0  # of a circle through the same corners: a tenth of a degree of latitude


def one(shape):
    index = FenceIndex()
    index.put({0: shape})
    return index.shapes, index.shapes.areas[0]


def point(latitude: float, longitude: float):
    points = np.zeros(1, POINT)
    put_point(points[0], latitude, longitude)
    return points[0]


def cut(shape, start, end):
    """Fractions, and whether the leg starts and ends inside."""
    shapes, area = one(shape)
    points, found = np.zeros(MOST_PIECES + 1, POINT), np.zeros(shapes.most_cuts, CUT)
    put_point(points[0], *start)
    put_point(points[1], *end)
    pieces = split(points)
    count, inside0, inside1 = cut_leg(shapes, area, points, pieces, found)
    return found[:count], inside0, inside1


@pytest.mark.parametrize("shape", [ROUND_THE_POLE, Circle(90.0, 0.0, RADIUS)])
def test_a_leg_over_the_pole_goes_in_and_out(shape) -> None:
    found, inside0, inside1 = cut(shape, (89.8, 10.0), (89.8, -170.0))
    assert found["fraction"] == pytest.approx([0.25, 0.75], abs=1e-3)
    assert found["rate"] == pytest.approx(4 * RADIUS, rel=1e-2)  # m a leg
    assert (inside0, inside1) == (False, False)
    assert inside(*one(shape), point(90.0, 33.0))


@pytest.mark.parametrize("shape", [ROUND_THE_POLE, Circle(90.0, 0.0, RADIUS)])
@pytest.mark.parametrize(("latitude", "away"), [(89.99, 0.9 * RADIUS), (89.89, 0.1 * RADIUS)])
def test_a_boundary_around_the_pole_is_as_far_from_every_side(shape, latitude: float, away: float) -> None:
    for longitude in (-180.0, -60.0, 1.0, 179.9):
        assert boundary_distance(*one(shape), point(latitude, longitude), np.inf) == pytest.approx(away, rel=3e-3)


def test_beyond_the_limit_a_distance_is_only_no_less() -> None:
    corners = [[np.sin(a), np.cos(a)] for a in np.linspace(0, 2 * np.pi, 400)[:-1]]
    shapes, area = one(Area([[[*corners, corners[0]]]]))
    exact = boundary_distance(shapes, area, point(0.5, 0.0), np.inf)
    assert exact == pytest.approx(0.5 * 110_600, rel=1e-2)
    assert boundary_distance(shapes, area, point(0.5, 0.0), 2 * exact) == exact
    assert boundary_distance(shapes, area, point(0.5, 0.0), exact / 9) > exact / 9


def test_a_corner_touched_by_rounding_leaves_in_and_out_in_turn() -> None:
    triangle = Area([[[[0, 0], [1, 0], [0.5, 1], [0, 0]]]])
    for start in np.linspace(-1e-9, 1e-9, 21):
        found, inside0, inside1 = cut(triangle, (1.0 + start, 0.499), (1.0 + start, 0.501))
        assert (len(found) % 2 == 1) == (inside0 != inside1)
