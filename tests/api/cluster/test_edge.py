"""Reports of drivers who are connected to an edge, and what its users acknowledge."""

import asyncio
from contextlib import AsyncExitStack

from tests.fixes import T0
from tests.instances import instances, listening, ready
from tests.redis_server import RedisServer
from tests.site import CUSTOMER, DRIVER


async def test_reports_wait_and_are_refused_but_never_acknowledged_falsely(postgres_url: str, redis: RedisServer):
    async with (
        instances(postgres_url, redis, 2, report_timeout_s=0.5) as (engine, edge),
        listening(edge, DRIVER) as driver,
    ):
        redis.kill()
        await driver.report(7, 0, 1)
        answer = await driver.until("error")
        assert (answer["code"], answer["ref"]) == ("store_unavailable", 7)
        assert len((await engine.services.store.track("D1", T0, T0 + 10)).fix_time) == 0
        redis.start()
        await ready(edge)
        answers = []
        while "location.ack" not in answers:  # an app sends again what was refused
            await driver.report(8, 0, 1)
            answers.append((await driver.until("location.ack", "error"))["type"])
        assert len((await engine.services.store.track("D1", T0, T0 + 10)).fix_time) == 2


async def test_what_is_acknowledged_on_one_instance_is_sent_again_by_none(postgres_url: str, redis: RedisServer):
    async with instances(postgres_url, redis, 3) as sites, AsyncExitStack() as stack:
        engine = sites[0]
        ears = [await stack.enter_async_context(listening(each, CUSTOMER)) for each in sites]
        for text in ("on an edge", "on the engine", "nowhere"):
            await engine.services.publisher.send_to_user("C1", {"message": text})
            for ear in ears:
                await ear.until("notification", message=text)
        for ear, seq in ((ears[1], 1), (ears[0], 2)):
            await ear.send("ack", channel="user:C1", seq=seq)
        async with asyncio.timeout(60):
            while len(await engine.services.store.waiting(["user:C1"], T0)) > 1:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.005)
        for each in sites:
            each.clock.now += 60.0
        for ear in ears:
            await ear.until("notification", message="nowhere")
            heard = [message["message"] for message in ear.heard if message["type"] == "notification"]
            assert heard == ["on an edge", "on the engine", "nowhere", "nowhere"]
