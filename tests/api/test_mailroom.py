"""Personal messages over real sockets and a real store: by urgency, again and again, until acknowledged or expired."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect

from api import mailroom
from api.auth import sign
from storage.store import Commit
from tests.fixes import T0
from tests.site import SECRET, Site, site
from tracker.errors import StoreUnavailable
from tracker.mail import Personal
from tracker.spoken import on_record


@pytest.fixture
async def here(sqlite_url: str):
    async with site(sqlite_url) as running:
        yield running


class Phone:
    """A connection of a user that keeps what it heard."""

    def __init__(self, socket) -> None:
        self.socket = socket

    async def receive(self) -> dict:
        async with asyncio.timeout(60):
            return json.loads(await self.socket.recv())

    async def letters(self, count: int) -> list[str]:
        """The texts of so many messages."""
        return [(await self.receive())["message"] for _ in range(count)]

    async def ack(self, seq: int, channel: str = "user:C1") -> None:
        await self.socket.send(json.dumps({"type": "ack", "channel": channel, "seq": seq}))

    async def nothing_waits(self) -> None:
        """What was sent before now has been heard: a heartbeat comes back, and nothing before it."""
        await self.socket.send('{"type":"heartbeat"}')
        assert (await self.receive())["type"] == "heartbeat"


@asynccontextmanager
async def phone(here: Site, sub: str = "C1", role: str = "customer", **claims):
    token = sign(SECRET, sub=sub, role=role, ttl_s=3e6, now=here.clock.now, **claims)
    url = str(here.http.base_url).replace("http", "ws")
    async with connect(f"{url}/api/v1/websocket/ws?token={token}", proxy=None) as socket:
        user = Phone(socket)
        assert (await user.receive())["type"] == "connection"
        yield user


async def send(here: Site, text: str, priority: str = "normal", expires_at: float = T0 + 1e6, user: str = "C1") -> None:
    body = on_record(b'{"type":"notification","message":"%b"}' % text.encode(), {"en": {"message": f"en {text}"}})
    letter = Personal(
        event_id=text,
        topic=f"user:{user}",
        body=body,
        created_at=here.clock.now,
        priority=priority,
        expires_at=expires_at,
    )
    await here.services.line.commit(Commit(messages=[letter]))


async def settled(here: Site, topic: str = "user:C1") -> None:
    """Nothing waits in the store any more."""
    async with asyncio.timeout(60):
        while await here.services.store.waiting([topic], here.clock.now):  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.005)


async def test_what_came_while_offline_waits_and_comes_by_urgency_until_acknowledged(store_url: str):
    async with site(store_url) as here:
        await _waits_and_comes_by_urgency(here)


async def _waits_and_comes_by_urgency(here: Site) -> None:
    for text, priority in [("a", "low"), ("b", "normal"), ("c", "critical"), ("d", "high")]:
        await send(here, text, priority)
    async with phone(here) as user:
        assert await user.letters(4) == ["c", "d", "b", "a"]
        await user.ack(3)
        await user.ack(4)
    async with phone(here) as user:
        assert await user.letters(2) == ["b", "a"]
        for seq in (2, 1):
            await user.ack(seq)
        await settled(here)
    async with phone(here) as user:
        await user.nothing_waits()
    assert here.services.mailroom.counts["acknowledged"] == 4


async def test_it_outlives_a_restart(store_url: str):
    async with site(store_url) as here:
        await send(here, "a")
        async with phone(here) as user:
            assert await user.letters(1) == ["a"]
            await send(here, "b")
            assert await user.letters(1) == ["b"]
            await user.ack(1)
            await user.nothing_waits()
    async with site(store_url) as here, phone(here) as user:
        assert await user.letters(1) == ["b"]


async def test_one_acknowledges_for_all_sockets_of_a_user(here: Site):
    async with phone(here) as one, phone(here) as other, phone(here, "C2") as stranger:
        await one.nothing_waits()
        await other.nothing_waits()
        for text in ("a", "b"):
            await send(here, text)
        assert await one.letters(2) == await other.letters(2) == ["a", "b"]
        await other.ack(1)
        await other.nothing_waits()
        here.clock.now += 31.0
        assert await one.letters(1) == await other.letters(1) == ["b"]
        await stranger.nothing_waits()


async def test_it_is_sent_again_until_it_is_acknowledged_or_has_expired(here: Site):
    async with phone(here) as user:
        await user.nothing_waits()
        await send(here, "a")
        await send(here, "b", expires_at=T0 + 40.0)
        assert await user.letters(2) == ["a", "b"]
        here.clock.now = T0 + 31.0
        assert await user.letters(2) == ["a", "b"]
        await user.ack(1)
        await user.nothing_waits()
        here.clock.now = T0 + 100.0
        await settled(here)
        await user.nothing_waits()
    counts = here.services.mailroom.counts
    assert (counts["retried"], counts["acknowledged"], counts["expired"]) == (2, 1, 1)


async def test_a_clock_that_is_set_back_does_not_hold_it_up(here: Site):
    here.clock.now = T0 + 3600.0
    async with phone(here) as user:
        await user.nothing_waits()
        await send(here, "a")
        assert await user.letters(1) == ["a"]
        here.services.mailroom.tick()
        here.clock.now = T0
        assert await user.letters(1) == ["a"]


async def test_each_connection_hears_its_own_language(here: Site):
    async with phone(here, lang="en-GB") as english, phone(here) as chinese:
        for user in (english, chinese):
            await user.nothing_waits()
        await send(here, "a")
        assert (await english.letters(1), await chinese.letters(1)) == (["en a"], ["a"])
    async with phone(here, lang="en") as english:
        assert await english.letters(1) == ["en a"]
        since = {"epoch": here.services.store.epoch, "seq": 0}
        await english.socket.send(json.dumps({"type": "subscribe", "channel": "user:C1", "since": since}))
        assert await english.letters(1) == ["en a"]


async def test_too_many_crowd_out_the_least_urgent(here: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("storage.transaction.MAILBOX", 3)
    for text, priority in [("a", "low"), ("b", "critical"), ("c", "normal"), ("d", "normal"), ("e", "high")]:
        await send(here, text, priority)
    async with phone(here) as user:
        assert await user.letters(3) == ["b", "e", "d"]
        await user.nothing_waits()
    assert here.services.mailroom.counts["crowded_out"] == 2


async def test_what_was_crowded_out_is_not_sent_again(here: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("storage.transaction.MAILBOX", 2)
    async with phone(here) as user:
        await user.nothing_waits()
        for text in ("a", "b", "c"):
            await send(here, text)
        assert await user.letters(3) == ["a", "b", "c"]
        here.clock.now += 31.0
        assert await user.letters(2) == ["b", "c"]


async def test_it_is_sent_again_while_the_store_does_not_answer(here: Site, monkeypatch: pytest.MonkeyPatch):
    async def unavailable(topics: list[str], now: float):
        raise StoreUnavailable

    async with phone(here) as user:
        await user.nothing_waits()
        await send(here, "a")
        assert await user.letters(1) == ["a"]
        monkeypatch.setattr(here.services.store, "waiting", unavailable)
        here.clock.now += 31.0
        assert await user.letters(1) == ["a"]


async def test_those_who_ask_at_about_one_time_are_answered_by_one_read(here: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mailroom, "TOGETHER_S", 0.5)
    reads, waiting = [], here.services.store.waiting

    async def count(topics: list[str], now: float):
        reads.append(topics)
        return await waiting(topics, now)

    monkeypatch.setattr(here.services.store, "waiting", count)
    first = here.services.mailroom._ask("user:C1")
    for _ in range(3):
        await asyncio.sleep(0)
    assert await asyncio.gather(first, here.services.mailroom._ask("user:C2")) == [[], []]
    assert reads == [["user:C1", "user:C2"]]


async def test_it_waits_for_a_store_that_does_not_answer(here: Site, monkeypatch: pytest.MonkeyPatch):
    await send(here, "a")
    answers, waiting = iter([StoreUnavailable()]), here.services.store.waiting

    async def first_unavailable(topics: list[str], now: float):
        for error in answers:
            raise error
        return await waiting(topics, now)

    monkeypatch.setattr(here.services.store, "waiting", first_unavailable)
    async with phone(here) as user:
        assert await user.letters(1) == ["a"]
