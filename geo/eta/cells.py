"""Trips of which only the way on the map is known: the squares it leads through stand for edges."""

import numpy as np
from numpy.typing import NDArray

from geo.earth import distance
from geo.eta.effects import cell, courses
from geo.eta.trips import Trips

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELL_M = 150.0
PIECE_M = 50.0
"""A leg is cut into pieces of at most this length, and each lies in the square that holds its middle."""


def trips_of_paths(offset: Ints, latitude: Floats, longitude: Floats, minute: Floats) -> Trips:
    """Trips from the vertices (v,) of their paths, of which trip i has offset[i]:offset[i + 1].

    A step is a run of pieces in one square of CELL_M with one of four headings.
    """
    counts = np.maximum(np.diff(offset) - 1, 0)
    leg = np.repeat(offset[:-1] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    metres = distance(latitude[leg], longitude[leg], latitude[leg + 1], longitude[leg + 1])
    pieces = np.maximum(np.ceil(np.where(np.isfinite(metres), metres, 0.0) / PIECE_M), 1.0).astype(np.int64)
    whole = np.repeat(np.arange(len(leg)), pieces)
    place = np.arange(len(whole)) - (np.cumsum(pieces) - pieces)[whole]
    share = np.stack([place, place + 1], axis=1) / pieces[whole, None]
    ends = (x[leg][whole, None] * (1 - share) + x[leg + 1][whole, None] * share for x in (latitude, longitude))
    trip = np.repeat(np.arange(len(counts)), counts)
    starts = np.concatenate([[0], np.cumsum(np.bincount(trip, pieces, len(counts)))])
    length = (metres / pieces)[whole]
    lat, lon = ends
    return _runs(Trips.of(starts, np.zeros(len(whole)), length, minute, latitude=lat, longitude=lon, kind="cells"))


def _runs(cut: Trips) -> Trips:
    """The same trips with neighbouring pieces of one square and heading as one step."""
    square = cell(cut.latitude.mean(axis=1), cut.longitude.mean(axis=1), CELL_M)
    heading = np.floor(np.nan_to_num(courses(cut)) / (np.pi / 2) + 0.5).astype(np.int64) % 4
    key, trip = np.where(square >= 0, square * 4 + heading, -1), cut.trip
    begins = np.ones(len(key), np.bool_)
    begins[1:] = (key[1:] != key[:-1]) | (trip[1:] != trip[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first, len(key))[1:] - 1
    return Trips.of(
        np.concatenate([[0], np.cumsum(np.bincount(trip[first], minlength=len(cut)))]),
        key[first],
        np.add.reduceat(cut.length, first) if len(first) else cut.length,
        cut.minute,
        latitude=np.stack([cut.latitude[first, 0], cut.latitude[last, 1]], axis=1),
        longitude=np.stack([cut.longitude[first, 0], cut.longitude[last, 1]], axis=1),
        kind="cells",
    )
