import numpy as np
import pytest

from geo.eta.ridge import Sparse, solve


@pytest.mark.parametrize("coarse", [0, 5, 20])
def test_it_solves_the_normal_equations(coarse: int) -> None:
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((60, 20)) < 0.3, rng.normal(size=(60, 20)), 0.0)
    y, weight, ridge = rng.normal(size=60), rng.uniform(0.5, 2.0, 60), rng.uniform(0.1, 3.0, 20)
    row, column = np.nonzero(dense)
    dense = dense.astype(np.float32).astype(np.float64)
    matrix = Sparse.of(row[::-1], column[::-1], dense[row, column][::-1], 60, 20)
    exact = np.linalg.solve(dense.T @ (weight[:, None] * dense) + np.diag(ridge), dense.T @ (weight * y))

    np.testing.assert_allclose(solve(matrix, y, weight, ridge, np.zeros(20), coarse, 1e-10), exact, atol=1e-8)
    np.testing.assert_allclose(solve(matrix, y, weight, ridge, exact, coarse), exact, atol=1e-8)


def test_what_no_row_tells_about_stays_zero() -> None:
    matrix = Sparse.of(np.array([0]), np.array([0]), np.array([1.0]), 1, 2)

    assert solve(matrix, np.array([2.0]), np.ones(1), np.ones(2), np.zeros(2)).tolist() == [1.0, 0.0]
