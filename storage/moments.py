"""Where a driver was at a moment, a long track in parts: questions that start from a time."""

import math
from collections.abc import AsyncIterator

import numpy as np

from geo.earth import wrap_degrees
from storage.passes import Passing
from storage.rows import Statement
from storage.segments import REACH_S
from storage.store import Fix, Moment
from tracker.records import Track
from tracker.tracks import CONNECT_WITHIN_S

PART_S = 6 * 3600.0
"""A long track is read in parts of this length."""
_LAST_BEFORE = "SELECT max(end_time) AS t FROM tracks WHERE driver_id = $1 AND end_time < $2"
_FIRST_AFTER = "SELECT min(end_time) AS t FROM tracks WHERE driver_id = $1 AND end_time > $2"
_NEXT = f"""
    SELECT min(end_time) - {REACH_S} AS t FROM tracks
    WHERE driver_id = $1 AND end_time >= $2 AND end_time < $3 + {REACH_S} AND start_time < $3"""  # noqa: S608 constants
"""No row begins before."""


class Questions(Passing):
    """All questions to history that both stores answer alike."""

    async def position(self, driver_id: str, at: float) -> Moment:
        """As in Store."""
        near = await self.track(driver_id, at - CONNECT_WITHIN_S, np.nextafter(at + CONNECT_WITHIN_S, np.inf))
        place = int(np.searchsorted(near.fix_time, at, side="right"))
        before = _fix(near, place - 1) if place else await self._before(driver_id, at - CONNECT_WITHIN_S)
        if before is not None and before.fix_time == at:
            return Moment(before, None, before.latitude, before.longitude)
        known = place < len(near.fix_time)
        after = _fix(near, place) if known else await self._after(driver_id, at + CONNECT_WITHIN_S)
        if before is None or after is None or after.fix_time - before.fix_time > CONNECT_WITHIN_S:
            return Moment(before, after, math.nan, math.nan)
        share = (at - before.fix_time) / (after.fix_time - before.fix_time)
        latitude = before.latitude + share * (after.latitude - before.latitude)
        wide = wrap_degrees(after.longitude - before.longitude)
        return Moment(before, after, latitude, float(wrap_degrees(before.longitude + share * wide)))

    async def _before(self, driver_id: str, at: float) -> Fix | None:
        """The last believed fix before a time, however long ago."""
        while (last := await self._value(_LAST_BEFORE, driver_id, at)) is not None:
            found = await self.track(driver_id, last - CONNECT_WITHIN_S, np.nextafter(last, np.inf))
            if len(found.fix_time):
                return _fix(found, -1)
            at = last - CONNECT_WITHIN_S
        return None

    async def _after(self, driver_id: str, at: float) -> Fix | None:
        """The first believed fix after a time."""
        while (end := await self._value(_FIRST_AFTER, driver_id, at)) is not None:
            found = await self.track(driver_id, np.nextafter(at, np.inf), np.nextafter(end, np.inf))
            if len(found.fix_time):
                return _fix(found, 0)
            at = end
        return None

    async def _value(self, sql: str, driver_id: str, at: float) -> float | None:
        rows = await self.fetch(Statement(sql, [(driver_id, at)]))
        value: float | None = rows[0]["t"]
        return value

    async def stretches(self, driver_id: str, start: float, end: float) -> AsyncIterator[tuple[float, float]]:
        """As in Store."""
        while start < end:
            rows = await self.fetch(Statement(_NEXT, [(driver_id, start, end)]))
            if not rows or rows[0]["t"] is None:
                return
            start = max(start, rows[0]["t"])
            until = min(start + PART_S, end)
            yield start, until
            start = until

    async def parts(self, driver_id: str, start: float, end: float) -> AsyncIterator[Track]:
        """As in Store."""
        async for since, until in self.stretches(driver_id, start, end):
            track = await self.track(driver_id, since, until)
            if len(track):
                yield track


def _fix(track: Track, place: int) -> Fix:
    columns = (track.fix_time, track.latitude, track.longitude, track.speed, track.course, track.accuracy)
    return Fix(*(float(column[place]) for column in columns))
