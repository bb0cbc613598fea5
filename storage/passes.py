"""Who was in an area, when and how close: rows by index, then the exact answer from their legs, alike in both stores.

A run repeats the last vertex before it, so its row alone holds all its legs. Only around late fixes, and fixes that
were judged anew, does the way between two fixes lie in no row; there the driver's whole track is read.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np

from geo.earth import metres_per_degree
from geo.fences import Area, Circle
from geo.passes import Legs, Passes, merged, passes
from geo.polygons import outline
from storage.reading import Reading
from storage.rows import Row, Statement
from storage.segments import REACH_S, believed
from storage.store import Pass, Span
from tracker.errors import InvalidInput
from tracker.records import Bools, Floats, Ints
from tracker.tracks import CONNECT_WITHIN_S

MOST_ROWS = 8192
"""Rows that are looked at at once; more are halved by time."""
MOST_ROUNDS = 400
"""So often; then the question is too large."""
_SHORTEST_S = 60.0
REACH_M = 2_400.0
"""A late fix may change the way past a place this far off; a straight line that is longer tells nothing of a road."""
_WIDEST = 1.0
"""Degrees on either side of the antimeridian where a row may lie on both."""

_JUDGED = """
    EXISTS (
        SELECT 1 FROM judgements AS j
        WHERE j.driver_id = t.driver_id AND j.fix_time >= t.start_time AND j.fix_time <= t.end_time
    )"""

Box = tuple[float, float, float, float]
"""West, south, east, north."""


class Passing(Reading):
    """The questions to a store that start from a place."""

    overlap: str
    """SQL: rows `t` of `tracks` whose path may touch the box ($1, $3, $2, $4) at a time from $5 to $6."""
    overlap_aside: str
    """The same of the few rows whose kind is not 0."""

    async def passes(self, shape: Circle | Area, start: float, end: float) -> list[Pass]:
        """As in Store."""
        names: dict[str, int] = {}
        parts = [part async for part in self._parts(shape, start, end, names)]
        if not parts:
            return []
        found = await asyncio.to_thread(merged, parts)
        ids = list(names)
        joins = await self._unbroken(found, ids)
        if len(joins):
            found = merged([found], joins)
        return _listed(found, ids)

    async def _parts(
        self, shape: Circle | Area, start: float, end: float, names: dict[str, int]
    ) -> AsyncIterator[Passes]:
        """The visits in one stretch of time after the other."""
        boxes, wide = _boxes(shape, 0.0), _boxes(shape, REACH_M)
        waiting = [(start, end)]
        for _ in range(MOST_ROUNDS):
            if not waiting:
                return
            start, end = waiting.pop()
            rows = await self._rows(boxes, start, end)
            if len(rows) > MOST_ROWS and end - start > _SHORTEST_S:
                middle = (start + end) / 2
                waiting += [(middle, end), (start, middle)]
                continue
            spans = await self._disturbed(wide, start, end, rows)
            legs = await asyncio.to_thread(self._legs_of_rows, rows, {driver_id for driver_id, _, _ in spans}, names)
            tracks = [believed(*found) for found in await self._fixes(spans)]
            legs = [
                *legs,
                *(
                    _legs(
                        names.setdefault(track.driver_id[0], len(names)),
                        track.fix_time,
                        track.latitude,
                        track.longitude,
                    )
                    for track in tracks
                    if len(track)
                ),
            ]
            if legs:
                yield await asyncio.to_thread(passes, _together(legs), shape, start, end)
        raise InvalidInput("from: this area has too many fixes in that time; ask for a shorter one", field="from")

    async def _rows(self, boxes: Sequence[Box], start: float, end: float) -> list[Row]:
        """Rows of believed fixes that may touch the boxes."""
        sql = (
            f"SELECT t.driver_id, t.start_time, t.end_time, t.path, {_JUDGED} AS judged "  # noqa: S608
            f"FROM {self.overlap} AND t.kind IN (0, 2) LIMIT {MOST_ROWS + 1}"
        )
        return list(await self.fetch(Statement(sql, [(w, e, s, n, start, end) for w, s, e, n in boxes])))

    async def _disturbed(self, boxes: Sequence[Box], start: float, end: float, rows: Sequence[Row]) -> list[Span]:
        """What to read as a whole: around late fixes and judgements, and all that was found of their drivers."""
        sql = (
            f"SELECT t.driver_id, t.start_time, t.end_time FROM {self.overlap_aside} "  # noqa: S608
            f"AND t.kind <> 0 AND (t.kind = 2 OR {_JUDGED})"
        )
        values = [(w, e, s, n, start - CONNECT_WITHIN_S, end + CONNECT_WITHIN_S) for w, s, e, n in boxes]
        aside = [*await self.fetch(Statement(sql, values)), *(row for row in rows if row["judged"])]
        found: dict[str, list[tuple[float, float]]] = {row["driver_id"]: [] for row in aside}
        if not found:
            return []
        for row in (*aside, *rows):
            if row["driver_id"] in found:
                found[row["driver_id"]].append((row["start_time"], row["end_time"]))
        return [(driver_id, *span) for driver_id, spans in found.items() for span in _united(spans)]

    def _legs_of_rows(self, rows: Sequence[Row], without: set[str], names: dict[str, int]) -> list[Legs]:
        """The legs in rows, but for these drivers'; numbers drivers in `names`."""
        rows = [row for row in rows if row["driver_id"] not in without]
        if not rows:
            return []
        xym, lengths = self.dialect.paths(rows)
        drivers = np.fromiter((names.setdefault(row["driver_id"], len(names)) for row in rows), np.int64, len(rows))
        longitude, latitude, fix_time = xym.T
        ends = np.zeros(len(fix_time), np.bool_)
        ends[np.cumsum(lengths) - 1] = True
        return [_legs(np.repeat(drivers, lengths), fix_time, latitude, longitude, ends)]

    async def _unbroken(self, found: Passes, ids: Sequence[str]) -> Ints:
        """Visits that go on one before them: he was inside before and after a silence, and nowhere in between."""
        follows = (found.driver[1:] == found.driver[:-1]) & ~found.left[:-1] & ~found.entered[1:]
        after = np.flatnonzero(follows) + 1
        if not len(after):
            return after
        drivers = [ids[driver] for driver in found.driver[after].tolist()]
        gaps = list(zip(drivers, found.left_at[after - 1].tolist(), found.entered_at[after].tolist(), strict=True))
        between = (
            f"SELECT driver_id, CAST($2 AS double precision) AS since FROM {self.dialect.runs} "  # noqa: S608 constants
            f"WHERE driver_id = $1 AND end_time > $2 AND end_time < $3 + {REACH_S} AND start_time < $3 "
            "AND kind IN (0, 2) LIMIT 1"
        )
        broken = {(row["driver_id"], row["since"]) for row in await self.fetch(Statement(between, list(gaps)))}
        return after[[(driver_id, since) not in broken for driver_id, since, _ in gaps]]


def _boxes(shape: Circle | Area, beyond_m: float) -> list[Box]:
    """Longitudes and latitudes around a shape and so much more; two where they cross the antimeridian."""
    if isinstance(shape, Circle):
        latitude, longitude, half_width, beyond_m = shape.latitude, shape.longitude, 0.0, beyond_m + 1.01 * shape.radius
        half_height = 0.0
    else:
        line = outline(shape.polygons)
        latitude, longitude, half_height, half_width = line.latitude, line.longitude, line.half_height, line.half_width
    north, _ = metres_per_degree(latitude)
    half_height += beyond_m / float(north)
    nearest = min(abs(latitude) + half_height, 90.0)
    _, east = metres_per_degree(nearest)
    half_width += beyond_m / max(float(east), 1e-9)
    south, north = max(latitude - half_height, -90.0), min(latitude + half_height, 90.0)
    west, east = longitude - half_width, longitude + half_width
    if half_width >= 180.0 - _WIDEST or nearest >= 90.0:
        return [(-180.0, south, 180.0, north)]
    if west < _WIDEST - 180.0:
        return [(-180.0, south, east, north), (min(west + 360.0, 180.0 - _WIDEST), south, 180.0, north)]
    if east > 180.0 - _WIDEST:
        return [(west, south, 180.0, north), (-180.0, south, max(east - 360.0, _WIDEST - 180.0), north)]
    return [(west, south, east, north)]


def _united(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans and what lies around them, those that meet as one."""
    united: list[tuple[float, float]] = []
    for start, end in sorted(
        (start - CONNECT_WITHIN_S, np.nextafter(end + CONNECT_WITHIN_S, np.inf)) for start, end in spans
    ):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united


def _legs(driver: Ints | int, fix_time: Floats, latitude: Floats, longitude: Floats, ends: Bools | None = None) -> Legs:
    """From vertex to vertex, but for those that end a run; a silence is no leg, what lies on either side is a point."""
    n = len(fix_time)
    driver = np.broadcast_to(np.asarray(driver), n)
    on = np.ones(n, np.bool_)
    on[-1:] = False
    if ends is not None:
        on &= ~ends
    a = np.flatnonzero(on)
    silent = fix_time[a + 1] - fix_time[a] > CONNECT_WITHIN_S
    alone = np.unique(np.concatenate([a[silent], a[silent] + 1, np.arange(n if n == 1 else 0)]))
    a = a[~silent]
    begin, end = np.concatenate([a, alone]), np.concatenate([a + 1, alone])
    return Legs(
        driver[begin], fix_time[begin], latitude[begin], longitude[begin], fix_time[end], latitude[end], longitude[end]
    )


def _together(legs: Sequence[Legs]) -> Legs:
    return Legs(*(np.concatenate([getattr(some, name) for some in legs]) for name in Legs.__slots__))


def _listed(found: Passes, ids: Sequence[str]) -> list[Pass]:
    """By when they began, then driver."""
    columns = (getattr(found, name).tolist() for name in Passes.__slots__)
    listed = [Pass(ids[driver], *rest) for driver, *rest in zip(*columns, strict=True)]
    return sorted(listed, key=lambda visit: (visit.entered_at, visit.driver_id))
