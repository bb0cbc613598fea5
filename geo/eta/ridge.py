"""Ridge regression on sparse columns: many small effects, each drawn towards zero as far as data are few."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_STEPS = 200
"""Conjugate gradients end after so many steps at the latest."""


class Sparse(NamedTuple):
    """A matrix of r rows: row i has value[start[i]:start[i + 1]] in the columns of the same places."""

    start: Ints  # (r + 1,)
    column: NDArray[np.int32]
    value: NDArray[np.float32]
    columns: int

    @classmethod
    def of(cls, row: Ints, column: Ints, value: Floats, rows: int, columns: int) -> "Sparse":
        """From entries (q,) in any order; a place that occurs twice counts twice."""
        start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
        return cls(start, *_by_row(row, column, value, start[:-1].copy()), columns)

    def times(self, x: Floats) -> Floats:
        """The matrix times x (columns,): (r,)."""
        return _times(self.start, self.column, self.value, x)

    def normal(self, weight: Floats, x: Floats) -> Floats:
        """The transposed matrix times weight (r,) times the matrix times x (columns,): (columns,), in one pass."""
        return _normal(self.start, self.column, self.value, weight, x)

    def transposed_times(self, y: Floats, power: int = 1) -> Floats:
        """The transposed matrix, its values to a power, times y (r,): (columns,)."""
        return _transposed_times(self.start, self.column, self.value, y, self.columns, power)


@compiled
def _by_row(row: Ints, column: Ints, value: Floats, place: Ints) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    columns, values = np.empty(len(row), np.int32), np.empty(len(row), np.float32)
    for i in range(len(row)):
        at = place[row[i]]
        columns[at], values[at] = column[i], value[i]
        place[row[i]] = at + 1
    return columns, values


@compiled
def _times(start: Ints, column: NDArray[np.int32], value: NDArray[np.float32], x: Floats) -> Floats:
    out = np.zeros(len(start) - 1)
    for row in range(len(out)):
        for i in range(start[row], start[row + 1]):
            out[row] += value[i] * x[column[i]]
    return out


@compiled
def _normal(start: Ints, column: NDArray[np.int32], value: NDArray[np.float32], weight: Floats, x: Floats) -> Floats:
    out = np.zeros(len(x))
    for row in range(len(start) - 1):
        total = 0.0
        for i in range(start[row], start[row + 1]):
            total += value[i] * x[column[i]]
        total *= weight[row]
        for i in range(start[row], start[row + 1]):
            out[column[i]] += value[i] * total
    return out


@compiled
def _transposed_times(
    start: Ints, column: NDArray[np.int32], value: NDArray[np.float32], y: Floats, columns: int, power: int
) -> Floats:
    out = np.zeros(columns)
    for row in range(len(start) - 1):
        for i in range(start[row], start[row + 1]):
            out[column[i]] += value[i] ** power * y[row]
    return out


@compiled
def _gram(start: Ints, column: NDArray[np.int32], value: NDArray[np.float32], weight: Floats, size: int) -> Floats:
    out = np.zeros((size, size))
    for row in range(len(start) - 1):
        for i in range(start[row], start[row + 1]):
            if column[i] < size:
                share = weight[row] * value[i]
                for j in range(start[row], start[row + 1]):
                    if column[j] < size:
                        out[column[i], column[j]] += share * value[j]
    return out


def solve(
    matrix: Sparse, y: Floats, weight: Floats, ridge: Floats, begin: Floats, coarse: int = 0, tolerance: float = 3e-3
) -> Floats:
    """The x (columns,) that makes Σ weight (y - matrix x)² + Σ ridge x² least, from x = `begin` on.

    Conjugate gradients (Golub and Van Loan, Matrix Computations, 4th ed., section 11.5), preconditioned with the exact
    inverse for the first `coarse` columns, which many rows share, and the diagonal for the rest; it ends when the
    residual is `tolerance` of what it is at x = 0.
    """
    diagonal = matrix.transposed_times(weight, 2) + ridge
    gram = _gram(matrix.start, matrix.column, matrix.value, weight, coarse)
    inverse = np.linalg.inv(gram + np.diag(ridge[:coarse]))

    def preconditioned(residual: Floats) -> Floats:
        return np.concatenate([inverse @ residual[:coarse], residual[coarse:] / diagonal[coarse:]])

    b = matrix.transposed_times(weight * y)
    bound = tolerance**2 * float(b @ preconditioned(b))
    x = begin.copy()
    residual = b - matrix.normal(weight, x) - ridge * x
    scaled = preconditioned(residual)
    direction, power = scaled, float(residual @ scaled)
    for _ in range(MOST_STEPS):
        if power <= bound:
            break
        ahead = matrix.normal(weight, direction) + ridge * direction
        step = power / float(direction @ ahead)
        x += step * direction
        residual -= step * ahead
        scaled = preconditioned(residual)
        before, power = power, float(residual @ scaled)
        direction = scaled + power / before * direction
    return x
