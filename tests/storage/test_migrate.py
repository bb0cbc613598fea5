"""Migrations: each once, in order, and never a surprise."""

import sqlite3
from pathlib import Path

import asyncpg
import pytest

from storage import open_store
from storage.migrate import Migration, migrations, pending
from tests.postgres import Server
from tracker.errors import ConfigurationError

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
