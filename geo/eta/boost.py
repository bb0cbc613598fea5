"""Gradient-boosted trees of three questions each: small enough to be an array, and to be asked in a microsecond."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

DEPTH = 3
NODES, LEAVES = 2**DEPTH - 1, 2**DEPTH
TREES = 250
RATE = 0.03
"""The share of what a tree has found that is kept."""
ROWS, FEATURES = 0.7, 0.4
"""Shares of the rows and of the features, drawn anew, that a tree sees."""
LEAST_ROWS = 50
RIDGE = 10.0
"""Rows of nothing that every leaf has besides its own."""
BINS = 64


class Trees(NamedTuple):
    """t trees: node j of a tree asks whether a feature is above a threshold and leads to node 2j + 1 (no) or 2j + 2."""

    feature: Ints  # (t, NODES)
    threshold: Floats  # (t, NODES)
    leaf: Floats  # (t, LEAVES)

    @classmethod
    def none(cls) -> "Trees":
        """No tree: 0 everywhere."""
        return cls(np.empty((0, NODES), np.int64), np.empty((0, NODES)), np.empty((0, LEAVES)))

    def predict(self, features: Floats) -> Floats:
        """(n,) from features (n, f); NaN is above nothing."""
        return _predict(self.feature, self.threshold, self.leaf, features)


def fit(features: Floats, target: Floats, weight: Floats, seed: int = 0) -> Trees:
    """Learn target (n,) from features (n, f) by weighted squares (Friedman, Stochastic gradient boosting, 2002).

    Features are sorted into BINS bins first, so that the best split of a node is a walk over sums per bin.
    """
    rows, columns = features.shape
    if rows < 4 * LEAST_ROWS:
        return Trees.none()
    rng = np.random.default_rng(seed)
    edges = np.quantile(np.nan_to_num(features, nan=-1e300), np.linspace(0, 1, BINS + 1)[1:-1], axis=0, method="higher")
    bins = np.stack([np.searchsorted(edges[:, j], features[:, j]) for j in range(columns)], axis=1).astype(np.uint8)
    bins[np.isnan(features)] = 0
    feature, at = np.zeros((TREES, NODES), np.int64), np.zeros((TREES, NODES), np.int64)
    leaf, residual = np.zeros((TREES, LEAVES)), target.copy()
    for tree in range(TREES):
        seen = np.less(rng.random(rows), ROWS)
        asked = np.sort(rng.permutation(columns)[: max(1, round(FEATURES * columns))])
        feature[tree], at[tree], leaf[tree] = _grow(bins, residual, weight, seen, asked)
    threshold = np.where(at < BINS - 1, edges[np.minimum(at, BINS - 2), feature], np.inf)
    return Trees(feature, threshold, leaf)


@compiled
def _grow(
    bins: Bytes, residual: Floats, weight: Floats, seen: NDArray[np.bool_], asked: Ints
) -> tuple[Ints, Ints, Floats]:
    """One tree, as its nodes' features and highest bins of no; what it finds is taken from `residual`."""
    n = len(residual)
    node = np.zeros(n, np.int64)
    feature, at = np.zeros(NODES, np.int64), np.full(NODES, BINS - 1)
    first, width = 0, 1
    for _ in range(DEPTH):
        _split(bins, residual, weight, seen, asked, node, first, width, feature, at)
        for i in range(n):
            node[i] = 2 * node[i] + (2 if bins[i, feature[node[i]]] > at[node[i]] else 1)
        first, width = 2 * first + 1, 2 * width
    total, mass, leaf = np.zeros(LEAVES), np.full(LEAVES, RIDGE), np.zeros(LEAVES)
    for i in range(n):
        if seen[i]:
            total[node[i] - first] += weight[i] * residual[i]
            mass[node[i] - first] += weight[i]
    for j in range(LEAVES):
        leaf[j] = RATE * total[j] / mass[j]
    for i in range(n):
        residual[i] -= leaf[node[i] - first]
    return feature, at, leaf


@compiled
def _split(
    bins: Bytes,
    residual: Floats,
    weight: Floats,
    seen: NDArray[np.bool_],
    asked: Ints,
    node: Ints,
    first: int,
    width: int,
    feature: Ints,
    at: Ints,
) -> None:
    """Find the best question for each of the `width` nodes from `first` on."""
    best = np.full(width, 1e-9)
    total, mass, count = np.zeros((width, BINS)), np.zeros((width, BINS)), np.zeros((width, BINS), np.int64)
    for j in asked:
        total[:], mass[:], count[:] = 0.0, 0.0, 0
        for i in range(len(residual)):
            if seen[i]:
                k, b = node[i] - first, bins[i, j]
                total[k, b] += weight[i] * residual[i]
                mass[k, b] += weight[i]
                count[k, b] += 1
        for k in range(width):
            whole, heavy, many = total[k].sum(), mass[k].sum(), count[k].sum()
            below, light, few = 0.0, 0.0, 0
            for b in range(BINS - 1):
                below, light, few = below + total[k, b], light + mass[k, b], few + count[k, b]
                if few < LEAST_ROWS or many - few < LEAST_ROWS:
                    continue
                gain = (
                    below * below / (light + RIDGE)
                    + (whole - below) ** 2 / (heavy - light + RIDGE)
                    - whole * whole / (heavy + RIDGE)
                )
                if gain > best[k]:
                    best[k], feature[first + k], at[first + k] = gain, j, b


@compiled
def _predict(feature: Ints, threshold: Floats, leaf: Floats, features: Floats) -> Floats:
    out = np.zeros(len(features))
    for i in range(len(features)):
        for tree in range(len(feature)):
            node = 0
            for _ in range(DEPTH):
                above = features[i, feature[tree, node]] > threshold[tree, node]
                node = 2 * node + (2 if above else 1)
            out[i] += leaf[tree, node - NODES]
    return out
