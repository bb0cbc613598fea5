"""Only what is heard comes to an instance, all of it, and what Redis loses comes from the store."""

from api.cluster import topics
from tests.instances import change, instances, listening
from tests.redis_server import RedisServer
from tests.site import CUSTOMER, DRIVER, OFFICE, order_body, refused
from tests.sockets import until


async def test_an_instance_hears_only_what_its_connections_are_in(postgres_url: str, redis: RedisServer):
    async with instances(postgres_url, redis, 3) as (engine, one, other):
        for key in ("O1", "O2"):
            await engine.put(f"orders/{key}", order_body())
        async with listening(one, CUSTOMER) as customer, listening(one, CUSTOMER) as again:
            await customer.subscribe("order:O1")
            await again.subscribe("order:O1")
            async with listening(other, OFFICE) as office:
                await office.subscribe("order:O2")
                heard = {name.partition(":topic:")[2]: count for name, count in redis.heard(":topic:").items()}
                assert heard == {"order:O1@customer:C1": 1, "order:O2": 1, "user:C1": 1, "user:U1": 1}
                await engine.drive("D1", [0, 1], [0.0, 10.0])
                await customer.until("driver.location")
                await office.until("driver.location")
                assert one.services.instance.counts["locations"] == other.services.instance.counts["locations"] == 1
                await engine.ask(OFFICE, "DELETE", "orders/O1")
                await customer.until("order.updated", order_id="O1")
                assert not [m for m in office.heard if m.get("order_id") == "O1"]
            await until(lambda: "order:O2" not in str(redis.heard(":topic:")))
            await customer.send("unsubscribe", channel="order:O1")
            await customer.until("unsubscribed")
            assert "order:O1" in str(redis.heard(":topic:"))
        await until(lambda: redis.heard(":topic:") == {})


async def test_a_client_resumes_on_another_instance(postgres_url: str, redis: RedisServer):
    async with instances(postgres_url, redis, 2) as (engine, edge):
        await engine.put("orders/O1", order_body())
        async with listening(edge, OFFICE) as office:
            before = await office.subscribe("orders")
        since = {"epoch": before["epoch"], "seq": before["seq"]}
        for n in range(3):
            await change(engine, f"street {n}")
        for here in (engine, edge):
            async with listening(here, OFFICE) as office:
                answer = await office.subscribe("orders", since=since)
                assert answer["recovered"] is True
                seqs = [message["seq"] for message in office.heard if message["type"] == "order.updated"]
                assert seqs == [before["seq"] + n for n in (1, 2, 3)], office.heard


async def test_the_last_one_lost_is_missed_soon(postgres_url: str, redis: RedisServer, monkeypatch):
    monkeypatch.setattr(topics, "CHECK_S", 0.05)
    async with instances(postgres_url, redis, 2) as (engine, edge):
        await engine.put("orders/O1", order_body())
        async with listening(edge, OFFICE) as office:
            first = (await office.subscribe("orders"))["seq"]
            engine.services.hub._bus = Deaf()
            await change(engine, "lost")
            await office.until("order.updated", seq=first + 1)
            counts = edge.services.instance.counts
            assert (counts["gap"], counts["silent"], counts["repaired"]) == (0, 1, 1)


async def test_what_redis_loses_the_store_gives(postgres_url: str, redis: RedisServer, monkeypatch):
    monkeypatch.setattr(topics, "CHECK_S", 1000.0)
    async with instances(postgres_url, redis, 2) as (engine, edge):
        counts = edge.services.instance.counts
        await engine.put("orders/O1", order_body())
        async with listening(edge, OFFICE) as office, listening(edge, DRIVER) as driver:
            first = (await office.subscribe("orders"))["seq"]
            kept, engine.services.hub._bus = engine.services.hub._bus, Deaf()
            await change(engine, "lost")
            engine.services.hub._bus = kept
            await change(engine, "heard")
            await office.until("order.updated", seq=first + 2)
            assert counts["gap"] == 1
            assert counts["repaired"] >= 1  # the one that showed the gap comes from both

            redis.client.client_kill_filter(_type="pubsub")
            await change(engine, "while it was cut")
            await office.until("order.updated", seq=first + 3)
            assert counts["disconnects"] == 1

            redis.kill()
            await until(lambda: not edge.services.instance.bus.connected)
            assert (await edge.http.get("/readyz")).status_code == 503
            await change(engine, "without redis")
            await driver.report(1, 0, 1)
            assert refused(await edge.ask(OFFICE, "PUT", "orders/O2", json=order_body()))[:2] == (
                503,
                "engine_unavailable",
            )
            redis.start()
            await office.until("order.updated", seq=first + 4)
            assert (await driver.until("location.ack", seq=1))["accepted"] == 2
        seqs = [message["seq"] for message in office.heard if "seq" in message and message["type"] != "subscribed"]
        assert seqs == list(range(first + 1, first + 5))


class Deaf:
    """A bus whose publications are lost."""

    def publish(self, channel: str, payload: bytes) -> None:
        pass
