"""Reports of drivers who are connected to an edge."""

from tests.fixes import T0
from tests.instances import instances, listening, ready
from tests.redis_server import RedisServer
from tests.site import DRIVER


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
