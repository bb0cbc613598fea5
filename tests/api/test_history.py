"""A track that is asked for smoothed is whole; one with fewer vertices is exact where something happened."""

import dataclasses
from collections.abc import AsyncIterator

import numpy as np
import pytest

from api.history import AROUND_S, boundaries, smoothed, thinned
from storage import Commit, Store, open_store
from storage.segments import concatenate
from tests.storage.test_passes import drive
from tests.storage.test_reading import transition
from tests.tracks import T0
from tracker.engine import Engine
from tracker.records import Track
from tracker.settings import EngineSettings


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = open_store(sqlite_url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def driven(store: Store) -> Store:
    """D1 drives, stands for ten minutes and drives on, each 5 s, and crosses a boundary at 97.3 s."""
    t = np.arange(0.0, 1500.0, 5.0)
    east = np.interp(t, [0, 400, 1000, 1500], [0, 4000, 4000, 9000])
    north = 30.0 * np.sin(t / 40.0) * (np.abs(t - 700) > 300)
    unknown = np.full(len(t), np.nan)
    track = dataclasses.replace(drive("D1", t, east, north), speed=unknown, course=unknown)
    await store.commit(Commit(track=track, events=[transition("e", "enter", 97.3)]))
    return store


async def test_crossings_and_the_ends_of_stays_stay_exact(driven: Store):
    moments = await boundaries(driven, EngineSettings(), "D1", T0, T0 + 2000)
    seconds = moments - T0
    assert 97.3 in seconds.round(3)
    assert np.abs(seconds - 400).min() < 20
    assert np.abs(seconds - 1000).min() < 20
    whole = await driven.track("D1", T0, T0 + 2000)
    few = concatenate([part async for part in thinned(driven.parts("D1", T0, T0 + 2000), 40.0, moments)])
    assert len(few.fix_time) < len(whole.fix_time) / 4
    for moment in moments:
        assert np.interp(moment, few.fix_time, few.latitude) == np.interp(moment, whole.fix_time, whole.latitude)


async def test_a_smoothed_track_is_whole_and_each_part_of_it_is_read_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    t = np.concatenate([np.arange(0.0, 50_000.0, 20.0), np.arange(400_000.0, 402_000.0, 20.0)])
    await store.commit(Commit(track=drive("D1", t, 5.0 * t)))
    read = []
    fixes = store.fixes

    async def counted(driver_id: str, start: float, end: float):
        found = await fixes(driver_id, start, end)
        read.append(len(found[0].fix_time))
        return found

    monkeypatch.setattr(store, "fixes", counted)
    monkeypatch.setattr(store, "track", None)
    end = T0 + 401_000.0
    parts = [part async for part in smoothed(store, Engine(EngineSettings()), "D1", T0 + 100.0, end)]
    assert len(parts) > 2
    wanted = [T0 + x for x in t.tolist() if 100.0 <= x < 401_000.0]
    assert [x for part in parts for x in part.fix_time.tolist()] == wanted
    around = 2 * AROUND_S / 20.0 * len(read)
    assert sum(read) <= len(wanted) + around


async def test_of_a_driver_nobody_knows_there_is_nothing(store: Store):
    moments = await boundaries(store, EngineSettings(), "nobody", T0, T0 + 2000)
    assert len(moments) == 0
    parts = [part async for part in thinned(store.parts("nobody", T0, T0 + 9), 40.0, moments)]
    assert parts == list[Track]()
