"""Whoever is connected where: reports in, positions and messages out."""

from tests.fixes import T0
from tests.instances import instances, listening
from tests.redis_server import RedisServer
from tests.site import CUSTOMER, DRIVER, OFFICE, order_body


async def test_whoever_is_connected_where_hears_what_they_should(postgres_url: str, redis: RedisServer):
    async with instances(postgres_url, redis, 3) as (engine, one, other):
        assert [(await each.http.get("/readyz")).json() for each in (engine, one)] == [
            {"status": "ready", "role": "engine", "redis": True},
            {"status": "ready", "role": "edge", "redis": True},
        ]
        answer = await one.ask(OFFICE, "PUT", "orders/O1", json=order_body())
        assert (answer.status_code, answer.json()["order_id"]) == (201, "O1")
        async with listening(one, DRIVER) as driver, listening(other, CUSTOMER) as customer:
            async with listening(engine, OFFICE) as office:
                await customer.subscribe("order:O1")
                await office.subscribe("drivers")
                await office.subscribe("orders")
                await driver.report(1, 0, 1, 2)
                assert (await driver.until("location.ack", seq=1))["accepted"] == 3
                for ear in (customer, office):
                    assert (await ear.until("driver.location"))["driver_id"] == "D1"
                await driver.send("order_update", order_id="O9", status="delivered")
                assert (await driver.until("error"))["code"] == "not_allowed"
                await driver.send("order_update", order_id="O1", status="delivered")
                for ear in (customer, office):
                    assert (await ear.until("delivery.update", status="delivered"))["order_id"] == "O1"
            stored = await engine.services.store.track("D1", T0, T0 + 10)
            assert (stored.fix_time - T0).tolist() == [0, 1, 2]
