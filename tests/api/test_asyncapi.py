"""The AsyncAPI document: well-formed by the specification's rules, and true of a live session's frames."""

import asyncio
import json
import re
from typing import Any

import jsonschema
import pytest
from websockets.asyncio.client import connect

from api.asyncapi import CARRIES, RELIABLE, document
from tests.fixes import LATITUDE, LONGITUDE, T0
from tests.site import CUSTOMER, DRIVER, OFFICE, Site, order_body, site
from tracker.messages import ServerMessage


def resolve(whole: dict[str, Any], ref: str) -> Any:
    found: Any = whole
    for part in ref.removeprefix("#/").split("/"):
        found = found[part]
    return found


def refs(node: Any):
    """Every $ref below a node."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def test_it_keeps_the_rules_of_asyncapi_3():
    whole = json.loads(json.dumps(document()))
    assert whole["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= whole["info"].keys()
    known = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    assert {name for name in whole if not name.startswith("x-")} <= known
    for ref in refs(whole):
        assert resolve(whole, ref)
    for section in whole["components"].values():
        assert all(re.fullmatch(r"[\w.\-]+", name) for name in section)
    for channel in whole["channels"].values():
        assert "?" not in channel["address"]
        for name, message in channel["messages"].items():
            assert message["$ref"] == f"#/components/messages/{name}"
    for operation in whole["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert re.fullmatch(r"#/channels/\w+", operation["channel"]["$ref"])
        assert all(
            message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/") for message in operation["messages"]
        )
    for message in whole["components"]["messages"].values():
        jsonschema.Draft202012Validator.check_schema(whole | message["payload"])
        assert message["summary"]


def test_every_message_of_the_server_is_sent_and_every_reliable_one_is_carried_by_a_channel():
    sent = {ref["$ref"].rpartition("/")[2] for ref in document()["operations"]["socketSend"]["messages"]}
    assert sent == {kind.__name__ for kind in ServerMessage.__subclasses__()}
    carried = {kind for kinds, _ in CARRIES.values() for kind in kinds}
    assert set(RELIABLE) <= carried


def valid(message: dict[str, Any]) -> str:
    """The component that a message from the server fits."""
    whole = document()
    sent = [ref["$ref"].rpartition("/")[2] for ref in whole["operations"]["socketSend"]["messages"]]
    (name,) = [name for name in sent if whole["components"]["messages"][name]["name"] == message["type"]]
    payload = whole["components"]["messages"][name]["payload"]
    jsonschema.validate(message, {"components": whole["components"], **payload}, jsonschema.Draft202012Validator)
    return name


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "heartbeat"},
        {"type": "heartbeat", "timestamp": 5},
        {"type": "order.updated", "order_id": "O1", "status": "s"},
    ],
)
def test_a_wrong_message_does_not_fit(wrong):
    with pytest.raises(jsonschema.ValidationError):
        valid(wrong)


async def test_it_is_true_of_everything_a_live_session_hears(sqlite_url: str):
    async with site(sqlite_url, drain_s=0.05) as here:
        office = await _open(here, OFFICE, "orders", "drivers", "routes", "system", "customers", "geofence:yard")
        await office.ask({"type": "subscribe", "channel": "driver:D1"})
        customer = await _open(here, CUSTOMER, "system")
        driver = await _open(here, DRIVER)
        await here.put(
            "geofences/yard",
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [LONGITUDE, LATITUDE]}, "radius": 80},
        )
        await here.put("orders/O1", order_body())
        await here.put("routes/R1", {"driver_id": "D1", "stops": ["O1"]})
        await customer.ask({"type": "subscribe", "channel": "order:O1"})
        fixes = [{"latitude": LATITUDE, "longitude": LONGITUDE, "timestamp": T0 - 30 + s} for s in range(0, 31, 5)]
        await driver.ask({"type": "location_batch", "seq": 1, "fixes": [*fixes, {"latitude": 91, "longitude": 0}]})
        await customer.hears("driver.location")  # which a customer sees until the delivery has ended
        publisher = here.services.publisher
        await publisher.publish_event("system", {"type": "maintenance.alert", "message": "m"})
        await publisher.send_to_user("C1", {"title": "t", "message": "m"})
        await driver.ask({"type": "unsubscribe", "channel": "nowhere"})
        await driver.ask({"type": "heartbeat"})
        await driver.ask({"type": "order_update", "order_id": "O1", "status": "delivered"})
        await customer.hears("delivery.update", "notification", "maintenance.alert")
        await office.hears("driver.status", "geofence.event", "route.updated", "order.created", "order.updated")
        await office.ask({"type": "unsubscribe", "channel": "orders"})
        await office.hears("unsubscribed")
        await driver.hears("location.ack", "error", "heartbeat")
        heard = {name for socket in (office, customer, driver) for name in socket.heard}
        for socket in (office, customer, driver):
            await socket.socket.close()
    assert {kind.__name__ for kind in ServerMessage.__subclasses__()} - heard <= {
        "AuthExpiring", "Reconnect", "EventAmended"
    }  # fmt: skip


class Socket:
    """A connection, each message of which must fit the document."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.heard: set[str] = set()
        self.types: set[str] = set()

    async def ask(self, message: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self) -> None:
        message = json.loads(await self.socket.recv())
        self.heard.add(valid(message))
        self.types.add(message["type"])

    async def hears(self, *types: str) -> None:
        async with asyncio.timeout(60):
            while not set(types) <= self.types:
                await self.hear()


async def _open(here: Site, viewer, *channels: str) -> Socket:
    url = str(here.http.base_url).replace("http", "ws")
    socket = Socket(await connect(f"{url}/api/v1/websocket/ws?token={here.token(viewer)}", proxy=None))
    await socket.hears("connection")
    for channel in channels:
        await socket.ask({"type": "subscribe", "channel": channel})
    return socket
