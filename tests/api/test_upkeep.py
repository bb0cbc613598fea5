"""A server keeps its store small while it runs, by its settings."""

import asyncio

import pytest

from api.config import Config
from api.upkeep import Upkeep
from storage import Commit, Store, open_store
from storage.segments import HOUR_S
from tests.site import site
from tests.storage.test_compaction import FIRST, HOUR, drive, off, rows_of
from tests.storage.test_store import message
from tests.tracks import T0, run

DAY = 86400.0


async def everything(store: Store, now: float, **settings: float) -> dict[str, int]:
    upkeep = Upkeep(store, store.commit, Config(**settings), lambda: now)
    async for _ in upkeep.steps():
        pass
    return {name: count for name, count in upkeep.counts.items() if count}


@pytest.fixture
async def store(store_url: str):
    store = open_store(store_url)
    await store.open()
    yield store
    await store.close()


async def test_tracks_are_merged_then_simplified_then_dropped(store: Store):
    whole = drive("a", FIRST, FIRST + 3600)
    await store.commit(Commit(track=whole, messages=[message("m")]))
    await store.commit(Commit(track=drive("b", FIRST, FIRST + 3600)))
    assert await everything(store, HOUR + HOUR_S + 7200) == {}
    assert await everything(store, HOUR + HOUR_S + 7201) == {"merged_hours": 2}
    assert len((await store.track("a", HOUR, HOUR + 3600)).fix_time) == 720
    month = HOUR + HOUR_S + 30 * DAY + 1
    assert await everything(store, month, raw_days=0.0) == {}
    assert await everything(store, month, simplify_bound_m=5.0) == {"simplified_hours": 2}
    track = await store.track("a", HOUR, HOUR + 3600)
    assert len(track.fix_time) < 400
    assert off(whole, track).max() <= 5
    assert await everything(store, HOUR + 400 * DAY, track_days=500.0, message_days=500.0) == {}
    done = await everything(store, HOUR + 400 * DAY, track_days=365.0, message_days=365.0)
    assert done["dropped_tracks"] > 0
    assert await rows_of(store, "a") == 0
    assert await store.messages("orders", after=0) == []


async def test_a_server_does_it_by_itself_while_fixes_come_in(store_url: str):
    async with site(store_url, merge_after_s=0.0, upkeep_every_s=1.0) as here:
        start = here.clock.now
        await here.drive("D1", [0.0, 1.0], [0.0, 10.0])
        await here.drive("D1", [2.0, 3.0], [20.0, 30.0])
        here.clock.now = start + 3 * HOUR_S
        async with asyncio.timeout(60):
            while here.services.upkeep.counts["merged_hours"] < 1:
                await asyncio.sleep(0.05)
                await here.drive("D2", [here.clock.now - T0], [0.0])
                here.clock.now += 1.0
        assert await rows_of(here.services.store, "D1") == 1
        assert 'tracker_upkeep_total{work="merged_hours"} 1.0' in await here.metrics()


async def test_a_fix_of_the_current_hour_is_left_alone(store: Store):
    await store.commit(Commit(track=run("a", [0, 1])))
    assert await everything(store, T0 + 10) == {}
