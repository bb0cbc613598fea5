"""Trips by road in columns: ragged, so that a fleet's year and a single delivery are the same arrays."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WEEK_MIN = 10_080.0


@dataclass(frozen=True, slots=True)
class Trips:
    """n trips of k steps in all; trip i is the steps offset[i]:offset[i + 1] in the order they are driven.

    A step is one road edge, or one cell of a grid, from where it is entered to where it is left. What is not known is
    NaN; a class, -1.
    """

    offset: Ints
    """(n + 1,), from 0 to k."""
    edge: Ints
    """(k,) any number that names the edge or cell, the same in every trip."""
    length: Floats
    """(k,) m along the road."""
    road: Ints
    """(k,) class of the road, an index into `classes`; -1 is not known."""
    classes: tuple[str, ...]
    minute: Floats
    """(n,) minute of the local week at departure, from Monday 00:00; any weekly phase does if it is always the same."""
    latitude: Floats
    """(k, 2) where the step starts and ends, degrees."""
    longitude: Floats
    planned: Floats
    """(k,) seconds a planner reckons for the step."""
    delay: Floats
    """(k,) seconds a planner reckons for the crossing at the step's end."""
    kind: str = "edges"
    """What `edge` names: "edges" of a road network, or "cells" of a grid."""

    @classmethod
    def of(
        cls,
        offset: ArrayLike,
        edge: ArrayLike,
        length: ArrayLike,
        minute: ArrayLike,
        *,
        road: ArrayLike = -1,
        classes: tuple[str, ...] = (),
        latitude: ArrayLike = np.nan,
        longitude: ArrayLike = np.nan,
        planned: ArrayLike = np.nan,
        delay: ArrayLike = np.nan,
        kind: str = "edges",
    ) -> "Trips":
        """Trips from array-likes; what is left out is not known."""
        offset, edge = np.asarray(offset, np.int64), np.asarray(edge, np.int64)
        k = len(edge)

        def column(values: ArrayLike, *shape: int) -> Floats:
            return np.broadcast_to(np.asarray(values, np.float64), shape)

        return cls(
            offset=offset,
            edge=edge,
            length=column(length, k),
            road=np.broadcast_to(np.asarray(road, np.int64), (k,)),
            classes=classes,
            minute=np.mod(column(minute, len(offset) - 1), WEEK_MIN),
            latitude=column(latitude, k, 2),
            longitude=column(longitude, k, 2),
            planned=column(planned, k),
            delay=column(delay, k),
            kind=kind,
        )

    def __len__(self) -> int:
        return len(self.offset) - 1

    @property
    def trip(self) -> Ints:
        """(k,) which trip each step belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offset))

    @property
    def metres(self) -> Floats:
        """(n,) length of each trip."""
        return self.sums(self.length)

    def sums(self, values: Floats) -> Floats:
        """(n,) sums of a column of steps over each trip; of a trip without steps 0."""
        return np.bincount(self.trip, values, len(self)).astype(np.float64)

    def recoded(self, classes: tuple[str, ...]) -> "Trips":
        """The same trips with their roads' classes as indices into `classes`; one that is not there is not known."""
        if classes == self.classes:
            return self
        code = np.array([classes.index(name) if name in classes else -1 for name in self.classes] + [-1])
        return replace(self, road=code[self.road], classes=classes)

    def take(self, index: ArrayLike) -> "Trips":
        """Some of the trips: an index or a mask (n,)."""
        chosen = np.arange(len(self))[np.asarray(index)]
        counts = np.diff(self.offset)[chosen]
        offset = np.concatenate([[0], np.cumsum(counts)])
        step = np.repeat(self.offset[chosen] - offset[:-1], counts) + np.arange(offset[-1])
        return Trips(
            offset=offset,
            edge=self.edge[step],
            length=self.length[step],
            road=self.road[step],
            classes=self.classes,
            minute=self.minute[chosen],
            latitude=self.latitude[step],
            longitude=self.longitude[step],
            planned=self.planned[step],
            delay=self.delay[step],
            kind=self.kind,
        )
