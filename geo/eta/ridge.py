"""Ridge regression on sparse columns: many small effects, each drawn towards zero as far as data are few."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_STEPS = 300
"""Conjugate gradients end after so many steps at the latest."""


class Sparse(NamedTuple):
    """A matrix (rows, columns) as its entries (q,): row, column and value."""

    row: Ints
    column: Ints
    value: Floats
    rows: int
    columns: int

    def times(self, x: Floats) -> Floats:
        """The matrix times x (columns,): (rows,)."""
        out = np.zeros(self.rows)
        _gather(self.row, self.column, self.value, x, out)
        return out

    def transposed_times(self, y: Floats) -> Floats:
        """The transposed matrix times y (rows,): (columns,)."""
        out = np.zeros(self.columns)
        _gather(self.column, self.row, self.value, y, out)
        return out


@compiled
def _gather(to: Ints, source: Ints, value: Floats, x: Floats, out: Floats) -> None:
    for i in range(len(to)):
        out[to[i]] += value[i] * x[source[i]]


def solve(matrix: Sparse, y: Floats, weight: Floats, ridge: Floats, start: Floats, tolerance: float = 1e-3) -> Floats:
    """The x (columns,) that makes Σ weight (y - matrix x)² + Σ ridge x² least, from `start` on.

    Preconditioned conjugate gradients (Golub and Van Loan, Matrix Computations, 4th ed., algorithm 11.5.1) with the
    diagonal; it ends when the residual is `tolerance` of what it would be at x = 0.
    """
    square = Sparse(matrix.row, matrix.column, matrix.value**2, matrix.rows, matrix.columns)
    diagonal = square.transposed_times(weight) + ridge
    b = matrix.transposed_times(weight * y)
    x = start.copy()
    residual = b - matrix.transposed_times(weight * matrix.times(x)) - ridge * x
    bound = tolerance**2 * float(b @ (b / diagonal))
    scaled = residual / diagonal
    direction, power = scaled, float(residual @ scaled)
    for _ in range(MOST_STEPS):
        if power <= bound:
            break
        ahead = matrix.transposed_times(weight * matrix.times(direction)) + ridge * direction
        step = power / float(direction @ ahead)
        x = x + step * direction
        residual = residual - step * ahead
        scaled = residual / diagonal
        before, power = power, float(residual @ scaled)
        direction = scaled + power / before * direction
    return x
