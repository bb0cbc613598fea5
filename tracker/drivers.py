"""The driver table: one row a driver, in columns, so that a step works on many drivers at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan

import numpy as np

from geo.beliefs import FilterState, Reals
from geo.compiled import helper
from tracker import clocks, stands
from tracker.errors import Flag
from tracker.records import FixBatch, Flags, Floats, Ints, Source

_FIRST_CAPACITY = 256
_ACCEPTED = int(Flag.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Latest:
    """Where a driver is now, as far as is known; NaN is not known."""

    driver_id: str
    fix_time: float
    latitude: float
    longitude: float
    speed: float
    course: float
    sigma: float
    mock: bool
    live_since: float = nan
    """When he was last found to report again after a silence, or for the first time; NaN before anybody looked."""


class DriverTable:
    """Rows never move, and ids are never taken back; `ids[row]` is the driver of a row."""

    NEW, RESTORED = -2, -1
    """In `told`: nothing has been told of a driver; nor need it be, as it was before a restart."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._row: dict[str, int] = {}
        self.filter = FilterState.empty(_FIRST_CAPACITY)
        self.newest = np.full(_FIRST_CAPACITY, -np.inf)
        """fix_time of the newest fix that went through the filter, believed or not; -inf before the first."""
        self.stored = np.full(_FIRST_CAPACITY, -np.inf)
        """fix_time up to which something may be stored already; -inf before the first fix."""
        self.clock = clocks.empty(_FIRST_CAPACITY)
        """What is known of the clock of each driver's phone, as `tracker.clocks` keeps it."""
        self.good = np.full((_FIRST_CAPACITY, 2), -np.inf)
        """fix_time and accuracy of the newest fix that was not coarse."""
        self.measured = np.full((_FIRST_CAPACITY, 5), np.nan)
        """The newest believed fix as measured: latitude, longitude, speed, course, accuracy."""
        self.source = np.zeros(_FIRST_CAPACITY, np.uint8)
        """Its Source."""
        self.stand = np.zeros(_FIRST_CAPACITY, stands.STAND)
        """Where each stands, as `tracker.stands` keeps it."""
        self.told = np.full(_FIRST_CAPACITY, self.NEW, np.int8)
        """Which status of each was told last, as `tracker.liveness` counts them."""
        self.live_since = np.full(_FIRST_CAPACITY, np.nan)
        """Since when each is live, or was before he fell silent."""

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, driver_id: str) -> int:
        """The row of a driver, made when the driver is new."""
        row = self._row.get(driver_id)
        if row is None:
            row = self._row[driver_id] = len(self.ids)
            self.ids.append(driver_id)
            if row == len(self.newest):
                self._grow()
        return row

    def find(self, driver_id: str) -> int | None:
        """The row of a driver, if there is one."""
        return self._row.get(driver_id)

    def advance(self, batch: FixBatch, live: Ints, coarse: Ints, flag: Flags) -> None:
        """These fixes, each by driver, then time, have been taken: in time order, the newest of each driver stays.

        What was believed of `live` is ACCEPTED in `flag`.
        """
        columns = (batch.latitude, batch.longitude, batch.speed, batch.course, batch.accuracy)
        _advance(live, batch.driver, batch.fix_time, batch.received_at, self.newest, self.stored, self.clock)
        _store(coarse, batch.driver, batch.fix_time, self.stored)
        _remember(live, batch.driver, flag, columns, batch.source, self.measured, self.source)

    def forget_motion(self, rows: Ints) -> None:
        """Follow these drivers anew from their next fixes; their clocks were wrong."""
        if len(rows):
            self.filter.forget(rows)
            self.good[rows] = -np.inf

    def _grow(self) -> None:
        extra = max(_FIRST_CAPACITY, len(self.newest) // 16)  # little room for drivers who may never come
        self.filter = self.filter.grown(extra)
        self.newest = np.concatenate([self.newest, np.full(extra, -np.inf)])
        self.stored = np.concatenate([self.stored, np.full(extra, -np.inf)])
        self.clock = np.concatenate([self.clock, clocks.empty(extra)])
        self.good = np.concatenate([self.good, np.full((extra, 2), -np.inf)])
        self.measured = np.concatenate([self.measured, np.full((extra, 5), np.nan)])
        self.source = np.concatenate([self.source, np.zeros(extra, np.uint8)])
        self.stand = np.concatenate([self.stand, np.zeros(extra, stands.STAND)])
        self.told = np.concatenate([self.told, np.full(extra, self.NEW, np.int8)])
        self.live_since = np.concatenate([self.live_since, np.full(extra, np.nan)])

    def latest(self, rows: Iterable[int] | Ints) -> list[Latest]:
        """Where these drivers are; those never seen are left out."""
        index = np.fromiter(rows, np.int64)
        f = self.filter
        index = index[np.isfinite(f.time[index])]
        columns: list[Floats | Reals] = [
            f.time[index],
            f.latitude[index],
            f.longitude[index],
            f.speed[index],
            f.course[index],
            f.sigma[index],
        ]
        mock = (self.source[index] & Source.MOCK) != 0
        more = (mock, self.live_since[index])
        ids = self.ids
        return [
            Latest(ids[row], *values)
            for row, *values in zip(index.tolist(), *(column.tolist() for column in (*columns, *more)), strict=True)
        ]


@helper
def _advance(
    index: Ints, driver: Ints, fix_time: Floats, received_at: Floats, newest: Floats, stored: Floats, clock: Floats
) -> None:
    for i in index:
        d, t = driver[i], fix_time[i]
        newest[d] = t
        stored[d] = max(stored[d], t)
        if t <= received_at[i] + clocks.SLACK_S:
            clock[d, clocks.IN_TIME] = t


@helper
def _store(index: Ints, driver: Ints, fix_time: Floats, stored: Floats) -> None:
    for i in index:
        stored[driver[i]] = max(stored[driver[i]], fix_time[i])


@helper
def _remember(
    index: Ints,
    driver: Ints,
    flag: Flags,
    columns: tuple[Floats, Floats, Floats, Floats, Floats],
    source: Flags,
    measured: Floats,
    measured_source: Flags,
) -> None:
    for i in index:
        if flag[i] == _ACCEPTED:
            d = driver[i]
            measured[d, 0], measured[d, 1], measured[d, 2] = columns[0][i], columns[1][i], columns[2][i]
            measured[d, 3], measured[d, 4] = columns[3][i], columns[4][i]
            measured_source[d] = source[i]
