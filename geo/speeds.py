"""How fast a fleet drives where and when: seconds a metre by grid cell and hour of the week; compiled look-ups."""

from math import ceil, floor, hypot, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled, helper
from geo.earth import metric_scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELL_M = 250.0
"""Side of a grid cell."""
HOURS = 168
"""Hours of a week, in UTC; the first begins with the epoch, a Thursday."""
HEADINGS = 4
"""East, north, west and south: a street is not as fast in both directions, nor a crossing."""
ANY = -1
"""Whatever the heading."""
_M_PER_DEGREE = 111_195.0
_EAST_CELLS = 1 << 32
_CELLS_PER_DEGREE = np.cos(np.radians(np.arange(-89.5, 90.0))) * _M_PER_DEGREE / CELL_M
"""Of longitude, by degree of latitude."""
_SAMPLES = 8
_SAMPLE_M = 500.0
"""A straight line is timed at the middle of so many pieces at most, each about so long."""


class Speeds(NamedTuple):
    """What a fleet's trips say; all of `anywhere` is finite and above 0."""

    cell: Ints
    """(n,) grid cells that were driven through."""
    place: NDArray[np.int32]
    """A hash table of them: where each stands in `cell`, -1 where nothing is; its length is a power of 2."""
    pace: NDArray[np.float32]
    """(HOURS, n) seconds a metre there, waiting at lights included; an hour's lie together."""
    heading: NDArray[np.float32]
    """(HEADINGS, n) what these seconds are multiplied with there by who heads east, north, west or south."""
    anywhere: Floats
    """(HOURS,) seconds a metre where nothing is known of the cell."""
    circuity: float
    """Metres driven for each metre of straight line."""


def flat_speeds(speed_mps: float, circuity: float) -> Speeds:
    """One speed everywhere and always: what is assumed before anything is learned."""
    nowhere = np.empty(0, np.int64), np.empty((HOURS, 0)), np.empty((HEADINGS, 0))
    return known_speeds(*nowhere, np.full(HOURS, 1.0 / speed_mps), circuity)


def known_speeds(cell: Ints, pace: Floats, heading: Floats, anywhere: Floats, circuity: float) -> Speeds:
    """Speeds of cells (n,), each once, with their `pace` (HOURS, n) and `heading` (HEADINGS, n)."""
    place = np.full(1 << max(2 * len(cell), 1).bit_length(), -1, np.int32)
    _fill(cell, place)
    by_hour, by_heading = np.ascontiguousarray(pace, np.float32), np.ascontiguousarray(heading, np.float32)
    return Speeds(cell, place, by_hour, by_heading, anywhere, circuity)


@compiled
def _fill(cell: Ints, place: NDArray[np.int32]) -> None:
    for row in range(len(cell)):
        i = _first(cell[row], len(place))
        while place[i] >= 0:
            i = (i + 1) & (len(place) - 1)
        place[i] = row


@helper
def _first(cell: int, size: int) -> int:
    """Where a cell is looked for first in a hash table."""
    mixed = (cell // _EAST_CELLS) * 73_856_093 + (cell % _EAST_CELLS) * 19_349_663
    return (mixed ^ (mixed >> 16)) & (size - 1)


@helper
def row_of(speeds: Speeds, cell: int) -> int:
    """Where a cell stands in `cell`, -1 where it is not known."""
    i = _first(cell, len(speeds.place))
    while True:
        row = speeds.place[i]
        if row < 0 or speeds.cell[row] == cell:
            return int(row)
        i = (i + 1) & (len(speeds.place) - 1)


@helper
def cell_of(latitude: float, longitude: float) -> int:
    """The grid cell of a point: rows of equal height, cells about as wide as they are high."""
    row = floor(latitude * _M_PER_DEGREE / CELL_M)
    band = min(max(floor((row + 0.5) * CELL_M / _M_PER_DEGREE) + 90, 0), 179)
    return int(row * _EAST_CELLS + floor((longitude + 180.0) % 360.0 * _CELLS_PER_DEGREE[band]))


@helper
def hour_of(t: float) -> int:
    """The hour of the week of a time, Unix seconds."""
    return floor(t / 3600.0) % HOURS


@helper
def heading_of(latitude0: float, longitude0: float, latitude1: float, longitude1: float) -> int:
    """Which of the HEADINGS a short leg has; a leg that leads nowhere has ANY."""
    north, east = metric_scale(latitude0)
    y, x = (latitude1 - latitude0) * north, ((longitude1 - longitude0 + 180.0) % 360.0 - 180.0) * east
    if not abs(x) + abs(y) > 0.0:
        return ANY
    if abs(x) >= abs(y):
        return 0 if x > 0.0 else 2
    return 1 if y > 0.0 else 3


@helper
def pace_in(speeds: Speeds, cell: int, hour: int, heading: int) -> float:
    """Seconds a metre in a cell in an hour of the week, heading somewhere or ANY."""
    row = row_of(speeds, cell)
    if row < 0:
        return float(speeds.anywhere[hour])
    pace = float(speeds.pace[hour, row])
    return pace if heading == ANY else pace * float(speeds.heading[heading, row])


@helper
def pace_at(speeds: Speeds, latitude: float, longitude: float, hour: int, heading: int) -> float:
    """`pace_in` the cell of a place."""
    return pace_in(speeds, cell_of(latitude, longitude), hour, heading)


@helper
def apart(latitude0: float, longitude0: float, latitude1: float, longitude1: float) -> float:
    """Metres between two points of one city: in the metric frame of their middle."""
    north, east = metric_scale((latitude0 + latitude1) / 2.0)
    return hypot((latitude1 - latitude0) * north, ((longitude1 - longitude0 + 180.0) % 360.0 - 180.0) * east)


@helper
def straight_seconds(
    speeds: Speeds, latitude0: float, longitude0: float, latitude1: float, longitude1: float, hour: int
) -> tuple[float, float]:
    """Metres to drive between points of which only the straight line is known, and seconds in an hour of the week.

    The line is timed by the cells it crosses, and its length is the fleet's circuity times its own; NaN where a point
    is not known.
    """
    line = apart(latitude0, longitude0, latitude1, longitude1)
    if not isfinite(line):
        return np.nan, np.nan
    pieces = min(max(ceil(line / _SAMPLE_M), 1), _SAMPLES)
    metres = line * speeds.circuity
    east = (longitude1 - longitude0 + 180.0) % 360.0 - 180.0
    seconds, heading = 0.0, heading_of(latitude0, longitude0, latitude1, longitude1)
    for i in range(pieces):
        share = (i + 0.5) / pieces
        latitude, longitude = latitude0 + share * (latitude1 - latitude0), longitude0 + share * east
        seconds += metres / pieces * pace_at(speeds, latitude, longitude, hour, heading)
    return metres, seconds
