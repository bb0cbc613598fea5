"""How far a place is from every boundary, compiled: within so many metres of it, no leg can touch one."""

import numpy as np

from geo.compiled import helper
from geo.cuts import Shapes, boundary_distance
from geo.globe import Row, apart
from geo.grid import FINEST_ROWS, LEVELS, Cells, bucket_of, columns_under, rows_under

_MOST_M = 1_000.0
"""Nothing is looked for further away."""
_POLAR = 80.0
"""Nearer to a pole than this latitude nothing is said."""


@helper
def clearance(cells: Cells, shapes: Shapes, place: Row, least: float) -> float:
    """Metres to the nearest boundary, or less; where that is not more than `least`, any number that is not either.

    A box around an area that the place is outside of says enough; only where it is inside its boundary is measured.
    """
    latitude, longitude, north = place["latitude"], place["longitude"], place["north"]
    if abs(latitude) > _POLAR:
        return 0.0
    east = 0.99 * place["east"]  # a degree is shorter a little nearer to the pole
    clear, around = _MOST_M, 0
    for level in range(LEVELS):
        if cells.in_use[level] == 0:
            continue
        rows = FINEST_ROWS >> 2 * level
        row, _ = rows_under(level, latitude, 0.0)
        n = cells.columns[cells.first_row[level] + row]
        column, _ = columns_under(n, longitude, 0.0)
        up, right = (latitude + 90.0) / 180.0 * rows - row, (longitude + 180.0) / 360.0 * n - column
        clear = min(clear, min(up, 1.0 - up) * 180.0 / rows * north, min(right, 1.0 - right) * 360.0 / n * east)
        bucket = cells.buckets[bucket_of(level, row, column % n)]
        for i in range(bucket["start"], bucket["start"] + bucket["count"]):
            box = cells.boxes[i]
            high = (abs(latitude - box["latitude"]) - box["half_height"]) * north
            wide = (apart(longitude, box["longitude"]) - box["half_width"]) * east
            gap = max(high, wide)
            cells.found[around] = box["key"]
            around += gap <= 0.0
            clear = min(clear, gap if gap > 0.0 else np.inf)
        if clear <= least:
            return float(clear)
    for c in range(around):
        clear = min(clear, boundary_distance(shapes, shapes.areas[cells.found[c]], place, clear))
        if clear <= least:
            break
    return float(clear)
