"""Commands in one write, and subscriptions that are never mended in silence; against a real Redis."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api.cluster.bus import Bus
from tests.redis_server import RedisServer
from tests.sockets import until
from tracker.errors import ConfigurationError


class Heard:
    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.ups = 0

    def heard(self, channel: str, payload: bytes) -> None:
        self.payloads.append(payload)

    def up(self) -> None:
        self.ups += 1


@pytest.fixture
def ear() -> Heard:
    return Heard()


@pytest_asyncio.fixture
async def bus(redis: RedisServer, ear: Heard) -> AsyncIterator[Bus]:
    bus = Bus(redis.url, Counter(), ear.heard, ear.up)
    bus.subscribe(["a"])
    bus.start()
    await until(lambda: bus.connected)
    yield bus
    await bus.close()


async def test_commands_arrive_in_order(bus: Bus, ear: Heard):
    for n in range(1000):
        bus.publish("a", b"%d" % n)
    bus.publish("b", b"nobody hears this")
    bus.publish("a", b"end")
    await until(lambda: b"end" in ear.payloads)
    assert ear.payloads == [*(b"%d" % n for n in range(1000)), b"end"]


async def test_a_channel_is_heard_once_redis_says_so(bus: Bus, ear: Heard, redis: RedisServer):
    bus.subscribe(["c"])
    await bus.subscribed(["c"])
    assert redis.client.publish("c", b"x") == 1
    bus.unsubscribe(["c"])
    await until(lambda: redis.client.publish("c", b"y") == 0)
    assert ear.payloads[0] == b"x"


@pytest.mark.parametrize("how", ["cut off", "killed", "too slow"])
async def test_a_lost_connection_is_told_and_made_anew(bus: Bus, ear: Heard, redis: RedisServer, how: str):
    if how == "cut off":
        redis.client.client_kill_filter(_type="pubsub")
    elif how == "killed":
        redis.kill()
        redis.start()
    else:
        redis.client.config_set("client-output-buffer-limit", "pubsub 1000000 0 0")
        for _ in range(2):
            redis.client.publish("a", b"x" * 4_000_000)
    await until(lambda: ear.ups == 2)
    assert bus._counts["disconnects"] == 1
    assert bus.connected
    bus.publish("a", b"again")
    await until(lambda: b"again" in ear.payloads)


async def test_commands_without_redis_are_counted(bus: Bus, redis: RedisServer):
    redis.kill()
    bus.publish("a", b"x")
    await until(lambda: bus._counts["unsent"] == 1)


async def test_waiting_for_a_channel_ends(bus: Bus, redis: RedisServer, monkeypatch):
    monkeypatch.setattr("api.cluster.bus.ANSWER_S", 0.05)
    redis.kill()
    bus.subscribe(["c"])
    with pytest.raises(TimeoutError):
        await bus.subscribed(["c"])


def test_a_wrong_url_is_refused_without_showing_it():
    with pytest.raises(ConfigurationError) as refused:
        Bus("http://:secret@host", Counter(), lambda channel, payload: None, lambda: None)
    assert "secret" not in str(refused.value)


async def test_a_task_that_does_not_want_to_end_ends():
    from api.cluster.bus import end

    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end([task])
    assert task.done()
