"""What is known of a trip as a whole, in columns, for what the sum over its steps misses."""

import numpy as np
from numpy.typing import NDArray

from geo.eta.effects import straight, turns
from geo.eta.trips import Trips

Floats = NDArray[np.float64]

SHARP = np.radians(50.0)
MOST_CLASSES = 12
"""The classes of the vocabulary whose shares are looked at."""


def features(trips: Trips, expected: Floats) -> Floats:
    """(n, f) of trips and the seconds (n,) the hierarchy expects; NaN is not known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.column_stack([*_whole(trips, expected), *_ends(trips), *_shape(trips), *_shares(trips)])


def _whole(trips: Trips, expected: Floats) -> list[Floats]:
    metres, planned, delay = trips.metres, trips.sums(trips.planned), trips.sums(trips.delay)
    steps = np.diff(trips.offset).astype(np.float64)
    return [
        expected,
        metres,
        metres / expected,
        steps,
        metres / steps,
        np.mod(trips.minute, 1440.0),
        trips.minute,
        planned,
        metres / planned,
        delay / planned,
        trips.sums((trips.delay > 0).astype(np.float64)),
        (planned + delay) / expected,
    ]


def _ends(trips: Trips) -> list[Floats]:
    """Where it starts and ends, which way that is, and how long the first and the last step are."""
    columns = np.full((7, len(trips)), np.nan)
    some = np.flatnonzero(np.diff(trips.offset))
    first, last = trips.offset[:-1][some], trips.offset[1:][some] - 1
    columns[0, some], columns[1, some] = trips.latitude[first, 0], trips.longitude[first, 0]
    columns[2, some], columns[3, some] = trips.latitude[last, 1], trips.longitude[last, 1]
    columns[4] = np.arctan2(columns[2] - columns[0], columns[3] - columns[1])
    columns[5, some], columns[6, some] = trips.length[first], trips.length[last]
    return list(columns)


def _shape(trips: Trips) -> list[Floats]:
    trip, far = trips.trip, straight(trips)
    inner = np.flatnonzero(trip[1:] == trip[:-1])
    angle = np.abs(turns(trips, inner))
    return [
        far,
        far / trips.metres,
        np.bincount(trip[inner], angle > SHARP, len(trips)).astype(np.float64),
        np.bincount(trip[inner], angle, len(trips)).astype(np.float64),
        trips.sums(trips.length * trips.latitude.mean(axis=1)) / trips.metres,
        trips.sums(trips.length * trips.longitude.mean(axis=1)) / trips.metres,
    ]


def _shares(trips: Trips) -> list[Floats]:
    """How much of its way is on roads of each class; a vocabulary shorter than MOST_CLASSES leaves zeros."""
    return [trips.sums(trips.length * (trips.road == i)) / trips.metres for i in range(MOST_CLASSES)]
