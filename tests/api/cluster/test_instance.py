"""Who writes, and who takes over."""

from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from api.cluster.instance import one_of_several
from api.config import Config
from tests.fixes import T0
from tests.instances import listening, ready
from tests.redis_server import RedisServer
from tests.site import CUSTOMER, DRIVER, SECRET, order_body, site
from tests.sockets import until
from tests.support import LiveServer
from tracker.errors import ConfigurationError


async def test_a_killed_engine_is_replaced_and_nothing_is_lost(postgres_url: str, redis: RedisServer, tmp_path: Path):
    settings = {"redis": redis.url, "lease_s": 1.0, "max_connections_per_user": 2}
    engine = LiveServer(postgres_url, tmp_path, settings | {"jwt_secret": SECRET})
    engine.secret = SECRET
    await engine.start()
    async with site(postgres_url, redis=redis.url, lease_s=1.0, drain_s=0.0, max_connections_per_user=2) as edge:
        await ready(edge)
        assert {work.get_name() for work in edge.services.works} >= {"flush", "reports", "topics", "users", "life"}
        await edge.put("orders/O1", order_body())
        async with listening(edge, DRIVER) as driver, listening(edge, CUSTOMER) as customer:
            await customer.subscribe("order:O1")
            await driver.report(1, 0, 1)
            await driver.until("location.ack", seq=1)
            async with connect(f"{engine.ws_url}?token={engine.token('C1', 'customer')}"):
                await until(lambda: redis.client.zcard(users_key(redis)) == 2)
                engine.kill()
            for seq in range(2, 6):
                await driver.report(seq, 10 * seq, 10 * seq + 1)
                assert (await driver.until("location.ack", seq=seq))["accepted"] == 2
            assert (await edge.http.get("/readyz")).json()["role"] == "engine"
            assert (await edge.http.get("/healthz")).status_code == 200
            assert "tracker_ack_seconds_count 0.0" not in await edge.metrics()
            await edge.services.publisher.send_to_user("C1", {"message": "after the takeover"})
            letter = await customer.until("notification")
            await customer.send("ack", channel="user:C1", seq=letter["seq"])
            await until(lambda: edge.services.mailroom.counts["acknowledged"] == 1)
            await driver.send("order_update", order_id="O1", status="delivered")
            await customer.until("delivery.update", status="delivered")
            stored = await edge.services.store.track("D1", T0, T0 + 100)
            assert (stored.fix_time - T0).tolist() == [0, 1, 20, 21, 30, 31, 40, 41, 50, 51]
            numbered = [m["seq"] for m in customer.heard if m.get("channel") == "order:O1" and "event_id" in m]
            assert numbered == list(range(numbered[0], numbered[0] + len(numbered)))
            times = [m["timestamp"] for m in customer.heard if m["type"] == "driver.location"]
            assert times == sorted(times)
            async with listening(edge, CUSTOMER):  # the dead instance's connection counts no longer
                await customer.send("heartbeat")
                await customer.until("heartbeat")


def users_key(redis: RedisServer) -> bytes:
    found: list[bytes] = redis.client.keys("*:user:C1")
    return found[0] if found else b"none"


async def test_several_instances_need_postgis(sqlite_url: str):
    config = Config(jwt_secret=SECRET, store=sqlite_url, redis="redis://:hidden@127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="several instances need one PostGIS store"):
        async with one_of_several(config, lambda: T0, None):
            raise AssertionError
    assert "hidden" not in repr(config)
    assert config.redis_name == "redis://@127.0.0.1:1"
