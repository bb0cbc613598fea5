"""The driver table: one row a driver, in columns, so that a step works on many drivers at once."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from geo.kalman import FilterState
from tracker.records import Floats, Ints, Source

_FIRST_CAPACITY = 256


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


class DriverTable:
    """Rows never move, and ids are never taken back; `ids[row]` is the driver of a row."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._row: dict[str, int] = {}
        self.filter = FilterState.empty(_FIRST_CAPACITY)
        self.newest = np.full(_FIRST_CAPACITY, -np.inf)
        """fix_time of the newest fix that went through the filter, believed or not; -inf before the first."""
        self.measured = np.full((_FIRST_CAPACITY, 5), np.nan)
        """The newest believed fix as measured: latitude, longitude, speed, course, accuracy."""
        self.source = np.zeros(_FIRST_CAPACITY, np.uint8)
        """Its Source."""
        self.eta_asked: set[int] = set()
        """Drivers whose arrivals are to be predicted again at once."""
        self.since = np.zeros((2, _FIRST_CAPACITY))
        """Seconds and metres since the last prediction."""
        self.pace = np.full(_FIRST_CAPACITY, np.nan)
        """Learned speed while moving, m/s."""

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

    def _grow(self) -> None:
        extra = len(self.newest)
        self.filter = self.filter.grown(extra)
        self.newest = np.concatenate([self.newest, np.full(extra, -np.inf)])
        self.measured = np.concatenate([self.measured, np.full((extra, 5), np.nan)])
        self.source = np.concatenate([self.source, np.zeros(extra, np.uint8)])
        self.since = np.concatenate([self.since, np.zeros((2, extra))], axis=1)
        self.pace = np.concatenate([self.pace, np.full(extra, np.nan)])

    def latest(self, rows: Iterable[int] | Ints) -> list[Latest]:
        """Where these drivers are; those never seen are left out."""
        index = np.fromiter(rows, np.int64)
        f = self.filter
        index = index[np.isfinite(f.time[index])]
        columns: list[Floats] = [
            f.time[index],
            f.latitude[index],
            f.longitude[index],
            f.speed[index],
            f.course[index],
            f.sigma[index],
        ]
        mock = (self.source[index] & Source.MOCK) != 0
        ids = self.ids
        return [
            Latest(ids[row], *values)
            for row, *values in zip(index.tolist(), *(column.tolist() for column in (*columns, mock)), strict=True)
        ]
