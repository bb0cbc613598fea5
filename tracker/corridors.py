"""The ways a fleet usually takes: of each place that it delivers to, the last few drives there."""

import numpy as np

from geo.earth import distance, offset
from geo.speeds import cell_of
from tracker.records import Floats

Corridors = dict[int, list[Floats]]
"""By the cell of their end, drives (2, k): latitude and longitude of their vertices; the newest last."""

STEP_M = 100.0
"""A vertex is kept when it is so far from the last one kept."""
JOIN_M = 150.0
"""A drive that passes so near leads from here, and one that ends so near leads there."""
KEPT = 3
"""Drives of each end, the newest."""
MOST_ENDS = 2_000
"""So many ends are kept, those that were driven to most lately."""


def add(corridors: Corridors, latitude: Floats, longitude: Floats) -> None:
    """Remember a drive, positions (n,) from a stop to the next."""
    steps = distance(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:])
    along = np.concatenate([[0.0], np.cumsum(steps)])
    kept = np.unique(np.append(np.searchsorted(along, np.arange(0.0, along[-1], STEP_M)), len(along) - 1))
    end = cell_of(float(latitude[-1]), float(longitude[-1]))
    drives = corridors.pop(end, [])  # it goes to the end of the dictionary
    corridors[end] = [*drives, np.stack([latitude[kept], longitude[kept]])][-KEPT:]
    if len(corridors) > MOST_ENDS:
        del corridors[next(iter(corridors))]


def between(corridors: Corridors, start: tuple[float, float], end: tuple[float, float]) -> Floats | None:
    """The newest drive that leads from a place to another, cut to there; (2, k), None where there is none."""
    for drive in (drive for cell in _around(*end) for drive in reversed(corridors.get(cell, []))):
        if distance(drive[0, -1], drive[1, -1], end[0], end[1]) <= JOIN_M:
            off = distance(drive[0], drive[1], start[0], start[1])
            nearest = int(np.argmin(off))
            if off[nearest] <= JOIN_M and nearest < drive.shape[1] - 1:
                return drive[:, nearest:]
    return None


def forget(corridors: Corridors, latitude: float, longitude: float) -> bool:
    """Drop the drives that ended about a place; whether there were any."""
    return sum(corridors.pop(cell, None) is not None for cell in _around(latitude, longitude)) > 0


def _around(latitude: float, longitude: float) -> list[int]:
    """The cells in which a drive to a place may have ended."""
    east, north = np.array([-1, -1, 1, 1]) * JOIN_M, np.array([-1, 1, -1, 1]) * JOIN_M
    corners = offset(np.full(4, latitude), np.full(4, longitude), east, north)
    return list(dict.fromkeys(cell_of(lat, lon) for lat, lon in zip(*(c.tolist() for c in corners), strict=True)))


def through(corridors: Corridors, start: tuple[float, float], stops: Floats) -> Floats:
    """The usual way from a place through stops (n, 2) in turn; (2, k), only as far as it is known from the first on."""
    parts = []
    for stop in stops.tolist():
        part = between(corridors, start, (stop[0], stop[1]))
        if part is None:
            break
        parts.append(part)
        start = stop[0], stop[1]
    return np.concatenate(parts, axis=1) if parts else np.empty((2, 0))
