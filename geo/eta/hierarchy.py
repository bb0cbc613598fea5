"""The shrunk hierarchy: seconds as a sum of effects, learned together; few data leave an effect with its parents."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled
from geo.eta.effects import EFFECTS, Effect, Term, knots, terms
from geo.eta.ridge import Sparse, solve
from geo.eta.trips import Trips

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRIOR_MPS = 7.0
"""Speed before any trip has been seen; all effects are drawn to it in the end."""
LEAST_S = 20.0
"""No trip counts as shorter when errors are weighted."""
TOLERANCES = 1e-2, 3e-3, 3e-3
"""Rounds of weighting the squared error anew, to come near the relative absolute one, and how exact each is."""
SOFT = 0.15
"""Relative errors below this count as squares."""
COARSE = 400
"""An effect with no more columns than this is solved for exactly in every step."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Of every effect its keys, ascending (m,), and the seconds a metre they add (m, knots)."""

    keys: Mapping[str, Ints]
    slowness: Mapping[str, Floats]

    @classmethod
    def empty(cls) -> "Hierarchy":
        """One that has seen nothing: everything goes at PRIOR_MPS."""
        return cls({e.name: np.empty(0, np.int64) for e in EFFECTS}, {e.name: np.empty((0, e.knots)) for e in EFFECTS})

    def seconds(self, trips: Trips) -> Floats:
        """(n,) seconds each trip takes; a key that was never seen adds nothing to its parents. NaN gives NaN."""
        total, acting = _base(trips), terms(trips)
        for effect in EFFECTS:
            term = acting[effect.name]
            added = self._added(effect, term.key, trips.minute[term.trip]) * term.value
            total += np.bincount(term.trip, added, len(trips))
        return total

    def speeds(self, trips: Trips) -> Floats:
        """(k,) m/s on each step at the time of its trip's departure, without crossings and turns."""
        acting, minute = terms(trips), trips.minute[trips.trip]
        slowness = np.full(len(trips.edge), 1.0 / PRIOR_MPS)
        for effect in EFFECTS:
            if effect.per == "metre":
                slowness += self._added(effect, acting[effect.name].key, minute)
        speed: Floats = 1.0 / np.clip(slowness, 1.0 / MOST_MPS, 1.0 / LEAST_MPS)
        return speed

    def _added(self, effect: Effect, key: Ints, minute: Floats) -> Floats:
        keys, slowness = self.keys[effect.name], self.slowness[effect.name]
        if not len(keys):
            return np.zeros(len(key))
        row = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        before, after, share = knots(effect, minute)
        added = slowness[row, before] * (1.0 - share) + slowness[row, after] * share
        return np.where(keys[row] == key, added, 0.0)


LEAST_MPS, MOST_MPS = 0.5, 60.0
"""Speeds lie between these, whatever was learned."""


def fit(trips: Trips, seconds: Floats, progress: Callable[[float], object] = lambda share: None) -> Hierarchy:
    """Learn from finished trips and how long they took, (n,) s; `progress` hears the share done of the work.

    The relative absolute error is made small by rounds of weighted squares (iteratively reweighted least squares).
    """
    design, base = Design.of(trips), _base(trips)
    x = np.zeros(design.matrix.columns)
    for turn, tolerance in enumerate(TOLERANCES):
        expected = np.maximum(base + design.matrix.times(x), LEAST_S)
        off = np.abs(seconds - expected) / expected if turn else np.full(len(seconds), 2.0 * SOFT)
        weight = 2.0 * SOFT / np.maximum(off, SOFT) / expected**2
        if turn:
            weight *= np.sqrt(expected / seconds)
        x = solve(design.matrix, seconds - base, weight, design.ridge, x, design.coarse, tolerance)
        progress((turn + 1) / len(TOLERANCES))
    return design.hierarchy(x)


def _base(trips: Trips) -> Floats:
    """(n,) s before anything is learned: what a planner reckons where it does so for every step, else PRIOR_MPS."""
    planned = trips.sums(trips.planned + np.nan_to_num(trips.delay))
    return np.where(np.isfinite(planned) & (planned > 0), planned, trips.metres / PRIOR_MPS)


@dataclass(frozen=True, slots=True)
class Design:
    """The effects of trips as one sparse matrix (trips, keys x knots of all effects) of metres' worth."""

    effects: tuple[Effect, ...]  # in the order of their columns
    keys: Mapping[str, Ints]
    matrix: Sparse
    ridge: Floats
    coarse: int
    """Columns of the effects with few keys, which come first."""

    @classmethod
    def of(cls, trips: Trips) -> "Design":
        """Line the effects up, each with the keys that occur."""
        acting, keys, places = dict[str, Term](), dict[str, Ints](), dict[str, Ints]()
        for name, term in terms(trips).items():
            known = term.key >= 0
            acting[name] = Term(term.trip[known], term.key[known], term.value[known])
            keys[name], places[name] = np.unique(term.key[known], return_inverse=True)
        effects = tuple(sorted(EFFECTS, key=lambda effect: len(keys[effect.name]) * effect.knots))
        sizes = [len(keys[effect.name]) * effect.knots for effect in effects]
        parts = list[tuple[Ints, Ints, Floats]]()
        for effect, first in zip(effects, np.cumsum([0, *sizes]).tolist(), strict=False):
            term = acting[effect.name]
            row, column, value = _merged(term.trip, places[effect.name], term.value, len(keys[effect.name]))
            column = first + column * effect.knots
            if effect.knots > 1:
                before, after, share = knots(effect, trips.minute[row])
                parts.append((row, column + after, value * share))
                column, value = column + before, value * (1.0 - share)
            parts.append((row, column, value))
        row, column, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        return cls(
            effects,
            keys,
            Sparse.of(row, column, value, len(trips), sum(sizes)),
            np.repeat([effect.ridge for effect in effects], sizes),
            sum(size for size in sizes if size <= COARSE),
        )

    def hierarchy(self, x: Floats) -> Hierarchy:
        """The effects with their solved values."""
        slowness, start = dict[str, Floats](), 0
        for effect in self.effects:
            size = len(self.keys[effect.name]) * effect.knots
            slowness[effect.name] = x[start : start + size].reshape(-1, effect.knots)
            start += size
        return Hierarchy(self.keys, slowness)


@compiled
def _merged(trip: Ints, column: Ints, value: Floats, columns: int) -> tuple[Ints, Ints, Floats]:
    """Entries by trip with those of the same trip and column added up."""
    place = np.full(columns, -1, np.int64)  # where this column's entry of the current trip is
    row, to, total = np.empty_like(trip), np.empty_like(column), np.empty_like(value)
    n, start = 0, 0
    for i in range(len(trip)):
        if i == 0 or trip[i] != trip[i - 1]:
            start = n
        at = place[column[i]]
        if at >= start:
            total[at] += value[i]
        else:
            place[column[i]] = n
            row[n], to[n], total[n] = trip[i], column[i], value[i]
            n += 1
    return row[:n], to[:n], total[:n]
