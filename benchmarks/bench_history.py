"""A fleet's month in PostGIS: questions, writing and size, beside a table with a row a fix. fsync is on.

make bench ARGS='-k history'; with HISTORY_FIXES=50000000, 2,000 drivers over 30 days (15 GB under TMPDIR)
"""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import asyncpg
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.history import BEGINS_S, CITY_M, DAY_S, LATITUDE, LONGITUDE, SHIFT_S, Fleet, new_fixes
from benchmarks.row_a_fix import RowAFix
from geo.earth import offset
from geo.fences import Circle
from storage import Commit, Store, open_store
from storage.store import Compaction
from tests.postgres import private_server
from tracker.records import Floats, Track

FIXES = int(os.environ.get("HISTORY_FIXES", "200_000"))
LARGE = 10_000_000
QUESTIONS = 100
RADIUS_M, WINDOW_S = 100.0, 3600.0
DAY, MOMENT, NEAR = "a day's track", "where at a moment", "who passed within 100 m in an hour"
TARGETS_MS = {DAY: 30.0, MOMENT: 5.0, NEAR: 50.0}
TIMES = 3
"""Each question is asked so often."""
ASKED_PER_S = 10.0
"""While fixes are written."""
ROUNDS, COMMITS = 16, 5
"""Many short ones, as a shared machine is now fast and now slow."""
STORED = ("segments", "drivers", "driver_hours")
"""What the store keeps of tracks."""

Ask = Callable[[], Awaitable[object]]


@dataclass
class Sides:
    """The store and the table beside it, with the same fixes in both."""

    store: Store
    table: RowAFix
    fleet: Fleet
    connection: asyncpg.Connection

    async def store_track(self, track: Track) -> None:
        await self.store.commit(Commit(track=track))

    async def size(self, *names: str) -> int:
        """Bytes of these tables, their partitions and indexes."""
        sql = """
            SELECT sum(pg_total_relation_size(relid)) FROM (
                SELECT relid FROM unnest($1::regclass[]) AS root, pg_partition_tree(root)
                UNION SELECT unnest($1::regclass[])
            ) AS relations"""
        return int(await self.connection.fetchval(sql, list(names)))


@asynccontextmanager
async def filled(url: str, fleet: Fleet) -> AsyncIterator[Sides]:
    """All that the fleet drove."""
    store = open_store(url)
    await store.open()
    connection = await asyncpg.connect(url)
    try:
        sides = Sides(store, RowAFix(connection), fleet, connection)
        await sides.table.create()
        for track in fleet.commits():
            await store.commit(Commit(track=track))
            await sides.table.commit(track)
        await sides.table.index()
        await connection.execute("VACUUM ANALYZE")
        yield sides
    finally:
        await connection.close()
        await store.close()


def questions(sides: Sides, rng: np.random.Generator) -> Iterator[dict[str, tuple[Ask, Ask]]]:
    """Without end: each question to the store, and to the table."""
    fleet, store, table = sides.fleet, sides.store, sides.table
    while True:
        driver_id = f"driver-{rng.integers(fleet.drivers):04}"
        day = fleet.start + DAY_S * float(rng.integers(fleet.days))
        at = day + BEGINS_S + 3600.0 + float(rng.uniform(0.0, SHIFT_S - 3600.0))
        latitude, longitude = (float(x) for x in offset(LATITUDE, LONGITUDE, *rng.normal(0, CITY_M / 3, 2)))
        here = (latitude, longitude, RADIUS_M)
        span = (at - WINDOW_S / 2, at + WINDOW_S / 2)
        yield {
            DAY: (partial(store.track, driver_id, day, day + DAY_S), partial(table.track, driver_id, day, day + DAY_S)),
            MOMENT: (partial(store.position, driver_id, at), partial(table.position, driver_id, at)),
            NEAR: (partial(store.passes, Circle(*here), *span), partial(table.near, *here, *span)),
        }


async def ask(sides: Sides) -> dict[str, tuple[Floats, Floats]]:
    """(n,) milliseconds of each question, of the store and of the table: the least of some times, as others compute."""
    took: dict[str, tuple[list[float], list[float]]] = {}
    for asked in islice(questions(sides, np.random.default_rng(1)), QUESTIONS):
        for name, pair in asked.items():
            for column, one in zip(took.setdefault(name, ([], [])), pair, strict=True):
                column.append(min([await _milliseconds(one) for _ in range(TIMES)]))
    return {name: (np.array(ours), np.array(others)) for name, (ours, others) in took.items()}


async def _milliseconds(one: Ask) -> float:
    started = time.perf_counter()
    await one()
    return (time.perf_counter() - started) * 1000.0


async def write(commit: Callable[[Track], Awaitable[object]], tracks: Sequence[Track]) -> float:
    """Fixes a second."""
    started = time.perf_counter()
    for track in tracks:
        await commit(track)
    return sum(map(new_fixes, tracks)) / (time.perf_counter() - started)


async def write_while_asked(sides: Sides, tracks: Sequence[Track]) -> float:
    """Fixes a second into the store while so many questions a second are asked."""

    async def asking() -> None:
        for asked in questions(sides, np.random.default_rng(2)):
            for ours, _ in asked.values():
                await asyncio.gather(ours(), asyncio.sleep(1.0 / ASKED_PER_S))

    task = asyncio.create_task(asking())
    try:
        pace = await write(sides.store_track, tracks)
        assert not task.done(), task.exception()
        return pace
    finally:
        task.cancel()


async def measure(url: str, fleet: Fleet, compared: Callable[..., None]) -> None:
    """Everything, in one run."""
    async with filled(url, fleet) as sides:
        fixes = fleet.fixes_a_day * fleet.drivers * fleet.days
        ours, others = await sides.size(*STORED), await sides.size("row_a_fix")
        compared("bytes a fix with indexes", ours / fixes, others / fixes, 50.0)
        for name, (ours_ms, others_ms) in (await ask(sides)).items():
            for share in (50, 95):
                target = TARGETS_MS[name] if share == 95 else None
                compared(f"{name}, p{share} ms", *(np.percentile(ms, share) for ms in (ours_ms, others_ms)), target)
        if fixes < LARGE:
            await simplify(sides.store)
            # What is left of rows, also of those that noted what to do, is filled again in time, not given back.
            await sides.connection.execute(f"VACUUM FULL {', '.join(STORED)}")
            compared("bytes a fix, within 10 m", await sides.size(*STORED) / fixes, math.nan, 12.0)
        later = replace(fleet, start=fleet.start + fleet.days * DAY_S, fixes=1000 * fleet.fixes, days=1000 * fleet.days)
        coming = later.commits()
        alone, asked, beside = [], [], []
        for number in range(ROUNDS):  # in turn, now one first and now the other
            for questioned in (True, False) if number % 2 else (False, True):
                tracks = list(islice(coming, COMMITS))
                if questioned:
                    asked.append(await write_while_asked(sides, tracks))
                else:
                    alone.append(await write(sides.store_track, tracks))
            if number < 3:
                beside.append(await write(sides.table.commit, list(islice(coming, 1))))
        compared("us a fix in runs of ten, alone", 1e6 / max(alone), 1e6 / max(beside), 2.0)
        lost = 1.0 - np.sum(1.0 / np.array(alone)) / np.sum(1.0 / np.array(asked))
        compared("share of all its time that answers take", float(lost), math.nan, 0.1)


async def simplify(store: Store) -> None:
    """All hours, as if they were old."""
    for merged, bound_m in ((False, None), (True, 10.0)):
        while due := await store.due(merged=merged, before=time.time(), limit=50):
            await store.commit(Commit(compact=[Compaction(driver_id, hour, bound_m) for driver_id, hour in due]))


@pytest.fixture
def url() -> Iterator[str]:
    """Durable: fsync is on."""
    with private_server(fsync=True) as server, server.database() as url:
        yield url


def bench_history(benchmark: BenchmarkFixture, url: str, compared: Callable[..., None]) -> None:
    """What a dispatcher asks of a fleet's month, and what it costs to keep it."""
    drivers, days = (100, 2) if FIXES < LARGE else (2000, 30)
    fleet = Fleet(FIXES, drivers, days, (time.time() // DAY_S - days - 1) * DAY_S)
    benchmark.pedantic(lambda: asyncio.run(measure(url, fleet, compared)), rounds=1)
