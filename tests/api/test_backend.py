"""What other back ends call, in process and over HTTP, and who hears of it."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from api.backend import HttpPublisher, QueuePriority, publish_event, send_to_user, use, websocket_hooks
from tests.site import CUSTOMER, DRIVER, OFFICE, Site, order_body, said, site
from tracker.channels import Viewer
from tracker.errors import ConfigurationError, InvalidInput, NotAllowed, Overloaded, TrackerError, UnknownChannel

SERVICE = Viewer("billing", "service", None, None)


@pytest.fixture
async def here(sqlite_url: str):
    async with site(sqlite_url) as running:
        yield running


@pytest.fixture(params=["in process", "over HTTP"])
def published(request: pytest.FixtureRequest, here: Site):
    """By both ways."""
    if request.param == "in process":
        yield here
    else:
        with use(HttpPublisher(f"{here.http.base_url}/", here.token(SERVICE))):
            yield here


async def test_an_event_reaches_its_channel_and_those_it_names_once(published: Site):
    await published.put("orders/O1", order_body())
    event = {"type": "order.updated", "order_id": "O1", "status": "loaded", "event_id": "E1"}
    for _ in range(2):
        assert await publish_event("orders", event, QueuePriority.HIGH) == "E1"
    for topic in ("orders", "order:O1", "orders@driver:D1", "order:O1@customer:C1"):
        heard = [m for m in await said(published.services, topic) if m.get("status") == "loaded"]
        assert [m["order_id"] for m in heard] == ["O1"]


async def test_a_user_is_told_now_or_when_they_connect(published: Site):
    await send_to_user("C1", {"title": "t", "message": "first"})
    await publish_event("orders", {"message": "second"}, "critical", target_user_id="C1")
    url = str(published.http.base_url).replace("http", "ws")
    async with connect(f"{url}/api/v1/websocket/ws?token={published.token(CUSTOMER)}", proxy=None) as socket:
        heard = [json.loads(await socket.recv()) for _ in range(3)]
        assert [message.get("message") for message in heard] == [None, "second", "first"]
        assert (heard[1]["channel"], heard[1]["type"]) == ("user:C1", "notification")
        await send_to_user("C1", {"message": "third"})
        assert json.loads(await socket.recv())["message"] == "third"
    assert await said(published.services, "orders") == []


async def test_a_queued_event_is_stored_soon(published: Site):
    await publish_event("system", {"type": "maintenance.alert", "message": "m"}, use_queue=True)
    async with asyncio.timeout(60):
        while not await said(published.services, "system"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_hooks_say_what_happened(published: Site):
    services = published.services
    await websocket_hooks.on_order_created({"order_id": "O9", "customer_id": "C9", "driver_id": "D9"})
    await websocket_hooks.on_order_updated({"order_id": "O9", "customer_id": "C9", "status": "loaded"})
    await websocket_hooks.on_order_assigned({"order_id": "O9", "driver_id": "D9"})
    await websocket_hooks.on_route_updated({"route_id": "R1", "driver_id": "D9"})
    await websocket_hooks.on_notification({"user_id": "U9", "message": "yours"})
    await websocket_hooks.on_notification({"customer_id": "C9", "message": "customers"})
    await websocket_hooks.on_notification({"message": "everyone"})
    await websocket_hooks.on_system_alert({"message": "down at noon"})
    heard = {
        topic: [(m["type"], m.get("message") or m.get("status")) for m in await said(services, topic)]
        for topic in (
            *("orders", "orders@driver:D9", "orders@customer:C9", "routes@driver:D9"),
            *("user:D9", "user:U9", "customers@customer:C9", "system"),
        )
    }
    assert heard == {
        "orders": [("order.created", None), ("order.updated", "loaded"), ("order.updated", "assigned")],
        "orders@driver:D9": [("order.created", None), ("order.updated", "assigned")],
        "orders@customer:C9": [("order.created", None), ("order.updated", "loaded")],
        "routes@driver:D9": [("route.updated", None)],
        "user:D9": [("notification", "您有新的配送任務")],
        "user:U9": [("notification", "yours")],
        "customers@customer:C9": [("notification", "customers")],
        "system": [("notification", "everyone"), ("maintenance.alert", "down at noon")],
    }
    ((_, waits),) = await services.store.waiting(["user:D9"], published.clock.now)
    assert (waits.priority, json.loads(waits.body)["action"]["order_id"]) == ("high", "O9")


async def test_what_is_refused_is_the_same_error_both_ways(published: Site):
    with pytest.raises(UnknownChannel):
        await publish_event("nowhere", {"message": "m"})
    with pytest.raises(InvalidInput) as caught:
        await send_to_user("C1", {"message": 5})
    assert caught.value.field == "message"


async def test_who_may_not_publish_and_what_does_not_answer(here: Site):
    for viewer in (DRIVER, CUSTOMER):
        with use(HttpPublisher(str(here.http.base_url), here.token(viewer))), pytest.raises(NotAllowed):
            await publish_event("system", {"message": "m"})
    with use(HttpPublisher("http://127.0.0.1:1", "t")), pytest.raises(Overloaded):
        await publish_event("system", {"message": "m"})
    with use(HttpPublisher(f"{here.http.base_url}/static/x?", here.token(OFFICE))), pytest.raises(TrackerError):
        await publish_event("system", {"message": "m"})


async def test_without_a_server_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TRACKER_URL", raising=False)
    with pytest.raises(ConfigurationError, match="TRACKER_URL"):
        await publish_event("system", {"message": "m"})


async def test_the_environment_names_the_server(here: Site, monkeypatch: pytest.MonkeyPatch):
    from api import backend

    monkeypatch.setattr(backend, "_publishers", [])
    monkeypatch.setenv("TRACKER_URL", str(here.http.base_url))
    monkeypatch.setenv("TRACKER_TOKEN", here.token(SERVICE))
    assert await publish_event("system", {"message": "m", "event_id": "E"}) == "E"
