"""The server's clock jumps an hour ahead, and back: what is acknowledged is stored once, and nothing is held up."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from storage.migrate import Dialect, migrations
from storage.segments import HOUR_S
from tests.fixes import place
from tests.site import DRIVER, Site, site
from tests.storage.test_compaction import rows_of
from tracker.errors import Flag

WEEK_S = 7 * 86400.0
BEGINS = 2911 * WEEK_S - HOUR_S / 2
"""Half an hour before a week ends, and its partition with it."""
SETTINGS = {"merge_after_s": 0.0, "track_days": 1.0, "message_days": 1.0}
ROOT = Path(__file__).parents[2]


async def send(here: Site, first: int) -> tuple[int, int]:
    """Ten fixes of a driver whose clock is right; how many of them are new, and how many known."""
    times = [BEGINS + first + t for t in range(10)]
    latitude, longitude = place([8.0 * (t - BEGINS) for t in times])
    columns = {"timestamp": times, "latitude": latitude.tolist(), "longitude": longitude.tolist()}
    answer: dict[str, Any] = (await here.ask(DRIVER, "POST", "locations", json={"columns": columns})).json()
    return answer["accepted"], answer["duplicates"]


async def upkeep(here: Site) -> None:
    async for _ in here.services.upkeep.steps():
        pass


async def test_every_fix_is_stored_once_and_nothing_young_is_dropped(store_url: str) -> None:
    async with site(store_url, **SETTINGS) as here:
        for first, ahead in ((0, 0.0), (10, HOUR_S), (20, 0.0), (30, -50.0), (40, 0.0)):
            here.clock.now = BEGINS + first + 10 + ahead
            assert await send(here, first) == (10, 0)
            await upkeep(here)
        store = here.services.store
        assert [await send(here, first) for first in range(0, 50, 10)] == [(0, 10)] * 5
        track, kind = await store.fixes("D1", BEGINS - WEEK_S, BEGINS + WEEK_S)
        assert (track.fix_time - BEGINS).tolist() == list(range(50))
        assert set(kind.tolist()) == {Flag.ACCEPTED}
        assert here.services.upkeep.counts["merged_hours"] > 0  # an hour that went on
        assert here.services.upkeep.counts["dropped_tracks"] == 0


async def test_weeks_that_a_wrong_clock_made_room_for_do_no_harm(postgres_url: str) -> None:
    async with site(postgres_url, **SETTINGS) as here:
        here.clock.now = BEGINS + HOUR_S
        await upkeep(here)
        here.clock.now = BEGINS + 10
        await upkeep(here)
        assert await send(here, 0) == (10, 0)
        here.clock.now = BEGINS + HOUR_S
        assert await send(here, int(HOUR_S) - 10) == (10, 0)
        connection = await asyncpg.connect(postgres_url)
        weeks = await connection.fetch("SELECT DISTINCT tableoid::regclass::text AS name FROM segments ORDER BY 1")
        await connection.close()
        assert [week["name"] for week in weeks] == ["segments_w2910", "segments_w2911"]
        assert await rows_of(here.services.store, "D1") == 2


@pytest.mark.parametrize("dialect", ["postgis", "sqlite"])
def test_no_statement_asks_the_database_for_the_time(dialect: Dialect) -> None:
    """So it may be minutes off the server's; only the day a migration was applied is noted by it."""
    texts = [migration.sql for migration in migrations(dialect)]
    texts += [path.read_text("utf-8") for path in (ROOT / "storage").glob("*.py") if path.name != "migrate.py"]
    for asking in ("now()", "current_timestamp", "clock_timestamp", "statement_timestamp", "localtime", "datetime("):
        assert not any(asking in text.lower() for text in texts), asking
