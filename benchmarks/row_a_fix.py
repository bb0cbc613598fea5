"""The table that most people would write, for a store to be measured by: a row a fix, a btree, and GiST.

It is filled as the store is, by binary COPY from numpy in transactions as large, and asked the same.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
import numpy as np

from tracker.records import Bools, Floats, Track

CREATE = """
    CREATE TABLE row_a_fix (
        id bigserial PRIMARY KEY,
        driver_id text NOT NULL,
        fix_time timestamptz NOT NULL,
        location geometry(Point, 4326) NOT NULL,
        speed real,
        course real,
        accuracy real
    )"""
INDEX = "CREATE INDEX ON row_a_fix (driver_id, fix_time); CREATE INDEX ON row_a_fix USING gist (location)"
COLUMNS = ("driver_id", "fix_time", "location", "speed", "course", "accuracy")
TRACK = """
    SELECT fix_time, ST_X(location), ST_Y(location), speed, course, accuracy FROM row_a_fix
    WHERE driver_id = $1 AND fix_time >= to_timestamp($2) AND fix_time < to_timestamp($3) ORDER BY fix_time"""
BEFORE = """
    SELECT extract(epoch FROM fix_time)::float8, ST_X(location), ST_Y(location) FROM row_a_fix
    WHERE driver_id = $1 AND fix_time <= to_timestamp($2) ORDER BY fix_time DESC LIMIT 1"""
AFTER = """
    SELECT extract(epoch FROM fix_time)::float8, ST_X(location), ST_Y(location) FROM row_a_fix
    WHERE driver_id = $1 AND fix_time > to_timestamp($2) ORDER BY fix_time LIMIT 1"""
NEAR = """
    SELECT driver_id, min(fix_time), max(fix_time), min(ST_DistanceSphere(location, here)) FROM (
        SELECT *, ST_SetSRID(ST_MakePoint($1, $2), 4326) AS here FROM row_a_fix
        WHERE location && ST_Expand(ST_SetSRID(ST_MakePoint($1, $2), 4326), $3 / 100000.0)
          AND fix_time >= to_timestamp($4) AND fix_time < to_timestamp($5)
    ) AS around WHERE ST_DistanceSphere(location, here) <= $3 GROUP BY driver_id"""
_EPOCH = 946_684_800.0  # 2000-01-01, where PostgreSQL's time begins


class RowAFix:
    """One connection, as the store's writer has."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def create(self) -> None:
        """The empty table."""
        await self._connection.execute(CREATE)

    async def index(self) -> None:
        """Its indexes; made after it was filled, which is sooner done and makes them smaller."""
        await self._connection.execute(INDEX)

    async def commit(self, track: Track) -> None:
        """One durable transaction with all new fixes of these runs."""
        own = np.ones(len(track.fix_time), np.bool_)
        own[track.offset[:-1][track.connected]] = False
        data = memoryview(_copy(track, own))
        await self._connection.copy_to_table("row_a_fix", source=data, columns=COLUMNS, format="binary")

    async def track(self, driver_id: str, start: float, end: float) -> Sequence[Any]:
        """A driver's fixes in [start, end)."""
        rows: Sequence[Any] = await self._connection.fetch(TRACK, driver_id, start, end)
        return rows

    async def position(self, driver_id: str, at: float) -> Floats | None:
        """Longitude and latitude at a time, between the two fixes around it."""
        before = await self._connection.fetchrow(BEFORE, driver_id, at)
        after = await self._connection.fetchrow(AFTER, driver_id, at)
        if before is None or after is None:
            return None
        (t0, *start), (t1, *end) = before, after
        return np.asarray(start) + (at - t0) / (t1 - t0) * (np.asarray(end) - np.asarray(start))

    async def near(self, latitude: float, longitude: float, radius: float, start: float, end: float) -> Sequence[Any]:
        """Who had a fix within metres of a point in [start, end)."""
        rows: Sequence[Any] = await self._connection.fetch(NEAR, longitude, latitude, radius, start, end)
        return rows


def _copy(track: Track, own: Bools) -> bytes:
    """PostgreSQL's binary COPY format, columns as in `COLUMNS`."""
    ids = np.array([driver_id.encode() for driver_id in track.driver_id])
    point = np.dtype([("order", "u1"), ("type", "<u4"), ("srid", "<u4"), ("x", "<f8"), ("y", "<f8")])
    kinds = [ids.dtype, np.dtype(">i8"), point, *[np.dtype(">f4")] * 3]
    fields = [(name, [("size", ">i4"), ("value", kind)]) for name, kind in zip(COLUMNS, kinds, strict=True)]
    rows = np.zeros(int(own.sum()), [("fields", ">i2"), *fields])
    rows["fields"] = len(fields)
    for name, kind in zip(COLUMNS, kinds, strict=True):
        rows[name]["size"] = kind.itemsize
    rows["driver_id"]["value"] = np.repeat(ids, np.diff(track.offset))[own]
    rows["fix_time"]["value"] = np.rint((track.fix_time[own] - _EPOCH) * 1e6)
    place = rows["location"]["value"]
    place["order"], place["type"], place["srid"] = 1, 0x20000001, 4326
    place["x"], place["y"] = track.longitude[own], track.latitude[own]
    for name in ("speed", "course", "accuracy"):
        rows[name]["value"] = getattr(track, name)[own]
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff"
