"""Migrations: each once, in order, and never a surprise."""

import math
import sqlite3
import struct
from contextlib import suppress
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from storage import Commit, open_store
from storage.migrate import Migration, migrations, pending
from tests.postgres import Server
from tests.tracks import T0, run
from tracker.errors import ConfigurationError, Flag

ONE, TWO = Migration(1, "CREATE TABLE one (x int)"), Migration(2, "CREATE TABLE two (x int)")


@pytest.mark.parametrize("dialect", ["postgis", "sqlite"])
def test_versions_count_from_one_without_gaps(dialect):
    assert [migration.version for migration in migrations(dialect)] == list(range(1, len(migrations(dialect)) + 1))


def test_only_what_is_missing_is_pending():
    assert pending([ONE, TWO], {}) == [ONE, TWO]
    assert pending([ONE, TWO], {1: ONE.checksum}) == [TWO]
    assert pending([ONE, TWO], {1: ONE.checksum, 2: TWO.checksum}) == []


def test_a_changed_migration_is_refused():
    with pytest.raises(ConfigurationError, match="migration 1 was changed"):
        pending([ONE, TWO], {1: TWO.checksum})


def test_a_newer_schema_is_refused():
    with pytest.raises(ConfigurationError, match="schema version 3, this tracker knows up to 2"):
        pending([ONE, TWO], {1: ONE.checksum, 2: TWO.checksum, 3: "?"})


async def _tamper(url: str, sql: str) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(sql)
        connection.close()
    else:
        connection = await asyncpg.connect(url)
        await connection.execute(sql)
        await connection.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1", "was changed"),
        ("INSERT INTO schema_migrations (version, checksum) VALUES (999, 'newer')", "schema version 999"),
    ],
)
async def test_a_store_of_another_version_is_not_touched(store_url: str, change: str, message: str):
    store = open_store(store_url)
    await store.open()
    await store.close()
    await _tamper(store_url, change)
    store = open_store(store_url)
    with pytest.raises(ConfigurationError, match=message):
        await store.open()
    await store.close()


async def test_opening_again_applies_nothing_and_keeps_the_epoch(store_url: str):
    epochs = set()
    for _ in range(2):
        store = open_store(store_url)
        await store.open()
        epochs.add(store.epoch)
        await store.close()
    assert len(epochs) == 1
    assert epochs != {""}


async def test_a_failing_migration_leaves_nothing_behind(store_url: str, monkeypatch: pytest.MonkeyPatch):
    broken = [Migration(1, "CREATE TABLE half (x integer); CREATE TABLE half (x integer)")]
    for module in ("storage.geopackage", "storage.postgis"):
        monkeypatch.setattr(f"{module}.migrations", lambda _: broken)
    store = open_store(store_url)
    with pytest.raises((ConfigurationError, asyncpg.PostgresError), match="half"):
        await store.open()
    await store.close()
    monkeypatch.undo()
    await _tamper(store_url, "CREATE TABLE half (x integer)")
    store = open_store(store_url)
    await store.open()
    await store.close()


async def test_without_postgis_the_error_says_what_to_do(postgres: Server):
    with postgres.database("template1") as url:
        postgres.execute("DROP ROLE IF EXISTS modest")
        postgres.execute("CREATE ROLE modest LOGIN")
        postgres.execute("GRANT CREATE ON SCHEMA public TO modest", url.rsplit("/", 1)[1])
        store = open_store(url.replace("postgres@", "modest@"))
        with pytest.raises(ConfigurationError, match="CREATE EXTENSION postgis"):
            await store.open()


async def test_a_file_that_is_something_else_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("not a database, but long enough to look at " * 50)
    with pytest.raises(ConfigurationError, match=r"notes\.txt cannot be used as a store"):
        await open_store(f"sqlite:///{tmp_path}/notes.txt").open()


FORMER = [(T0 + seconds, 121.5 + seconds * 1e-5, 25.0 - seconds * 1e-5) for seconds in (0, 100, 399, 401, 3000, 4001)]


async def test_tracks_from_before_they_were_cut_at_hours_stay_the_same(store_url: str, monkeypatch: pytest.MonkeyPatch):
    """Runs over two hours, one that connects, a late one and a lone fix, written by version 3."""
    for module in ("storage.geopackage", "storage.postgis"):
        monkeypatch.setattr(f"{module}.migrations", lambda dialect: migrations(dialect)[:3])
    with suppress(asyncpg.PostgresError, sqlite3.Error):  # it asks for what version 3 does not have
        store = open_store(store_url)
        await store.open()
    await store.close()
    monkeypatch.undo()
    for kind, connected, part in (
        (0, False, FORMER[:4]),
        (0, True, FORMER[3:5]),
        (0, False, FORMER[5:]),
        (2, False, LATE),
    ):
        await _store_formerly(store_url, kind, connected, part)
    store = open_store(store_url)
    await store.open()
    track = await store.track("a", T0 - 1e6, T0 + 1e6)
    assert np.array_equal(track.fix_time, [vertex[0] for vertex in sorted(FORMER + LATE)])
    assert np.allclose(track.longitude, [vertex[1] for vertex in sorted(FORMER + LATE)], rtol=0, atol=1e-7)
    assert np.array_equal(track.speed, np.round(track.fix_time - T0 + 0.25, 2) % 600)
    assert np.isnan(track.accuracy).all()
    assert (track.source == 1).all()
    again = await store.commit(Commit(aside=run("a", [5, 399, 401], kind=Flag.LATE)))
    assert again.duplicate.tolist() == [False, True, True]
    await store.close()


LATE = [(T0 + 350, 121.5, 25.0), (T0 + 402, 121.6, 25.0)]


async def _store_formerly(url: str, kind: int, connected: bool, xym: list[tuple[float, float, float]]) -> None:
    vertices = [(x, y, m) for m, x, y in (xym * 2 if len(xym) == 1 else xym)]
    speed = [round((m - T0 + 0.25) % 600, 2) for _, _, m in vertices]
    unknown = [math.nan] * len(vertices)
    line = struct.pack("<BII", 1, 2002, len(vertices)) + b"".join(struct.pack("<3d", *vertex) for vertex in vertices)
    columns = "driver_id, kind, connected, start_time, end_time, speed, course, accuracy, source, path"
    values = ("a", kind, connected, xym[0][0], xym[-1][0], speed, unknown, unknown, bytes([1] * len(vertices)))
    if url.startswith("sqlite"):
        reals = [struct.pack(f"<{len(vertices)}f", *value) for value in values[5:8]]
        with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
            blob = b"GP\0\3" + bytes(36) + line
            places = ", ".join("?" * 10)
            database.execute(
                f"INSERT INTO tracks ({columns}) VALUES ({places})", (*values[:5], *reals, values[8], blob)
            )
        database.close()
    else:
        connection = await asyncpg.connect(url)
        places = "$1, $2, $3, $4, $5, $6, $7, $8, $9, ST_SetSRID(ST_GeomFromWKB($10), 4326)"
        await connection.execute(f"INSERT INTO tracks ({columns}) VALUES ({places})", *values, line)
        await connection.close()
