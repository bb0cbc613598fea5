"""HTTP requests to an edge: answered by the engine, or from the store."""

from tests.api.test_http_eta import ADMIN, slow_city
from tests.fixes import T0
from tests.instances import instances
from tests.redis_server import RedisServer
from tests.site import CUSTOMER, OFFICE, order_body, refused
from tests.sockets import until


async def test_an_edge_answers_as_the_engine_does(postgres_url: str, redis: RedisServer):
    async with instances(postgres_url, redis, 2) as (engine, edge):
        answer = await edge.ask(OFFICE, "PUT", "orders/O1", json=order_body())
        assert (answer.status_code, answer.json()["order_id"]) == (201, "O1")
        assert engine.services.engine.orders["O1"].customer_id == "C1"
        await edge.drive("D1", [0, 1, 2], [0.0, 10.0, 20.0])
        for path in ("orders/O1", "drivers", "drivers/D1", "routes", "geofences", "eta/model"):
            one, other = [(await each.ask(OFFICE, "GET", path)) for each in (engine, edge)]
            assert (one.status_code, one.headers["content-type"]) == (other.status_code, other.headers["content-type"])
            assert one.json().keys() == other.json().keys()
        assert refused(await edge.ask(CUSTOMER, "PUT", "orders/O2", json=order_body()))[:2] == (403, "not_allowed")
        assert refused(await edge.ask(None, "GET", "drivers"))[:2] == (401, "not_authenticated")
        assert refused(await edge.ask(OFFICE, "GET", "orders/NONE"))[:2] == (404, "not_found")


async def test_an_edge_takes_a_model_for_the_engine(postgres_url: str, redis: RedisServer):
    async with instances(postgres_url, redis, 2) as (engine, edge):
        body = slow_city()
        answer = await edge.ask(ADMIN, "PUT", "eta/model", content=body)
        assert (answer.status_code, answer.json()["version"]) == (200, 1)
        assert engine.services.engine.eta_model.version == 1
        assert refused(await edge.ask(OFFICE, "PUT", "eta/model", content=body))[:2] == (403, "not_allowed")


async def test_tracks_and_events_come_from_the_store_also_without_redis(postgres_url: str, redis: RedisServer):
    async with instances(postgres_url, redis, 2) as (engine, edge):
        await engine.put("orders/O1", order_body())
        await engine.drive("D1", [0, 1, 2], [0.0, 10.0, 20.0])
        redis.kill()
        track = await edge.get(OFFICE, "drivers/D1/track", params={"from": T0, "to": T0 + 10})
        assert len(track["geometry"]["coordinates"]) == 3
        assert (await edge.get(CUSTOMER, "events", params={"order": "O1"}))["events"]
        await until(lambda: not edge.services.instance.bus.connected)
        assert refused(await edge.ask(OFFICE, "GET", "drivers"))[:2] == (503, "engine_unavailable")
        redis.start()
