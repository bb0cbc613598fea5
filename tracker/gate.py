"""Admit or refuse a fix, each refusal with its reason; put what is admitted in order."""

from math import isfinite, isnan

import numpy as np

from geo.compiled import compiled, helper
from tracker import clocks
from tracker.clocks import AHEAD, CONFIRMED, SLACK_S, STEADY
from tracker.drivers import DriverTable
from tracker.errors import Flag
from tracker.records import FixBatch, Flags, Floats, Ints, Source
from tracker.settings import EngineSettings

NETWORK_ACCURACY_M = 100.0
"""Accuracy assumed of a network fix that reports none."""
_MUCH_BETTER = 2.0

# Plain numbers for the compiled loops
_ACCEPTED, _LATE, _DUPLICATE, _COARSE = (int(flag) for flag in (Flag.ACCEPTED, Flag.LATE, Flag.DUPLICATE, Flag.COARSE))
_NOT_A_NUMBER, _INVALID_TIMESTAMP = int(Flag.NOT_A_NUMBER), int(Flag.INVALID_TIMESTAMP)
_LATITUDE, _LONGITUDE = int(Flag.LATITUDE_OUT_OF_RANGE), int(Flag.LONGITUDE_OUT_OF_RANGE)
_IN_FUTURE, _TOO_OLD, _CLOCK_WRONG = (
    int(flag) for flag in (Flag.TIMESTAMP_IN_FUTURE, Flag.TIMESTAMP_TOO_OLD, Flag.CLOCK_WRONG)
)
_MOCK_LOCATION, _MOCK, _NETWORK = int(Flag.MOCK_LOCATION), int(Source.MOCK), int(Source.NETWORK)


def admit(batch: FixBatch, drivers: DriverTable, settings: EngineSettings) -> Flags:
    """Judge each fix of the batch by itself; (n,) ACCEPTED, LATE, DUPLICATE or a refusal.

    A late fix may still be a duplicate of something stored; only the store can tell. A driver whose clock was set right
    is followed anew.
    """
    drivers.forget_motion(clocks.follow(batch, drivers.clock, drivers.newest, settings.future_limit_s))
    flag = np.empty(len(batch), np.uint8)
    _admit(
        batch.driver,
        batch.fix_time,
        batch.latitude,
        batch.longitude,
        batch.received_at,
        batch.source,
        batch.sent_at,
        drivers.newest,
        drivers.clock,
        (
            float(settings.future_limit_s),
            float(settings.age_limit_s),
            float(settings.clock_limit_s),
            bool(settings.refuse_mock),
        ),
        flag,
    )
    return flag


@helper
def _admit(
    driver: Ints,
    fix_time: Floats,
    latitude: Floats,
    longitude: Floats,
    received_at: Floats,
    source: Flags,
    sent_at: Floats,
    newest: Floats,
    clock: Floats,
    limits: tuple[float, float, float, bool],
    flag: Flags,
) -> None:
    future_limit_s, age_limit_s, clock_limit_s, refuse_mock = limits
    for i in range(len(driver)):
        d, t, now = driver[i], fix_time[i], received_at[i]
        flag[i] = _refusal(latitude[i], longitude[i], t, now, future_limit_s, age_limit_s)
        if flag[i] != _ACCEPTED:
            continue
        if clock[d, STEADY] >= CONFIRMED and clock[d, AHEAD] < -clock_limit_s and t <= sent_at[i] + SLACK_S:
            flag[i] = _CLOCK_WRONG  # a fix after sent_at has its time from a satellite, not from this clock
        elif refuse_mock and source[i] & _MOCK:
            flag[i] = _MOCK_LOCATION
        elif t == newest[d]:
            flag[i] = _DUPLICATE
        else:
            flag[i] = _LATE if t < newest[d] else _ACCEPTED


@helper
def _refusal(
    latitude: float, longitude: float, fix_time: float, now: float, future_limit_s: float, age_limit_s: float
) -> int:
    """Why a fix cannot be what it says; ACCEPTED where it can."""
    if not (isfinite(latitude) and isfinite(longitude)):
        return _NOT_A_NUMBER
    if not isfinite(fix_time):
        return _INVALID_TIMESTAMP
    if abs(latitude) > 90.0:
        return _LATITUDE
    if abs(longitude) > 180.0:
        return _LONGITUDE
    if fix_time - now > future_limit_s:
        return _IN_FUTURE
    return _TOO_OLD if now - fix_time > age_limit_s else _ACCEPTED


def in_order(batch: FixBatch, flag: Flags, wanted: Flag) -> Ints:
    """Indices of the fixes so flagged, by driver, then fix_time; a repeat in the batch becomes DUPLICATE in `flag`."""
    index, in_time = _by_driver(batch.driver, batch.fix_time, flag, int(wanted))
    if not in_time:
        index = np.sort(index)  # as they came: of two alike the first stays
        index = index[np.lexsort((batch.fix_time[index], batch.driver[index]))]
    return _once(index, batch.driver, batch.fix_time, flag)


@compiled
def _by_driver(driver: Ints, fix_time: Floats, flag: Flags, wanted: int) -> tuple[Ints, bool]:
    """The fixes so flagged, by driver, then as they came; and whether that is the order of fix_time, as it mostly is.

    A device sends its fixes in order, so what has to be sorted is runs of them, not fixes.
    """
    index, starts = np.empty(len(driver), np.int64), np.empty(len(driver) + 1, np.int64)
    n, runs, sorted_ = 0, 0, True
    for i in range(len(driver)):
        if flag[i] != wanted:
            continue
        if n == 0 or driver[i] != driver[index[n - 1]]:
            sorted_ = sorted_ and (n == 0 or driver[i] > driver[index[n - 1]])
            starts[runs] = n
            runs += 1
        index[n] = i
        n += 1
    starts[runs] = n
    index = index[:n]
    if not sorted_:
        by_run, k = np.empty(n, np.int64), 0
        for run in np.argsort(driver[index[starts[:runs]]], kind="mergesort"):
            for place in range(starts[run], starts[run + 1]):
                by_run[k] = index[place]
                k += 1
        index = by_run
    for k in range(1, n):
        if driver[index[k]] == driver[index[k - 1]] and fix_time[index[k]] < fix_time[index[k - 1]]:
            return index, False
    return index, True


@compiled
def _once(index: Ints, driver: Ints, fix_time: Floats, flag: Flags) -> Ints:
    """Those of `index` that differ from the one before; others become DUPLICATE."""
    n = 0
    kept = np.empty(len(index), np.int64)
    for i in index:
        if n and driver[i] == driver[kept[n - 1]] and fix_time[i] == fix_time[kept[n - 1]]:
            flag[i] = _DUPLICATE
        else:
            kept[n] = i
            n += 1
    return kept[:n]


def set_aside_coarse(
    batch: FixBatch, live: Ints, drivers: DriverTable, settings: EngineSettings, flag: Flags
) -> tuple[Ints, Ints]:
    """Split fixes `live`, by driver, then time: those to follow, and coarse ones, which become COARSE in `flag`.

    A phone interleaves satellite and network fixes. One from the network, or as inaccurate as these, says nothing where
    a much better one is only seconds old; where there is none it is all there is.
    """
    limits = (
        float(settings.coarse_accuracy_m),
        float(settings.coarse_within_s),
        float(settings.default_accuracy_m),
    )
    coarse = _coarse(live, batch.driver, batch.fix_time, batch.accuracy, batch.source, limits, drivers.good, flag)
    if not coarse:
        return live, np.empty(0, np.int64)
    aside = flag[live] == Flag.COARSE
    return live[~aside], live[aside]


@helper
def _coarse(
    live: Ints,
    driver: Ints,
    fix_time: Floats,
    accuracy: Floats,
    source: Flags,
    limits: tuple[float, float, float],
    good: Floats,
    flag: Flags,
) -> int:
    """How many are; `good` (drivers, 2) holds time and accuracy of each driver's newest fix that is not."""
    coarse_accuracy_m, coarse_within_s, default_accuracy_m = limits
    count = 0
    for i in live:
        d, t, metres = driver[i], fix_time[i], accuracy[i]
        of_network = source[i] & _NETWORK != 0
        if isnan(metres):
            metres = NETWORK_ACCURACY_M if of_network else default_accuracy_m
        if not (of_network or metres > coarse_accuracy_m):
            good[d, 0], good[d, 1] = t, metres
        elif abs(t - good[d, 0]) <= coarse_within_s and metres >= _MUCH_BETTER * good[d, 1]:
            flag[i] = _COARSE
            count += 1
    return count


def run_starts(driver: Ints) -> Ints:
    """Where each driver's run begins in a column sorted by driver; (m,)."""
    if not len(driver):
        return np.empty(0, np.int64)
    return np.concatenate([[0], np.flatnonzero(driver[1:] != driver[:-1]) + 1])
