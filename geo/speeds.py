"""How fast a fleet drives where and when: seconds a metre by grid cell and hour of the week; compiled look-ups."""

from math import ceil, cos, floor, hypot, isfinite, radians
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled
from geo.earth import metric_scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELL_M = 250.0
"""Side of a grid cell."""
HOURS = 168
"""Hours of a week, in UTC; the first begins with the epoch, a Thursday."""
_M_PER_DEGREE = 111_195.0
_EAST_CELLS = 1 << 32
_SAMPLES = 16
_SAMPLE_M = 500.0
"""A straight line is timed at the middle of so many pieces at most, each about so long."""


class Speeds(NamedTuple):
    """What a fleet's trips say; all of `anywhere` is finite and above 0."""

    cell: Ints
    """(n,) grid cells that were driven through, sorted."""
    pace: NDArray[np.float32]
    """(n, HOURS) seconds a metre there, waiting at lights included."""
    anywhere: Floats
    """(HOURS,) seconds a metre where nothing is known of the cell."""
    circuity: float
    """Metres driven for each metre of straight line."""


def flat_speeds(speed_mps: float, circuity: float) -> Speeds:
    """One speed everywhere and always: what is assumed before anything is learned."""
    nothing = np.empty(0, np.int64)
    return Speeds(nothing, np.empty((0, HOURS), np.float32), np.full(HOURS, 1.0 / speed_mps), circuity)


@compiled
def cell_of(latitude: float, longitude: float) -> int:
    """The grid cell of a point: rows of equal height, cells about as wide as they are high."""
    row = floor(latitude * _M_PER_DEGREE / CELL_M)
    width = cos(radians((row + 0.5) * CELL_M / _M_PER_DEGREE)) * _M_PER_DEGREE
    return row * _EAST_CELLS + floor((longitude + 180.0) % 360.0 * max(width, 1.0) / CELL_M)


@compiled
def hour_of(t: float) -> int:
    """The hour of the week of a time, Unix seconds."""
    return floor(t / 3600.0) % HOURS


@compiled
def pace_at(speeds: Speeds, latitude: float, longitude: float, hour: int) -> float:
    """Seconds a metre at a place in an hour of the week."""
    cell = cell_of(latitude, longitude)
    i = np.searchsorted(speeds.cell, cell)
    if i < len(speeds.cell) and speeds.cell[i] == cell:
        return float(speeds.pace[i, hour])
    return float(speeds.anywhere[hour])


@compiled
def apart(latitude0: float, longitude0: float, latitude1: float, longitude1: float) -> float:
    """Metres between two points of one city: in the metric frame of their middle."""
    north, east = metric_scale((latitude0 + latitude1) / 2.0)
    return hypot((latitude1 - latitude0) * north, ((longitude1 - longitude0 + 180.0) % 360.0 - 180.0) * east)


@compiled
def straight_seconds(
    speeds: Speeds, latitude0: float, longitude0: float, latitude1: float, longitude1: float, t: float
) -> tuple[float, float]:
    """Metres to drive between points of which only the straight line is known, and seconds when leaving at `t`.

    The line is timed by the cells it crosses, and its length is the fleet's circuity times its own; NaN where a point
    is not known.
    """
    line = apart(latitude0, longitude0, latitude1, longitude1)
    if not isfinite(line):
        return np.nan, np.nan
    pieces = min(max(ceil(line / _SAMPLE_M), 1), _SAMPLES)
    metres = line * speeds.circuity
    east = (longitude1 - longitude0 + 180.0) % 360.0 - 180.0
    seconds = 0.0
    for i in range(pieces):
        share = (i + 0.5) / pieces
        latitude, longitude = latitude0 + share * (latitude1 - latitude0), longitude0 + share * east
        seconds += metres / pieces * pace_at(speeds, latitude, longitude, hour_of(t + seconds))
    return metres, seconds
