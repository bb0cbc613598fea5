"""Where a driver was at a moment, and long tracks, asked of both stores."""

import math

import numpy as np
import pytest

from storage import Commit, Store, open_store
from tests.storage.test_passes import drive
from tests.tracks import T0, run, same
from tracker.errors import ConfigurationError, Flag


def t(fix) -> float | None:
    return None if fix is None else round(fix.fix_time - T0, 3)


async def test_a_position_lies_between_the_fixes_around_it(store: Store):
    await store.commit(Commit(track=run("a", [0, 10]), aside=run("a", [6], kind=Flag.OUTLIER)))
    await store.commit(Commit(track=run("a", [10, 40], connected=True), aside=run("a", [20], kind=Flag.LATE)))
    track = await store.track("a", T0, T0 + 50)
    for at in (0.0, 5.0, 10.0, 17.5, 20.0, 39.999, 40.0):
        found = await store.position("a", T0 + at)
        assert found.latitude == pytest.approx(float(np.interp(T0 + at, track.fix_time, track.latitude)), abs=1e-9)
        assert found.longitude == pytest.approx(float(np.interp(T0 + at, track.fix_time, track.longitude)), abs=1e-9)
    assert (t(found.before), found.after) == (40, None)
    found = await store.position("a", T0 + 17.5)
    assert (t(found.before), t(found.after)) == (10, 20)
    assert math.isnan(found.before.accuracy)
    assert (await store.position("a", T0 + 20)).before.speed == track.speed[2]


async def test_in_a_silence_and_outside_of_a_track_no_position_is_made_up(store: Store):
    await store.commit(Commit(track=run("a", [0, 10]), aside=run("a", [5000, 90_000], kind=Flag.OUTLIER)))
    await store.commit(Commit(track=run("a", [100_000, 100_010])))
    for at, before, after in (
        (-1, None, 0),
        (-9999, None, 0),
        (300, 10, 100_000),
        (50_000, 10, 100_000),
        (1e6, 100_010, None),
    ):
        found = await store.position("a", T0 + at)
        assert (t(found.before), t(found.after)) == (before, after)
        assert math.isnan(found.latitude) and math.isnan(found.longitude)
    found = await store.position("nobody", T0)
    assert (found.before, found.after) == (None, None)


async def test_across_the_antimeridian_the_short_way_is_taken(store: Store):
    line = drive("a", [0, 10], 0)
    line.longitude[:] = [179.9, -179.7]
    await store.commit(Commit(track=line))
    assert (await store.position("a", T0 + 5)).longitude == pytest.approx(-179.9)


async def test_a_long_track_in_parts_is_the_whole_one(store: Store):
    rng = np.random.default_rng(1)
    seconds = np.unique(np.concatenate([rng.integers(0, 200_000, 300), rng.integers(900_000, 1_000_000, 300)]))
    for part in np.array_split(seconds, 20):
        await store.commit(Commit(track=run("a", part)))
    parts = [part async for part in store.parts("a", T0 + 100, T0 + 950_000)]
    assert len(parts) > 10
    whole = await store.track("a", T0 + 100, T0 + 950_000)
    assert [x for part in parts for x in part.fix_time.tolist()] == whole.fix_time.tolist()
    assert [part async for part in store.parts("nobody", T0, T0 + 1e6)] == []


async def test_a_reader_needs_no_lock_and_changes_nothing(store: Store, store_url: str):
    await store.commit(Commit(track=run("a", [1, 2])))
    reader = open_store(store_url)
    await reader.open(read_only=True)
    assert reader.epoch == store.epoch
    await store.commit(Commit(track=run("a", [2, 3], connected=True)))
    assert same(await reader.track("a", T0, T0 + 9), run("a", [1, 2, 3]))
    with pytest.raises(ConfigurationError, match="read only"):
        await reader.commit(Commit(track=run("a", [4])))
    await reader.close()


async def test_there_is_nothing_to_read_where_there_is_no_store(store_url: str):
    reader = open_store(store_url)
    with pytest.raises(ConfigurationError, match="tracker migrate"):
        await reader.open(read_only=True)
    await reader.close()
