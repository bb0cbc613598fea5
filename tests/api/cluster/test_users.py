"""The limit of connections a user holds over all instances."""

from contextlib import AsyncExitStack

from tests.instances import instances, listening
from tests.redis_server import RedisServer
from tests.site import CUSTOMER
from tests.sockets import until


async def test_a_user_has_five_connections_on_all_instances_together(postgres_url: str, redis: RedisServer):
    async with instances(postgres_url, redis, 2) as (engine, edge), AsyncExitStack() as stack:
        ears = []
        for n in range(6):
            for each in (engine, edge):
                each.clock.now += 1.0
            ears.append(await stack.enter_async_context(listening((engine, edge)[n % 2], CUSTOMER)))
            await until(lambda: redis.client.zcard(users_key(redis)) == min(len(ears), 5))
        assert await ears[0].closed() == 4409
        for ear in ears[1:]:
            await ear.send("heartbeat")
            await ear.until("heartbeat")


def users_key(redis: RedisServer) -> bytes:
    found: list[bytes] = redis.client.keys("*:user:C1")
    return found[0] if found else b"none"
