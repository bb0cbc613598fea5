"""Exactly once: drivers, an office, a server and its store, of which the last two are killed at random moments.

FAULT_ROUNDS=100 .venv/bin/python -m pytest tests/faults/test_kill.py -s
"""

import asyncio
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

import api.client
from storage import Commit, open_store
from storage.reading import Reading
from storage.rows import Statement
from tests.faults.apps import App, Progress, Subscriber
from tests.faults.road import Street, undisturbed
from tests.postgres import Server, private_server
from tests.support import LiveServer, running_server
from tracker.records import Event, Floats
from tracker.settings import EngineSettings

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "2"))
MOST_BATCHES = 60
"""Something is killed after so many acknowledged batches at most."""
MOMENT_S = 0.03
"""And so much later at most: anywhere between two commits."""
DRIVERS = 5
DAY_S = 86400.0
ENGINE = {"retell_after_s": 0.3, "stale_after_s": 30 * DAY_S, "stay_after_s": 3600.0}
SETTINGS = {"rate_limit_per_s": 1e6, "rate_limit_burst": 10**6, **ENGINE}
NOTICES = {"assigned", "eta_changed"}
"""What an office or a prediction tells."""
WITHIN_S = 1.5
"""What is told of the same drive in another way may be told for another moment by so much."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apps that try again at once."""
    monkeypatch.setattr(api.client, "BACKOFF_S", 0.1)
    monkeypatch.setattr(api.client, "BACKOFF_CAP_S", 0.5)


async def test_nothing_is_lost_or_told_twice_whatever_is_killed(impatient: None, tmp_path: Path) -> None:
    with private_server(fsync=True) as database, database.database() as url:
        await drive(url, tmp_path, ROUNDS, ["database", "server", "database", "both"], database)


async def test_nothing_is_lost_or_told_twice_on_the_embedded_store(
    impatient: None, tmp_path: Path, sqlite_url: str
) -> None:
    await drive(sqlite_url, tmp_path, (ROUNDS + 1) // 2, ["server"])


async def drive(url: str, tmp_path: Path, rounds: int, victims: list[str], database: Server | None = None) -> None:
    """The rounds, and what must hold after them."""
    seed = random.randrange(10**6)
    print(f"\nseed {seed}")
    rng = random.Random(seed)
    begins = round(time.time()) - 5 * DAY_S
    streets = [Street(number, begins) for number in range(DRIVERS)]
    most_legs = 8 * rounds
    async with opened(url) as store:
        await store.commit(Commit(save=[street.geofence(leg) for street in streets for leg in range(most_legs)]))
    async with running_server(url, tmp_path, **SETTINGS) as server:
        office = Subscriber(server, "office", "boss", ["orders", *(f"driver:{s.driver_id}" for s in streets)])
        apps = [App(server, street) for street in streets]
        progress, ended = Progress(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(60 + 60 * rounds):
            listening = tasks.create_task(office.listen())
            await office.ready.wait()
            driving = [tasks.create_task(app.drive(progress, ended, most_legs)) for app in apps]
            for number in range(rounds):
                await progress.pass_by(rng.randint(1, MOST_BATCHES))
                await asyncio.sleep(rng.uniform(0.0, MOMENT_S))
                await kill(victims[number % len(victims)], server, database)
                print(f"killed {victims[number % len(victims)]} {number + 1}", flush=True)
            ended.set()
            await asyncio.gather(*driving)
            await all_told(url)
            await check_messages(url, office)
            listening.cancel()
    assert "Traceback" not in server.log
    await check_store(url, apps)
    told = {channel: len(messages) for channel, messages in office.messages.items()}
    accepted, again = (sum(getattr(app.tally, name) for app in apps) for name in ("accepted", "duplicates"))
    print(f"{rounds} rounds, {accepted} fixes, {again} of them sent twice; told {told}, {office.repeats} of it twice")


async def kill(victim: str, server: LiveServer, database: Server | None) -> None:
    """Kill, and start again."""
    if victim in ("server", "both"):
        server.kill()
    if victim in ("database", "both"):
        assert database is not None
        await asyncio.to_thread(database.kill)
        await asyncio.to_thread(database.start)
    if victim in ("server", "both"):
        await server.start()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Reading]:
    store = open_store(url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def all_told(url: str) -> None:
    """Wait until no late fixes are left whose events have not been told again."""
    while await _count(url, "SELECT count(*) FROM late_spans"):  # noqa: ASYNC110 another process
        await asyncio.sleep(0.05)


async def _count(url: str, sql: str) -> int:
    if url.startswith("sqlite"):
        file = sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True)
        ((count,),) = file.execute(sql)
        file.close()
    else:
        session = await asyncpg.connect(url)
        count = await session.fetchval(sql)
        await session.close()
    return int(count)


async def check_store(url: str, apps: list[App]) -> None:
    """Every fix once, every crossing and milestone once, as of an undisturbed drive."""
    async with opened(url) as store:
        runs = f"SELECT driver_id, connected, path FROM {store.dialect.runs} ORDER BY start_time"
        found = await store.fetch(Statement(runs, [()]))
        for app in apps:
            driver_id = app.street.driver_id
            assert not app.tally.rejected
            stored = Counter[float]()
            for row in found:
                if row["driver_id"] == driver_id:
                    stored.update(_own(store.dialect.paths([row])[0][:, 2], row["connected"]))
            sent = Counter(fix.timestamp for leg in app.legs for fix in leg)
            assert stored == sent, f"lost {sent - stored}, doubled {stored - sent}"
            events = await store.events(driver_id=driver_id, limit=10**6)
            expected = undisturbed(app.street, app.legs, EngineSettings(**ENGINE))
            told, due = _happened(events), _happened(expected)
            assert {key: len(moments) for key, moments in told.items()} == {key: len(m) for key, m in due.items()}
            for key, moments in due.items():
                assert told[key] == pytest.approx(moments, abs=WITHIN_S), key


def _own(fix_time: Floats, connected: bool) -> list[float]:
    """The fixes of a row: without the one it shares with the row before; a lone one stands twice."""
    fixes: list[float] = fix_time[1:].tolist() if connected else fix_time.tolist()
    return fixes[:1] if len(fixes) == 2 and fixes[0] == fixes[1] else fixes


def _happened(events: list[Event]) -> dict[tuple[str, str], list[float]]:
    """When each thing happened; of notices, which are given when they are true by what is known, only that."""
    happened: dict[tuple[str, str], list[float]] = {}
    for event in sorted(events, key=lambda event: event.occurred_at):
        if event.kind not in NOTICES:
            subject = getattr(event, "order_id", None) or getattr(event, "geofence_id", "")
            moment = 0.0 if event.kind == "approaching" else event.occurred_at
            happened.setdefault((event.kind, subject), []).append(moment)
    return happened


async def check_messages(url: str, office: Subscriber) -> None:
    """Every stored message was delivered, in order and without a gap; each order's arrival was told once."""
    for channel in office.messages:
        if url.startswith("sqlite"):
            file = sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True)
            stored = {row[0] for row in file.execute("SELECT event_id FROM messages WHERE topic = ?", (channel,))}
            file.close()
        else:
            session = await asyncpg.connect(url)
            stored = {row[0] for row in await session.fetch("SELECT event_id FROM messages WHERE topic = $1", channel)}
            await session.close()
        async with asyncio.timeout(10):
            await office.heard(channel, stored)
        assert office.messages[channel].keys() == stored
    arrived = Counter(m["order_id"] for m in office.messages["orders"].values() if m.get("status") == "driver_arrived")
    assert set(arrived.values()) <= {1}
