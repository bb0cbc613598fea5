"""From the fixes of a batch to what they draw: legs for the fences, runs for the store."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from geo.earth import distance
from tracker.drivers import DriverTable
from tracker.errors import Flag
from tracker.gate import run_starts
from tracker.records import FixBatch, Flags, Floats, Ints, Legs, Track

CONNECT_WITHIN_S = 600.0
"""A run does not reach back over a longer silence than this."""


def legs(batch: FixBatch, index: Ints, estimate: Floats, prior: Floats) -> Legs:
    """Consecutive believed positions of the fixes `index` (k,), by driver, then time.

    `estimate` (5, n) holds latitude, longitude and sigma in its rows 0, 1, 4; `prior` (3, k) is the time, latitude and
    longitude of each one's driver before the batch, NaN for a new one.
    """
    driver, t1 = batch.driver[index], batch.fix_time[index]
    latitude1, longitude1, _, _, sigma1 = estimate[:, index]
    starts = run_starts(driver)

    def start(now: Floats, before: Floats) -> Floats:
        column = np.roll(now, 1)
        column[starts] = np.where(np.isnan(before[starts]), now[starts], before[starts])
        return column

    t0, latitude0, longitude0 = map(start, (t1, latitude1, longitude1), prior)
    length = distance(latitude0, longitude0, latitude1, longitude1)
    newest = t1[_newest_by_then(driver, batch.received_at[index])]
    return Legs(driver, t0, latitude0, longitude0, t1, latitude1, longitude1, sigma1, length, newest)


def _newest_by_then(driver: Ints, received_at: Floats) -> Ints:
    """For each fix of columns (k,) by driver, then time: the driver's last one that was received no later."""
    order = np.lexsort((received_at, driver))
    last = np.maximum.accumulate(order)  # drivers' places rise, so one driver's never reach into the next's
    key = np.stack([driver, received_at])[:, order]
    together = np.flatnonzero(np.append((np.diff(key) != 0).any(axis=0), True))  # the end of each frame
    newest = np.empty_like(order)
    newest[order] = last[together[np.searchsorted(together, np.arange(len(order)))]]
    return newest


def _columns(batch: FixBatch, index: Ints) -> list[Any]:
    floats = (batch.fix_time, batch.latitude, batch.longitude, batch.speed, batch.course, batch.accuracy)
    return [column[index] for column in (*floats, batch.source)]


def runs(batch: FixBatch, index: Ints, prior_time: Floats, drivers: DriverTable) -> Track:
    """One run a driver of the fixes `index` (k,), as measured, each reaching back to the vertex before it.

    `prior_time` (k,) is when that was, NaN for a new driver.
    """
    row = batch.driver[index]
    starts = run_starts(row)
    rows = row[starts]
    connected = batch.fix_time[index[starts]] - prior_time[starts] <= CONNECT_WITHIN_S
    back = starts[connected]
    lengths = np.diff(starts, append=len(index)) + connected
    driver = batch.driver[index[back]]
    before = [prior_time[back], *drivers.measured[driver].T, drivers.source[driver]]
    columns = [np.insert(now, back, old) for now, old in zip(_columns(batch, index), before, strict=True)]
    return Track(
        [drivers.ids[r] for r in rows.tolist()],
        np.full(len(rows), Flag.ACCEPTED, np.uint8),
        connected,
        np.concatenate([[0], np.cumsum(lengths)]),
        *columns,
    )


def runs_aside(batch: FixBatch, index: Ints, flag: Flags, driver_ids: Sequence[str]) -> tuple[Track, Ints]:
    """Late fixes and outliers, one run a driver and kind, and the fix each vertex is."""
    index = index[np.lexsort((batch.fix_time[index], flag[index], batch.driver[index]))]
    starts = run_starts(batch.driver[index] * 256 + flag[index])
    first = index[starts]
    track = Track(
        [driver_ids[r] for r in batch.driver[first].tolist()],
        flag[first],
        np.zeros(len(first), np.bool_),
        np.append(starts, len(index)),
        *_columns(batch, index),
    )
    return track, index


def batch_of(track: Track, row: Callable[[str], int]) -> FixBatch:
    """The vertices of a track as fixes again, received when they were measured."""
    rows = np.fromiter((row(driver_id) for driver_id in track.driver_id), np.int64, len(track))
    driver = np.repeat(rows, np.diff(track.offset))
    return FixBatch(
        driver,
        track.fix_time,
        track.latitude,
        track.longitude,
        track.speed,
        track.course,
        track.accuracy,
        track.fix_time,
        track.source,
    )
