"""Where each driver stands, and since when: his positions stay around one anchor, whatever their noise."""

from typing import NamedTuple

import numpy as np

from geo.compiled import helper
from tracker.records import Floats, Ints

STAND_M, STAND_SIGMAS = 5.0, 2.5
"""A driver stands while he is within so many metres, and so many sigmas more, of his anchor."""
ANCHOR_FIXES = 5
"""The first positions of a stand make its anchor."""
HALT_S, HALT_MAX_S, HALT_M = 5.0, 60.0, 150.0
"""A stand of such a length is a halt of stop and go; it is forgotten with this constant, m."""
BRAKING_S, LEAST_MPS = 2.0, 4.0
"""What braking costs, and the least speed assumed on the way to a stand, where positions are far apart in time."""

SPARSE_S = 4.0
"""Where positions are at least so far apart, a stand lasted until some way into the leg that ends it."""

FIELDS = 11
LATITUDE, LONGITUDE, SINCE, FIXES, AWAY_LATITUDE, AWAY_LONGITUDE, AWAY_SINCE, AWAY, HALTS, SPEED, LASTED = range(FIELDS)
"""Columns of a stand: its anchor, when it began, how many positions made it; the same of a position away from it, which
is noise or the next stand; halts lately; the newest speed; how long the stand lasted that ended just now."""


class LegColumns(NamedTuple):
    """`tracker.records.Legs` and the speed at each leg's end, m/s, for compiled loops; (k,) by driver, then time."""

    driver: Ints
    t0: Floats
    latitude0: Floats
    longitude0: Floats
    t1: Floats
    latitude1: Floats
    longitude1: Floats
    sigma1: Floats
    length: Floats
    newest: Floats
    speed: Floats


@helper
def span(lat0: float, lon0: float, lat1: float, lon1: float) -> float:
    """Metres between points near each other, good to 1 in 200: for what has a tolerance anyway."""
    dlon = lon1 - lon0
    dlon -= 360.0 * np.floor((dlon + 180.0) / 360.0)
    north, east = (lat1 - lat0) * 111_195.0, dlon * 111_195.0 * np.cos(np.radians(lat1))
    return float(np.sqrt(north * north + east * east))


@helper
def advance(row: Floats, legs: LegColumns, k: int, moving_mps: float) -> float:
    """Move a driver's stand, `row` (FIELDS,), on by leg k; s that he has stood by its end, negative while he moves."""
    t1, lat1, lon1 = legs.t1[k], legs.latitude1[k], legs.longitude1[k]
    dt, length = t1 - legs.t0[k], legs.length[k]
    row[LASTED] = 0.0
    if not row[FIXES] > 0 or dt <= 0:
        _anchor(row, lat1, lon1, t1, 1.0)
        row[HALTS], row[SPEED] = 0.0, legs.speed[k]
        return 0.0
    speed = min(legs.speed[k], length / dt)  # a filter may lag behind one who brakes
    since = t1 - max(dt - length / max(row[SPEED], LEAST_MPS) - BRAKING_S, 0.0)
    reach = STAND_M + STAND_SIGMAS * legs.sigma1[k]
    off = span(row[LATITUDE], row[LONGITUDE], lat1, lon1)
    row[HALTS] *= np.exp(-length / HALT_M)
    row[SPEED] = legs.speed[k]
    if off <= reach and not (speed > moving_mps and off > reach / 2):
        row[AWAY] = 0.0
        if row[FIXES] < ANCHOR_FIXES:
            row[FIXES] += 1.0
            row[LATITUDE] += (lat1 - row[LATITUDE]) / row[FIXES]
            row[LONGITUDE] += (lon1 - row[LONGITUDE]) / row[FIXES]
        return float(t1 - row[SINCE])
    if row[AWAY] == 0.0 and off <= 2 * reach and speed <= 2 * moving_mps:
        row[AWAY_LATITUDE], row[AWAY_LONGITUDE], row[AWAY_SINCE], row[AWAY] = lat1, lon1, since, 1.0
        return -1.0  # once is noise
    stood = (legs.t0[k] if row[AWAY] == 0.0 else row[AWAY_SINCE]) - row[SINCE]
    if row[AWAY] == 0.0 and row[FIXES] > 1.0 and dt >= SPARSE_S:
        row[LASTED] = stood + max(dt - length / max(legs.speed[k], LEAST_MPS) - BRAKING_S, 0.0)
    if HALT_S <= stood <= HALT_MAX_S:
        row[HALTS] += 1.0
    if row[AWAY] > 0.0 and speed <= moving_mps and span(row[AWAY_LATITUDE], row[AWAY_LONGITUDE], lat1, lon1) <= reach:
        _anchor(row, row[AWAY_LATITUDE], row[AWAY_LONGITUDE], row[AWAY_SINCE], 2.0)
    else:
        _anchor(row, lat1, lon1, since, 1.0)
    return float(t1 - row[SINCE])


@helper
def _anchor(row: Floats, latitude: float, longitude: float, since: float, fixes: float) -> None:
    row[LATITUDE], row[LONGITUDE], row[SINCE], row[FIXES], row[AWAY] = latitude, longitude, since, fixes, 0.0
