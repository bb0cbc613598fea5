"""Admit or refuse a fix, each refusal with its reason; put what is admitted in order."""

import numpy as np

from tracker.errors import Flag
from tracker.records import FixBatch, Flags, Floats, Ints
from tracker.settings import EngineSettings


def admit(batch: FixBatch, newest: Floats, settings: EngineSettings) -> Flags:
    """Judge each fix of the batch by itself; (n,) ACCEPTED, LATE, DUPLICATE or a refusal.

    `newest` (drivers,) is the fix_time of each driver's newest believed fix. A late fix may still be a duplicate of
    something stored; only the store can tell.
    """
    ahead = batch.fix_time - batch.received_at
    behind_newest = batch.fix_time - newest[batch.driver]
    tests = [
        (~(np.isfinite(batch.latitude) & np.isfinite(batch.longitude)), Flag.NOT_A_NUMBER),
        (~np.isfinite(batch.fix_time), Flag.INVALID_TIMESTAMP),
        (np.abs(batch.latitude) > 90.0, Flag.LATITUDE_OUT_OF_RANGE),
        (np.abs(batch.longitude) > 180.0, Flag.LONGITUDE_OUT_OF_RANGE),
        (ahead > settings.future_limit_s, Flag.TIMESTAMP_IN_FUTURE),
        (-ahead > settings.age_limit_s, Flag.TIMESTAMP_TOO_OLD),
        (behind_newest == 0.0, Flag.DUPLICATE),
        (behind_newest < 0.0, Flag.LATE),
    ]
    conditions, flags = zip(*tests, strict=True)
    return np.select(conditions, [np.uint8(flag) for flag in flags], np.uint8(Flag.ACCEPTED))


def in_order(batch: FixBatch, flag: Flags, wanted: Flag) -> Ints:
    """Indices of the fixes so flagged, by driver, then fix_time; a repeat in the batch becomes DUPLICATE in `flag`."""
    index = np.flatnonzero(flag == wanted)
    driver, time = batch.driver[index], batch.fix_time[index]
    order = np.lexsort((time, driver))  # stable: of two alike the first that came stays
    index = index[order]
    driver, time = driver[order], time[order]
    repeat = np.zeros(len(index), np.bool_)
    repeat[1:] = (driver[1:] == driver[:-1]) & (time[1:] == time[:-1])
    flag[index[repeat]] = Flag.DUPLICATE
    return index[~repeat]


def run_starts(driver: Ints) -> Ints:
    """Where each driver's run begins in a column sorted by driver; (m,)."""
    if not len(driver):
        return np.empty(0, np.int64)
    return np.concatenate([[0], np.flatnonzero(driver[1:] != driver[:-1]) + 1])
