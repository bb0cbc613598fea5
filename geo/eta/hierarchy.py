"""The shrunk hierarchy: seconds as a sum of effects, learned together; few data leave an effect with its parents."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled
from geo.eta.effects import EFFECTS, Effect, knots, terms
from geo.eta.ridge import Sparse, solve
from geo.eta.trips import Trips

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRIOR_MPS = 7.0
"""Speed before any trip has been seen; all effects are drawn to it in the end."""
LEAST_S = 20.0
"""No trip counts as shorter when errors are weighted."""
ROUNDS = 3
"""Times the squared error is weighted anew, to come near the relative absolute one."""
SOFT = 0.1
"""Relative errors below this count as squares."""


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
        total, acting = trips.metres / PRIOR_MPS, terms(trips)
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
    design = Design.of(trips)
    base, x = trips.metres / PRIOR_MPS, np.zeros(design.matrix.columns)
    for turn in range(ROUNDS):
        expected = np.maximum(base + design.matrix.times(x), LEAST_S)
        off = np.abs(seconds - expected) / expected if turn else np.full(len(seconds), 2.0 * SOFT)
        weight = 2.0 * SOFT / np.maximum(off, SOFT) / expected**2
        x = solve(design.matrix, seconds - base, weight, design.ridge, x)
        progress((turn + 1) / ROUNDS)
    return design.hierarchy(x)


@dataclass(frozen=True, slots=True)
class Design:
    """The effects of trips as one sparse matrix (trips, keys x knots of all effects) of metres' worth."""

    keys: Mapping[str, Ints]
    matrix: Sparse
    ridge: Floats

    @classmethod
    def of(cls, trips: Trips) -> "Design":
        """Line the effects up, each with the keys that occur."""
        keys, parts, scale, columns = dict[str, Ints](), list[tuple[Ints, Ints, Floats]](), list[Floats](), 0
        for name, term in terms(trips).items():
            effect = next(e for e in EFFECTS if e.name == name)
            known = term.key >= 0
            keys[name], column = np.unique(term.key[known], return_inverse=True)
            row, column, value = _merged(term.trip[known], column, term.value[known], len(keys[name]))
            if effect.knots == 1:
                parts.append((row, columns + column, value))
            else:
                before, after, share = knots(effect, trips.minute[row])
                at = columns + column * effect.knots
                parts += [(row, at + before, value * (1.0 - share)), (row, at + after, value * share)]
            size = len(keys[name]) * effect.knots
            scale.append(np.full(size, effect.ridge))
            columns += size
        row, column, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        return cls(keys, Sparse(row, column, value, len(trips), columns), np.concatenate(scale))

    def hierarchy(self, x: Floats) -> Hierarchy:
        """The effects with their solved values."""
        slowness, start = dict[str, Floats](), 0
        for effect in EFFECTS:
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
