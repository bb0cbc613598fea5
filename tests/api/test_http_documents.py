"""Orders, geofences and routes over HTTP: written by the office, read by those they concern."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fixes import T0
from tests.site import CUSTOMER, DRIVER, OFFICE, STRANGERS, Site, order_body, refused, site

SQUARE = [[[121.5, 25.0], [121.6, 25.0], [121.6, 25.1], [121.5, 25.0]]]
CROSSED = [[[121.5, 25.0], [121.6, 25.1], [121.6, 25.0], [121.5, 25.1], [121.5, 25.0]]]
DEPOT = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [121.5, 25.0]}, "properties": {"name": "倉庫"}}


@pytest_asyncio.fixture
async def api(sqlite_url: str) -> AsyncIterator[Site]:
    async with site(sqlite_url) as api:
        yield api


async def test_an_order_is_put_read_and_deleted(api: Site):
    body = order_body(customer_name="王小明", products=[{"name": "20kg 瓦斯桶", "quantity": 1}], something_new=True)
    created = await api.ask(OFFICE, "PUT", "orders/ORDER123", json=body)
    assert created.status_code == 201
    order = await api.get(OFFICE, "orders/ORDER123")
    assert order == created.json()
    assert order["order_id"] == "ORDER123"
    assert order["customer_name"] == "王小明"
    assert order["created_at"] == "2025-10-09T08:53:20Z"
    assert "something_new" not in order
    assert (await api.ask(OFFICE, "DELETE", "orders/ORDER123")).status_code == 204
    assert refused(await api.ask(OFFICE, "GET", "orders/ORDER123"))[:2] == (404, "not_found")
    assert refused(await api.ask(OFFICE, "DELETE", "orders/ORDER123"))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("2024-01-02T03:04:05+08:00", "2024-01-01T19:04:05Z"), ("2100-01-01T00:00:00Z", "2025-10-09T08:53:20Z")],
)
async def test_an_order_may_say_when_it_was_made_but_not_in_the_future(api: Site, given: str, kept: str):
    await api.put("orders/O1", order_body(created_at=given))
    assert (await api.get(OFFICE, "orders/O1"))["created_at"] == kept
    answer = await api.ask(OFFICE, "PUT", "orders/O2", json=order_body(created_at="yesterday"))
    assert refused(answer)[:2] == (400, "invalid_input")


async def test_the_same_put_again_changes_nothing(api: Site):
    first = await api.ask(OFFICE, "PUT", "orders/O1", json=order_body())
    api.clock.now += 60
    again = await api.ask(OFFICE, "PUT", "orders/O1", json=order_body())
    assert (again.status_code, again.json()) == (200, first.json())
    assert await api.services.store.last_seq("orders") == 2  # order.created and delivery.update


async def test_an_id_may_have_slashes_and_any_letters(api: Site):
    await api.put("orders/2025%2F01%2F甲 1", order_body())
    assert (await api.get(DRIVER, "orders/2025/01/甲 1"))["order_id"] == "2025/01/甲 1"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (order_body(customer_id=7), "customer_id"),
        (order_body(destination={"latitude": 91, "longitude": 0}), "destination.latitude"),
        (order_body(destination={"type": "Polygon", "coordinates": CROSSED}), None),
        (order_body(address="x\0y"), None),
        ([], "body"),
    ],
)
async def test_a_wrong_order_is_refused_and_not_stored(api: Site, body: object, field: str | None):
    answer = await api.ask(OFFICE, "PUT", "orders/O1", json=body)
    status, code, named = refused(answer)
    assert (status, code) == (400, "invalid_input")
    assert field in (None, named)
    assert (await api.get(OFFICE, "orders"))["orders"] == []
    assert not api.services.engine.orders


async def test_only_its_driver_its_customer_and_the_office_see_an_order(api: Site):
    await api.put("orders/O1", order_body())
    for viewer in (OFFICE, DRIVER, CUSTOMER):
        assert (await api.get(viewer, "orders/O1"))["order_id"] == "O1"
        assert len((await api.get(viewer, "orders"))["orders"]) == 1
    for viewer in STRANGERS:
        assert refused(await api.ask(viewer, "GET", "orders/O1"))[:2] == (403, "not_allowed")
        assert refused(await api.ask(viewer, "GET", "orders/UNKNOWN"))[:2] == (403, "not_allowed")
        assert (await api.get(viewer, "orders"))["orders"] == []
        other = await api.ask(viewer, "GET", "orders", params={"driver": "D1", "customer": "C1"})
        assert refused(other)[:2] == (403, "not_allowed")


@pytest.mark.parametrize("viewer", [DRIVER, CUSTOMER])
@pytest.mark.parametrize("path", ["orders/O1", "geofences/G1", "routes/R1"])
async def test_only_the_office_writes(api: Site, viewer, path: str):
    for method in ("PUT", "DELETE"):
        answer = await api.ask(viewer, method, path, json={} if method == "PUT" else None)
        assert refused(answer)[:2] == (403, "not_allowed")


async def test_a_list_comes_in_pages(api: Site):
    for number in range(5):
        await api.put(f"orders/O{number}", order_body(driver_id=f"D{number % 2}"))
    pages, path = [], "/api/v1/orders?limit=2"
    while path:
        answer = await api.http.get(f"{path}&token={api.token(OFFICE)}")
        pages.append([order["order_id"] for order in answer.json()["orders"]])
        path = answer.json()["next"]
        assert path is None or "token" not in path
    assert pages == [["O0", "O1"], ["O2", "O3"], ["O4"]]
    mine = await api.get(OFFICE, "orders", params={"driver": "D1"})
    assert [order["order_id"] for order in mine["orders"]] == ["O1", "O3"]


async def test_an_order_under_way_says_when_its_driver_comes(api: Site):
    await api.put("orders/O1", order_body())
    await api.drive("D1", [0.0, 10.0, 20.0], [5000.0, 4900.0, 4800.0])
    order = await api.get(CUSTOMER, "orders/O1")
    assert order["eta_low"] < order["eta"] < order["eta_high"]
    assert order["eta_low"] > "2025-10-09T08:53:40Z"


async def test_a_route_says_when_its_driver_comes_to_the_stops_ahead(api: Site):
    await api.put("orders/O1", order_body())
    await api.drive("D1", [0.0, 10.0], [5000.0, 4900.0])
    await api.put("routes/R1", {"driver_id": "D1", "stops": ["O1", "gone"]})
    route = await api.get(OFFICE, "routes/R1")
    (stop,) = route["expected"]
    order = await api.get(OFFICE, "orders/O1")
    assert stop == {"order_id": "O1"} | {name: order[name] for name in ("eta", "eta_low", "eta_high")}


async def test_a_geofence_is_put_read_and_deleted_as_geojson(api: Site):
    created = await api.ask(OFFICE, "PUT", "geofences/depot-1", json=DEPOT | {"radius": 80})
    assert created.status_code == 201
    assert created.headers["content-type"] == "application/geo+json"
    assert created.json() == DEPOT | {"id": "depot-1", "radius": 80.0}
    assert await api.get(OFFICE, "geofences/depot-1") == created.json()
    square = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": SQUARE}, "properties": None}
    assert (await api.ask(OFFICE, "PUT", "geofences/depot-2", json=square)).status_code == 201
    both = await api.get(OFFICE, "geofences")
    assert both["type"] == "FeatureCollection"
    assert [feature["id"] for feature in both["features"]] == ["depot-1", "depot-2"]
    again = await api.ask(OFFICE, "PUT", "geofences/depot-1", json=created.json())
    assert (again.status_code, again.json()) == (200, created.json())
    assert (await api.ask(OFFICE, "DELETE", "geofences/depot-1")).status_code == 204
    assert refused(await api.ask(OFFICE, "GET", "geofences/depot-1"))[:2] == (404, "not_found")
    assert refused(await api.ask(OFFICE, "DELETE", "geofences/depot-1"))[:2] == (404, "not_found")


async def test_a_geofence_that_crosses_itself_is_refused(api: Site):
    shape = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": CROSSED}, "properties": {}}
    answer = await api.ask(OFFICE, "PUT", "geofences/G1", json=shape)
    assert refused(answer)[:2] == (400, "invalid_input")
    assert (await api.get(OFFICE, "geofences"))["features"] == []


@pytest.mark.parametrize("viewer", [DRIVER, CUSTOMER])
async def test_only_the_office_sees_geofences(api: Site, viewer):
    assert refused(await api.ask(viewer, "GET", "geofences"))[:2] == (403, "not_allowed")
    assert refused(await api.ask(viewer, "GET", "geofences/G1"))[:2] == (403, "not_allowed")


async def test_a_route_is_put_read_by_its_driver_and_deleted(api: Site):
    path = {"type": "LineString", "coordinates": [[121.5, 25.0], [121.6, 25.1]]}
    body = {"driver_id": "D1", "stops": ["O1", "O2"], "path": path}
    created = await api.ask(OFFICE, "PUT", "routes/R1", json=body)
    assert (created.status_code, created.json()) == (201, body | {"route_id": "R1"})
    await api.put("routes/R2", {"driver_id": "D2", "stops": []})
    assert await api.get(DRIVER, "routes/R1") == created.json()
    assert [route["route_id"] for route in (await api.get(DRIVER, "routes"))["routes"]] == ["R1"]
    assert [route["route_id"] for route in (await api.get(OFFICE, "routes"))["routes"]] == ["R1", "R2"]
    for viewer in (*STRANGERS, CUSTOMER):
        assert refused(await api.ask(viewer, "GET", "routes/R1"))[:2] == (403, "not_allowed")
    assert refused(await api.ask(CUSTOMER, "GET", "routes"))[:2] == (403, "not_allowed")
    assert refused(await api.ask(DRIVER, "GET", "routes?driver=D2"))[:2] == (403, "not_allowed")
    assert (await api.ask(OFFICE, "DELETE", "routes/R1")).status_code == 204
    assert refused(await api.ask(OFFICE, "GET", "routes/R1"))[:2] == (404, "not_found")


async def test_what_was_put_is_there_after_a_restart(sqlite_url: str):
    async with site(sqlite_url) as api:
        await api.put("orders/O1", order_body())
        await api.put("geofences/G1", DEPOT | {"radius": 80})
        before = await api.get(OFFICE, "orders/O1")
    async with site(sqlite_url) as api:
        assert await api.get(OFFICE, "orders/O1") == before
        assert list(api.services.engine.orders) == ["O1"]
        assert api.services.engine.orders["O1"].created_at == T0
