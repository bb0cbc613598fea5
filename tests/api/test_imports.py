"""A recorded file goes into a store as if its drivers had sent it, and again changes nothing."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from api.imports import import_files, summary
from storage import Commit, Store, open_store
from storage.segments import as_stored
from tests.api.test_formats import text
from tests.storage.test_passes import drive
from tests.tracks import T0, same, times
from tracker.records import Geofence, Track
from tracker.settings import EngineSettings

HEADER = "driver_id,timestamp,latitude,longitude\n"


@pytest.fixture
async def store(store_url: str):
    store = open_store(store_url)
    await store.open()
    yield store
    await store.close()


def ride(t) -> Track:
    """At 10 m/s, of a device that does not tell its speed."""
    unknown = np.full(len(t), np.nan)
    return dataclasses.replace(drive("a", t, np.asarray(t) * 10.0), speed=unknown, course=unknown)


async def take(store: Store, *files: Path, **options) -> Counter[str]:
    return await import_files(store, EngineSettings(), files, now=T0 + 1e6, **options)


async def test_what_was_exported_is_imported_as_it_was_once(store: Store, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("api.imports.PART", 40)
    whole = as_stored(ride(np.arange(0, 500, 5) * 1.0))
    for name in ("csv", "geojson", "gpx"):
        (tmp_path / f"a.{name}").write_bytes(text(name, whole, "a"))
    read: list[int] = []
    path = tmp_path / "a.csv"
    assert await take(store, path, progress=read.append) == {"accepted": 100}
    assert sum(read) == path.stat().st_size
    stored = await store.track("a", T0, T0 + 1e4)
    assert same(stored, whole)
    for other in (path, tmp_path / "a.geojson", tmp_path / "a.gpx"):
        assert await take(store, other) == {"duplicate": 100}
    assert same(await store.track("a", T0, T0 + 1e4), stored)


async def test_older_fixes_fill_in_and_are_late(store: Store, tmp_path: Path):
    await store.commit(Commit(track=ride([0, 100])))
    (tmp_path / "a.csv").write_bytes(text("csv", ride([0, 50, 100, 150]), "a"))
    assert await take(store, tmp_path / "a.csv") == {"accepted": 1, "late": 1, "duplicate": 2}
    assert times(await store.track("a", T0, T0 + 1e4)) == [0, 50, 100, 150]
    assert list((await store.load(tail_s=1, since=0)).late) == [("a", T0 + 50, T0 + 50)]


async def test_bad_fixes_are_counted_by_reason_and_harm_no_others(store: Store, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text(HEADER + f"a,{T0},91,0\na,{T0 + 1},25,121\na,{T0 + 2e6},25,121\na,1000,25,121\n")
    counts = await take(store, path)
    assert counts == {"accepted": 1, "latitude_out_of_range": 1, "timestamp_in_future": 1, "timestamp_too_old": 1}
    assert summary(counts, 1, "here") == (
        "4 fixes of 1 files: 1 new, 0 stored before, 1 latitude_out_of_range, 1 timestamp_in_future, "
        "1 timestamp_too_old; in here"
    )


async def test_a_geofence_that_was_there_is_crossed(store: Store, tmp_path: Path):
    around = {"type": "Point", "coordinates": [121.5654, 25.033], "radius": 100.0}
    old = Geofence(geofence_id="old", changed_at=T0 - 1e5, **around)
    new = Geofence(geofence_id="new", changed_at=T0 + 1e5, **around)
    await store.commit(Commit(save=[old, new]))
    (tmp_path / "a.csv").write_bytes(text("csv", drive("a", [0, 20, 40, 60], [-500, -200, 0, 500]), "a"))
    await take(store, tmp_path / "a.csv")
    assert [(e.kind, e.geofence_id) for e in await store.events()] == [("enter", "old"), ("exit", "old")]
    await take(store, tmp_path / "a.csv")
    assert len(await store.events()) == 2
