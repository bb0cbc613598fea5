"""Durable commits of fixes: how many a second, and how many bytes each takes. fsync is on in both stores.

.venv/bin/python -m pytest benchmarks/bench_storage.py
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from storage import Commit, Writer, open_store
from tests.postgres import Server, private_server
from tracker.records import Track

DRIVERS = 1000
ROUNDS = 40
T0 = 1_760_000_000.0


def fleet(number: int, fixes: int) -> Track:
    """What a fleet reports in one tick: `fixes` new ones a driver, 1 Hz, each run connected to the one before."""
    rng = np.random.default_rng(number)
    length = fixes + 1
    count = DRIVERS * length
    seconds = np.tile(number * fixes + np.arange(length), DRIVERS)
    home = np.repeat(np.random.default_rng(0).random((2, DRIVERS)) * 0.1, length, axis=1)
    return Track(
        [f"DRIVER{driver:04}" for driver in range(DRIVERS)],
        np.zeros(DRIVERS, np.uint8),
        np.ones(DRIVERS, np.bool_),
        np.arange(0, count + 1, length),
        T0 + seconds,
        25.0 + home[0] + seconds * 1e-5 + rng.normal(0, 1e-5, count),
        121.5 + home[1] + seconds * 1e-5 + rng.normal(0, 1e-5, count),
        rng.random(count) * 15,
        rng.random(count) * 360,
        rng.random(count) * 20,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with private_server(fsync=True) as server:
        yield server


@pytest.fixture(params=["geopackage", "postgis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "geopackage":
        yield f"sqlite:///{tmp_path}/tracker.gpkg"
    else:
        with request.getfixturevalue("server").database() as url:
            yield url


@pytest.mark.parametrize("fixes", [1, 10, 60])
def test_commit(benchmark: BenchmarkFixture, url: str, fixes: int) -> None:
    """One commit after the other, `fixes` new ones of each of 1,000 drivers in each."""
    ticks = [Commit(track=fleet(number, fixes)) for number in range(ROUNDS)]
    with asyncio.Runner() as runner:
        store = open_store(url)
        runner.run(store.open())
        remaining = iter(ticks)
        benchmark.pedantic(lambda: runner.run(store.commit(next(remaining))), rounds=ROUNDS)
        runner.run(store.close())
        stored = runner.run(_bytes_stored(url))
    report(benchmark, fixes * DRIVERS, stored / (ROUNDS * fixes * DRIVERS))


def test_writer_of_single_fixes(benchmark: BenchmarkFixture, url: str) -> None:
    """60 ticks with one fix a driver, put at once: the writer makes one transaction and long rows of them."""
    ticks = [Commit(track=fleet(number, 1)) for number in range(10 * 60)]
    groups = iter([ticks[start : start + 60] for start in range(0, len(ticks), 60)])

    async def put(writer: Writer) -> None:
        await asyncio.gather(*(writer.put(commit) for commit in next(groups)))

    async def start() -> Writer:
        writer = Writer(store)
        await writer.start()
        return writer

    with asyncio.Runner() as runner:
        store = open_store(url)
        runner.run(store.open())
        writer = runner.run(start())
        benchmark.pedantic(lambda: runner.run(put(writer)), rounds=10)
        runner.run(writer.close())
        runner.run(store.close())
        stored = runner.run(_bytes_stored(url))
    report(benchmark, 60 * DRIVERS, stored / (len(ticks) * DRIVERS))


def report(benchmark: BenchmarkFixture, fixes: int, bytes_a_fix: float) -> None:
    if benchmark.stats is None:  # --benchmark-disable
        return
    benchmark.extra_info["fixes a second"] = round(fixes / benchmark.stats.stats.mean)
    benchmark.extra_info["bytes a fix"] = round(bytes_a_fix, 1)


async def _bytes_stored(url: str) -> int:
    """Size of the tracks with their indexes."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        ((size,),) = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        connection.close()
        return int(size)
    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM segments")
    size = await connection.fetchval("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('segments')")
    await connection.close()
    return int(size)
