"""Where drivers are, how sure that still is, and who may know."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.fixes import LATITUDE, LONGITUDE, T0
from tests.site import CUSTOMER, DRIVER, OFFICE, STRANGERS, Site, order_body, refused, site
from tracker.codec import iso
from tracker.settings import EngineSettings


@pytest_asyncio.fixture
async def api(sqlite_url: str) -> AsyncIterator[Site]:
    async with site(sqlite_url) as api:
        yield api


async def test_a_driver_is_where_the_last_fix_was(api: Site):
    await api.drive("D1", [0.0], [0.0], speed=[8.0], heading=[45.0], accuracy=[10.0])
    api.clock.now += 4.25
    driver = await api.get(OFFICE, "drivers/D1")
    assert driver.pop("accuracy") > 0
    assert driver == {
        "driver_id": "D1", "latitude": LATITUDE, "longitude": LONGITUDE, "speed": 8.0, "heading": 45.0,
        "timestamp": iso(T0), "age": 4.2, "mock": False, "status": "live", "since": iso(T0), "order": None,
    }  # fmt: skip


async def test_what_a_phone_does_not_say_is_null(api: Site):
    await api.drive("D1", [0.0], [0.0])
    assert (await api.get(OFFICE, "drivers/D1"))["heading"] is None


async def test_a_status_follows_the_settings(sqlite_url: str):
    async with site(sqlite_url, engine=EngineSettings(late_after_s=5, silent_after_s=10)) as api:
        await api.drive("D1", [0.0], [0.0])
        for seconds, status in ((4, "live"), (5, "late"), (10, "silent")):
            api.clock.now = T0 + seconds
            assert (await api.get(OFFICE, "drivers/D1"))["status"] == status


async def test_an_unknown_driver_is_not_found(api: Site):
    await api.put("orders/O1", order_body())
    for driver_id in ("D1", "NOBODY"):  # the first is known by name only
        assert refused(await api.ask(OFFICE, "GET", f"drivers/{driver_id}"))[:2] == (404, "not_found")


async def test_geojson_by_query_or_by_header(api: Site):
    await api.drive("D1", [0.0], [0.0])
    for options in ({"params": {"format": "geojson"}}, {"headers": {"Accept": "application/geo+json"}}):
        answer = await api.ask(OFFICE, "GET", "drivers/D1", **options)
        assert answer.headers["content-type"] == "application/geo+json"
        feature = answer.json()
        assert (feature["type"], feature["id"], feature["properties"]["status"]) == ("Feature", "D1", "live")
        assert feature["geometry"] == {"type": "Point", "coordinates": [LONGITUDE, LATITUDE]}
        fleet = (await api.ask(OFFICE, "GET", "drivers", **options)).json()
        assert (fleet["type"], fleet["features"]) == ("FeatureCollection", [feature])
    assert refused(await api.ask(OFFICE, "GET", "drivers?format=kml")) == (400, "invalid_input", "format")


async def test_the_fleet_comes_in_pages(api: Site):
    for number in range(3):
        await api.drive(f"D{number}", [0.0], [0.0])
    first = await api.get(OFFICE, "drivers?limit=2")
    assert [driver["driver_id"] for driver in first["drivers"]] == ["D0", "D1"]
    rest = await api.http.get(first["next"], headers={"Authorization": f"Bearer {api.token(OFFICE)}"})
    assert [driver["driver_id"] for driver in rest.json()["drivers"]] == ["D2"]
    assert rest.json()["next"] is None


async def test_a_driver_sees_themselves_only(api: Site):
    await api.drive("D1", [0.0], [0.0])
    await api.drive("D2", [0.0], [0.0])
    assert (await api.get(DRIVER, "drivers/D1"))["driver_id"] == "D1"
    assert [driver["driver_id"] for driver in (await api.get(DRIVER, "drivers"))["drivers"]] == ["D1"]
    assert refused(await api.ask(DRIVER, "GET", "drivers/D2"))[:2] == (403, "not_allowed")


async def test_a_customer_sees_the_driver_only_while_their_stop_is_next(api: Site):
    await api.put("orders/A", order_body(customer_id="C2"))
    api.clock.now += 1
    far = {"latitude": LATITUDE + 0.2, "longitude": LONGITUDE}
    await api.put("orders/B", order_body(destination=far))
    await api.drive("D1", [10.0, 20.0], [5000.0, 4900.0])
    assert refused(await api.ask(CUSTOMER, "GET", "drivers/D1"))[:2] == (403, "not_allowed")
    assert (await api.get(CUSTOMER, "drivers"))["drivers"] == []
    await api.put("orders/A", order_body(customer_id="C2", status="delivered"))
    driver = await api.get(CUSTOMER, "drivers/D1")
    assert driver["order"]["order_id"] == "B"
    await api.put("orders/B", order_body(destination=far, status="delivered"))
    assert refused(await api.ask(CUSTOMER, "GET", "drivers/D1"))[:2] == (403, "not_allowed")
    for viewer in STRANGERS:
        assert refused(await api.ask(viewer, "GET", "drivers/D1"))[:2] == (403, "not_allowed")


async def test_a_customer_learns_nothing_of_the_orders_of_others(api: Site):
    await api.put("orders/A", order_body(customer_id="C2"))
    api.clock.now += 1
    await api.put("orders/B", order_body())
    await api.drive("D1", [10.0, 20.0, 30.0], [1000.0, 900.0, 800.0])  # near B as well
    assert (await api.get(OFFICE, "drivers/D1"))["order"]["order_id"] == "A"
    order = (await api.get(CUSTOMER, "drivers/D1"))["order"]
    assert order["order_id"] == "B"
    assert order["eta_low"] < order["eta"] < order["eta_high"]
