import numpy as np
import pytest

from geo.earth import offset
from geo.eta.cells import CELL_M, PIECE_M, trips_of_paths


def test_a_path_becomes_runs_of_squares_of_its_length() -> None:
    latitude, longitude = offset(25.0, 121.5, np.array([0.0, 1000.0, 1000.0]), np.array([0.0, 0.0, 500.0]))
    trips = trips_of_paths(np.array([0, 3]), latitude, longitude, np.zeros(1))

    assert trips.kind == "cells"
    assert trips.metres[0] == pytest.approx(1500.0, rel=1e-4)
    assert 9 <= len(trips.edge) <= 14
    assert trips.length.max() <= 1.5 * CELL_M
    np.testing.assert_allclose(trips.latitude[1:, 0], trips.latitude[:-1, 1])
    assert len(np.unique(trips.edge)) == len(trips.edge)


def test_the_way_back_is_another_way() -> None:
    latitude, longitude = offset(25.0, 121.5, np.array([0.0, 600.0, 600.0, 0.0]), np.zeros(4))
    trips = trips_of_paths(np.array([0, 2, 4]), latitude, longitude, np.zeros(2))

    there, back = (set(trips.edge[trips.trip == i].tolist()) for i in (0, 1))
    assert not there & back


def test_how_finely_a_path_is_drawn_does_not_matter() -> None:
    east = np.linspace(0.0, 900.0, 10)
    coarse = offset(25.0, 121.5, east[[0, -1]], np.zeros(2))
    fine = offset(25.0, 121.5, east, np.zeros(10))
    one, other = (trips_of_paths(np.array([0, len(p[0])]), *p, np.zeros(1)) for p in (coarse, fine))

    assert one.edge.tolist() == other.edge.tolist()
    np.testing.assert_allclose(one.length, other.length, atol=2 * PIECE_M)


def test_a_path_of_no_or_one_vertex_has_no_steps() -> None:
    trips = trips_of_paths(np.array([0, 0, 1, 3]), np.zeros(3), np.array([0.0, 0.0, 0.001]), np.zeros(3))

    assert np.diff(trips.offset).tolist()[:2] == [0, 0]
    assert trips.metres[2] == pytest.approx(111.3, abs=0.5)
    assert len(trips_of_paths(np.array([0]), np.empty(0), np.empty(0), np.empty(0))) == 0
