"""The embedded store is a GeoPackage that others can read, and durable."""

import sqlite3
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import shapely

from storage import Commit
from storage.geopackage import GeoPackage
from tests.tracks import T0, fixes, run, runs
from tracker.errors import ConfigurationError, StoreUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "tracker.gpkg"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[GeoPackage]:
    store = GeoPackage(path)
    await store.open()
    yield store
    await store.close()


def read(path: Path, sql: str) -> list[tuple]:
    """As another program would, while the server runs."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def test_the_file_says_it_is_a_geopackage(store: GeoPackage, path: Path):
    assert read(path, "PRAGMA application_id") == [(int.from_bytes(b"GPKG"),)]
    assert read(path, "PRAGMA user_version") == [(10300,)]
    assert read(path, "PRAGMA integrity_check") == [("ok",)]
    assert read(path, "PRAGMA foreign_key_check") == []
    assert {srs for (srs,) in read(path, "SELECT srs_id FROM gpkg_spatial_ref_sys")} == {-1, 0, 4326}
    assert read(path, "SELECT table_name, data_type, srs_id FROM gpkg_contents WHERE data_type = 'features'") == [
        ("tracks", "features", 4326),
        ("latest_positions", "features", 4326),
    ]
    assert read(path, "SELECT * FROM gpkg_geometry_columns") == [
        ("tracks", "path", "LINESTRING", 4326, 0, 1),
        ("latest_positions", "position", "POINT", 4326, 0, 1),
    ]


async def test_every_listed_table_has_the_integer_key_the_standard_asks_for(store: GeoPackage, path: Path):
    tables = "SELECT table_name FROM gpkg_contents JOIN sqlite_master ON name = table_name AND type = 'table'"
    for (table,) in read(path, tables):
        keys = [(name, kind) for _, name, kind, _, _, key in read(path, f"PRAGMA table_info({table})") if key]
        assert keys == [("id", "INTEGER")]


async def test_a_path_is_a_geopackage_geometry(store: GeoPackage, path: Path):
    track = run("a", [0, 1.5, 3])
    await store.commit(Commit(track=track))
    ((blob,),) = read(path, "SELECT path FROM tracks")
    magic, version, flags, srs_id, *envelope = struct.unpack_from("<2sBBi4d", blob)
    assert (magic, version, flags, srs_id) == (b"GP", 0, 0b00000011, 4326)
    line = shapely.from_wkb(blob[40:])
    assert line.geom_type == "LineString"
    assert (envelope[0], envelope[2], envelope[1], envelope[3]) == line.bounds
    xym = shapely.get_coordinates(line, include_m=True)
    assert np.array_equal(xym, np.stack([track.longitude, track.latitude, track.fix_time], axis=1))


async def test_a_single_fix_is_a_valid_line(store: GeoPackage, path: Path):
    await store.commit(Commit(track=run("a", [5])))
    ((blob,),) = read(path, "SELECT path FROM tracks")
    assert shapely.get_num_coordinates(shapely.from_wkb(blob[40:])) == 2
    assert len((await store.track("a", T0, T0 + 9)).fix_time) == 1


async def test_columns_beside_the_path_hold_what_they_say(store: GeoPackage, path: Path):
    track = runs([run("b", [7, 8]), run("a", [1, 2, 3], connected=True)])
    await store.commit(Commit(track=track))
    columns = "driver_id, kind, connected, start_time, end_time, speed"
    a, b = read(path, f"SELECT {columns} FROM tracks ORDER BY driver_id")
    assert a[:5] == ("a", 0, 1, T0 + 1, T0 + 3)
    assert b[:5] == ("b", 0, 0, T0 + 7, T0 + 8)
    assert np.array_equal(np.frombuffer(a[5], "<f4"), fixes(track)[2:, 3].astype(np.float32), equal_nan=True)


async def test_commits_wait_for_the_disk(store: GeoPackage):
    def settings() -> tuple[str, int]:
        assert store._connection is not None
        pragmas = ("journal_mode", "synchronous")
        mode, synchronous = (store._connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in pragmas)
        return mode, synchronous

    assert await store._call(settings) == ("wal", 2)


async def test_a_full_disk_is_temporary(store: GeoPackage):
    def limit(pages: int) -> None:
        assert store._connection is not None
        store._connection.execute(f"PRAGMA max_page_count = {pages}")

    await store._call(lambda: limit(1))  # SQLite takes the present size instead
    with pytest.raises(StoreUnavailable):
        await store.commit(Commit(track=run("a", range(10_000))))
    await store._call(lambda: limit(100_000))
    await store.commit(Commit(track=run("b", [1, 2])))
    assert len((await store.track("b", T0, T0 + 9)).fix_time) == 2


async def test_another_program_that_writes_is_waited_for_and_then_temporary(store: GeoPackage, path: Path):
    await store._call(lambda: store._connection and store._connection.execute("PRAGMA busy_timeout = 1"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await store.commit(Commit(track=run("a", [1])))
    other.execute("ROLLBACK")
    other.close()
    await store.commit(Commit(track=run("a", [1])))


async def test_a_path_that_cannot_be_is_a_configuration_error(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await GeoPackage(tmp_path / "file" / "tracker.gpkg").open()


async def test_a_closed_store_is_unavailable(path: Path):
    store = GeoPackage(path)
    await store.open()
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.track("a", 0, 1)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.commit(Commit())
