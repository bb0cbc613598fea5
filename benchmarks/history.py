"""A fleet's month for measuring a store at size: who drives where is made up, rows are written by the store itself.

python -m benchmarks.history postgresql://USER@HOST/DATABASE --fixes 50_000_000 --drivers 2000 --days 30
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from api.progress import progress
from geo.earth import offset
from storage import Commit, Store, open_store
from tracker.records import Floats, Track

LATITUDE, LONGITUDE = 25.04, 121.55
DAY_S, SHIFT_S, BEGINS_S = 86400.0, 8 * 3600.0, 3600.0
"""All drive eight hours a day, from within an hour of 1 o'clock UTC on: 9 o'clock in Taipei."""
STOPS = 40
"""Deliveries of a driver in a day."""
NEXT_M, CITY_M = 2500.0, 12_000.0
"""Standard deviation of the way to the next delivery in each direction; half the width of the city."""
BATCH = 10
"""Fixes an app sends at once: as many new ones has a row of the store."""
COMMIT = 50_000
"""Fixes of a transaction, as in the server's group commit."""


@dataclass(frozen=True)
class Fleet:
    """So many fixes of drivers on days that begin at `start`, Unix seconds at midnight UTC."""

    fixes: int
    drivers: int
    days: int
    start: float

    @property
    def ids(self) -> list[str]:
        """Of the drivers."""
        return [f"driver-{number:04}" for number in range(self.drivers)]

    @property
    def fixes_a_day(self) -> int:
        """Of each driver, whole batches."""
        return max(round(self.fixes / self.drivers / self.days / BATCH), 1) * BATCH

    def commits(self, drivers: slice = slice(None)) -> Iterator[Track]:
        """All tracks in the order of time, as drivers send them, connected runs of ten new fixes."""
        for day in range(self.days):
            yield from self._day(day, drivers)

    def _day(self, day: int, drivers: slice) -> Iterator[Track]:
        ids, n = self.ids[drivers], self.fixes_a_day
        columns = _drives(len(ids), n, self.start + day * DAY_S, np.random.default_rng([day, drivers.start or 0]))
        batches = max(COMMIT // BATCH // len(ids), 1)
        for first in range(0, n, BATCH * batches):
            last = min(first + BATCH * batches, n)
            yield _runs(ids, [column[:, max(first - 1, 0) : last] for column in columns], connected=first > 0)


def _drives(drivers: int, n: int, midnight: float, rng: np.random.Generator) -> list[Floats]:
    """Each (drivers, n) of one day: fix_time, latitude, longitude, speed, course, accuracy.

    A driver goes from stop to stop along streets, first east or west and then north or south, and stays for minutes.
    """
    stop = np.cumsum(rng.normal(0, NEXT_M, (2, drivers, STOPS + 1)), axis=2) + rng.uniform(
        -CITY_M, CITY_M, (2, drivers, 1)
    )
    stop = np.abs((stop + CITY_M) % (4 * CITY_M) - 2 * CITY_M) - CITY_M  # back at the edge of the city
    corner = np.stack([stop[0, :, 1:], stop[1, :, :-1]])
    metres = np.abs(np.stack([corner - stop[:, :, :-1], stop[:, :, 1:] - corner])).sum(axis=1)
    seconds = metres / rng.uniform(6.0, 11.0, (drivers, STOPS))
    stay = rng.gamma(4.0, 60.0, (1, drivers, STOPS))
    turns = np.cumsum(np.concatenate([seconds, stay]).transpose(1, 2, 0).reshape(drivers, -1), axis=1)
    turns = np.concatenate([np.zeros((drivers, 1)), turns * (SHIFT_S / turns[:, -1:])], axis=1)
    way = np.stack([corner, stop[:, :, 1:], stop[:, :, 1:]], axis=3).reshape(2, drivers, -1)
    way = np.concatenate([stop[:, :, :1], way], axis=2)
    t = np.sort(rng.uniform(0, SHIFT_S, (drivers, n)), axis=1) * 0.2 + np.linspace(0, 0.8 * SHIFT_S, n)
    place = np.stack([[np.interp(t[i], turns[i], way[axis, i]) for i in range(drivers)] for axis in (0, 1)])
    moved = np.diff(place, axis=2, append=place[:, :, -1:]) / np.diff(t, axis=1, append=t[:, -1:] + 1.0)
    latitude, longitude = offset(LATITUDE, LONGITUDE, *(place + rng.normal(0, 3.0, place.shape)))
    begins = midnight + BEGINS_S + rng.uniform(0, 3600.0, (drivers, 1))
    return [
        np.round(begins + t, 3),
        latitude,
        longitude,
        np.hypot(*moved),
        np.degrees(np.arctan2(*moved)) % 360.0,
        rng.uniform(3.0, 12.0, t.shape),
    ]


def _runs(ids: list[str], columns: list[Floats], *, connected: bool) -> Track:
    """The fixes of each driver, (drivers, k), as runs of a batch; the first column is of the batch before, if any."""
    length = columns[0].shape[1]
    first = np.arange(0 if connected else -1, length - 1, BATCH)
    vertex = first[:, None] + np.arange(BATCH + 1)
    index = vertex[(vertex >= 0) & (vertex < length)]
    lengths = ((vertex >= 0) & (vertex < length)).sum(axis=1)
    runs = len(ids) * len(lengths)
    return Track(
        [driver_id for driver_id in ids for _ in lengths],
        np.zeros(runs, np.uint8),
        np.tile(first >= 0, len(ids)),
        np.concatenate([[0], np.cumsum(np.tile(lengths, len(ids)))]),
        *(column[:, index].ravel() for column in columns),
    )


async def fill(store: Store, fleet: Fleet) -> float:
    """Write it all; fixes a second, the making of them not counted."""
    fixes, seconds = fleet.fixes_a_day * fleet.drivers * fleet.days, 0.0
    with progress("writing", fixes) as advance:
        for track in fleet.commits():
            started = time.perf_counter()
            await store.commit(Commit(track=track))
            seconds += time.perf_counter() - started
            advance(new_fixes(track))
    return fixes / seconds


def new_fixes(track: Track) -> int:
    """How many of its vertices are not the last one of the run before."""
    return len(track.fix_time) - int(np.count_nonzero(track.connected))


def main(
    url: Annotated[str, typer.Argument(help="An empty store.", show_default=False)],
    fixes: int = 1_000_000,
    drivers: int = 2000,
    days: int = 30,
) -> None:
    """Fill a store with what a fleet drove in the days up to today."""
    fleet = Fleet(fixes, drivers, days, (time.time() // DAY_S - days) * DAY_S)

    async def run() -> float:
        store = open_store(url)
        await store.open()
        try:
            return await fill(store, fleet)
        finally:
            await store.close()

    typer.echo(f"{asyncio.run(run()):,.0f} fixes a second were stored")


if __name__ == "__main__":
    typer.run(main)
