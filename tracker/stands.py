"""Where each driver stands, and since when: his positions stay around one anchor, whatever their noise."""

from typing import NamedTuple

import numpy as np

from geo.compiled import helper
from geo.earth import PARTS, parts
from geo.globe import Row
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

STAND = np.dtype(
    [
        ("since", np.float64),
        ("away_since", np.float64),  # the same of a position away from the anchor, which is noise or the next stand
        ("latitude", np.int32),  # of the anchor; places are in PARTS of a degree
        ("longitude", np.int32),
        ("away_latitude", np.int32),
        ("away_longitude", np.int32),
        ("halts", np.float32),  # lately
        ("speed", np.float32),  # the newest, m/s
        ("lasted", np.float32),  # how long the stand lasted that ended just now, s
        ("fixes", np.uint8),  # how many positions made the anchor
        ("away", np.bool_),  # whether there is such a position
    ],
    align=True,
)
"""Where a driver stands."""


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
def advance(row: Row, legs: LegColumns, k: int, moving_mps: float) -> float:
    """Move a driver's STAND on by leg k; s that he has stood by its end, negative while he moves."""
    t1, lat1, lon1 = legs.t1[k], legs.latitude1[k], legs.longitude1[k]
    dt, length = t1 - legs.t0[k], legs.length[k]
    row["lasted"] = 0.0
    if row["fixes"] == 0 or dt <= 0:
        _anchor(row, parts(lat1), parts(lon1), t1, 1)
        row["halts"], row["speed"] = 0.0, legs.speed[k]
        return 0.0
    speed = min(legs.speed[k], length / dt)  # a filter may lag behind one who brakes
    since = t1 - max(dt - length / max(row["speed"], LEAST_MPS) - BRAKING_S, 0.0)
    reach = STAND_M + STAND_SIGMAS * legs.sigma1[k]
    latitude, longitude = row["latitude"] / PARTS, row["longitude"] / PARTS
    off = span(latitude, longitude, lat1, lon1)
    row["halts"] *= np.exp(-length / HALT_M)
    row["speed"] = legs.speed[k]
    if off <= reach and not (speed > moving_mps and off > reach / 2):
        row["away"] = False
        if row["fixes"] < ANCHOR_FIXES:
            row["fixes"] += 1
            row["latitude"] = parts(latitude + (lat1 - latitude) / row["fixes"])
            row["longitude"] = parts(longitude + (lon1 - longitude) / row["fixes"])
        return float(t1 - row["since"])
    if not row["away"] and off <= 2 * reach and speed <= 2 * moving_mps:
        row["away_latitude"], row["away_longitude"] = parts(lat1), parts(lon1)
        row["away_since"], row["away"] = since, True
        return -1.0  # once is noise
    stood = (row["away_since"] if row["away"] else legs.t0[k]) - row["since"]
    if not row["away"] and row["fixes"] > 1 and dt >= SPARSE_S:
        row["lasted"] = stood + max(dt - length / max(legs.speed[k], LEAST_MPS) - BRAKING_S, 0.0)
    if HALT_S <= stood <= HALT_MAX_S:
        row["halts"] += 1.0
    away = span(row["away_latitude"] / PARTS, row["away_longitude"] / PARTS, lat1, lon1)
    if row["away"] and speed <= moving_mps and away <= reach:
        _anchor(row, row["away_latitude"], row["away_longitude"], row["away_since"], 2)
    else:
        _anchor(row, parts(lat1), parts(lon1), since, 1)
    return float(t1 - row["since"])


@helper
def _anchor(row: Row, latitude: int, longitude: int, since: float, fixes: int) -> None:
    row["latitude"], row["longitude"], row["since"] = latitude, longitude, since
    row["fixes"], row["away"] = fixes, False
