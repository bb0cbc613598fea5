"""Every message of the protocol, as its description shows it: taken from clients, and sent by a live server."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.fixes import LATITUDE, LONGITUDE, T0
from tests.site import OFFICE, Site, site
from tracker.channels import Viewer

DRIVER = Viewer("DRIVER789", "driver", "DRIVER789", None)
CUSTOMER = Viewer("CUST456", "customer", None, "CUST456")

FROM_CLIENTS = r"""
{"type":"heartbeat"}
{"type":"subscribe","channel":"orders"}
{"type":"unsubscribe","channel":"orders"}
{"type":"location_update","latitude":25.0330,"longitude":121.5654,"speed":8.3,"heading":45,"accuracy":10,"timestamp":"2025-01-20T10:30:00Z"}
{"type":"location_batch","seq":17,"fixes":[{"latitude":25.0330,"longitude":121.5654,"speed":8.3,"heading":45,"accuracy":10,"timestamp":"2025-01-20T10:30:00Z"}]}
{"type":"location_batch","seq":18,"columns":{"timestamp":[1737369000.5],"latitude":[25.033],"longitude":[121.5654],"speed":[8.3],"heading":[45],"accuracy":[10]}}
{"type":"order_update","order_id":"ORDER123","status":"delivering","details":{"notes":"On the way","eta":"2025-01-20T11:00:00Z"}}
{"type":"delivery.confirmed","order_id":"ORDER123","customer_id":"CUST456","confirmed_at":"2025-01-20T10:45:00Z","confirmation_type":"qr_code","cylinder_serial":"CYL789"}
{"type":"ack","channel":"user:CUST456","seq":42}
""".strip().splitlines()  # noqa: E501

FROM_THE_SERVER = r"""
{"type":"connection","status":"connected","connection_id":"conn-…","timestamp":"…"}
{"type":"heartbeat","timestamp":"…"}
{"type":"subscribed","channel":"order:ORDER123","epoch":"…","seq":41,"recovered":true}
{"type":"location.ack","seq":17,"accepted":9,"duplicates":1,"rejected":[{"index":3,"code":"latitude_out_of_range","message":"…"}]}
{"type":"driver.location","driver_id":"DRIVER789","latitude":25.0330,"longitude":121.5654,"speed":8.3,"heading":45,"timestamp":"2025-01-20T10:30:00Z"}
{"type":"delivery.update","status":"driver_arrived","message":"司機已到達，請準備接收瓦斯","order_id":"ORDER123","timestamp":"2025-01-20T10:45:00Z"}
{"type":"order.created","order_id":"ORDER123","customer_id":"CUST456","customer_name":"王小明","products":[{"name":"20kg 瓦斯桶","quantity":1}],"delivery_date":"2025-01-20","address":"台北市大安區信義路100號"}
{"type":"order.updated","order_id":"ORDER123","status":"delivering"}
{"type":"route.updated","route_id":"…","driver_id":"DRIVER789"}
{"type":"notification","title":"新訂單","message":"您有新的配送任務","severity":"info","action":{"type":"view_order","order_id":"ORDER123"}}
{"type":"geofence.event","kind":"enter","driver_id":"DRIVER789","geofence_id":"depot-1","occurred_at":"…"}
{"type":"error","code":"invalid_message","message":"…","ref":17}
""".strip().splitlines()  # noqa: E501

ORDER = {
    "customer_id": "CUST456",
    "customer_name": "王小明",
    "driver_id": "DRIVER789",
    "products": [{"name": "20kg 瓦斯桶", "quantity": 1}],
    "delivery_date": "2025-01-20",
    "address": "台北市大安區信義路100號",
    "destination": {"latitude": LATITUDE, "longitude": LONGITUDE, "radius": 50},
}
DEPOT = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [LONGITUDE, LATITUDE]}, "radius": 80}


class Socket:
    """A connection that keeps what it heard."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    async def say(self, text: str) -> None:
        await self.socket.send(text)

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """The first message heard that has all this."""
        async with asyncio.timeout(60):
            while True:
                for message in self.heard:
                    if wanted.items() <= {name.replace(".", "_"): value for name, value in message.items()}.items():
                        return message
                self.heard.append(json.loads(await self.socket.recv()))

    async def silence(self) -> list[dict[str, Any]]:
        """What has come before the answer to a heartbeat."""
        await self.say('{"type":"heartbeat"}')
        before = len(self.heard)
        async with asyncio.timeout(60):
            while not any(message["type"] == "heartbeat" for message in self.heard[before:]):
                self.heard.append(json.loads(await self.socket.recv()))
        return self.heard[before:-1]


async def open_(here: Site, viewer: Viewer) -> Socket:
    url = str(here.http.base_url).replace("http", "ws")
    socket = Socket(await connect(f"{url}/api/v1/websocket/ws?token={here.token(viewer)}", proxy=None))
    await socket.until(type="connection")
    return socket


def fits(message: dict[str, Any], example: dict[str, Any]) -> None:
    """Every field of the example is there, and of its kind."""
    assert example.keys() <= message.keys(), message
    for name, value in example.items():
        same = isinstance(message[name], type(value)) or {type(message[name]), type(value)} == {int, float}
        assert same, (name, message[name])


@pytest.mark.parametrize("text", FROM_CLIENTS, ids=lambda text: json.loads(text)["type"])
async def test_what_clients_send_is_taken(sqlite_url: str, text: str):
    async with site(sqlite_url) as here:
        await here.put("orders/ORDER123", ORDER)
        driver = await open_(here, CUSTOMER if '"ack"' in text else DRIVER)
        if "unsubscribe" in text:
            await driver.say('{"type":"subscribe","channel":"orders"}')
            await driver.until(type="subscribed")
        await driver.say(text)
        assert not [message for message in await driver.silence() if message["type"] == "error"]
        await driver.socket.close()


MOVING = [
    {
        "latitude": LATITUDE + 0.001 - 0.0001 * s,
        "longitude": LONGITUDE,
        "speed": 8.3,
        "heading": 180,
        "timestamp": T0 - 55 + s,
    }
    for s in range(10)
]
"""To the door."""
_STOOD = [
    {"latitude": LATITUDE, "longitude": LONGITUDE, "speed": 0, "heading": 45, "timestamp": T0 - 40 + 5 * s}
    for s in range(9)
]
STANDING = [*_STOOD[:3], _STOOD[0] | {"latitude": 91}, *_STOOD[3:], _STOOD[0]]
"""At the door; one is nowhere on earth, and one a repeat."""


async def test_what_the_server_sends_is_as_described(sqlite_url: str):
    examples = {message["type"]: message for message in map(json.loads, FROM_THE_SERVER)}
    async with site(sqlite_url) as here:
        office, driver, customer = [await open_(here, viewer) for viewer in (OFFICE, DRIVER, CUSTOMER)]
        for channel in ("orders", "routes", "drivers", "geofence:depot-1"):
            await office.say(json.dumps({"type": "subscribe", "channel": channel}))
            await office.until(type="subscribed", channel=channel)
        await here.put("geofences/depot-1", DEPOT)
        await here.put("orders/ORDER123", ORDER)
        await here.put("routes/R1", {"driver_id": "DRIVER789", "stops": ["ORDER123"]})
        since = {"epoch": here.services.store.epoch, "seq": 0}
        await customer.say(json.dumps({"type": "subscribe", "channel": "order:ORDER123", "since": since}))
        await driver.say('{"type":"order_update","order_id":"ORDER123","status":"delivering"}')
        await office.until(type="order.updated")
        await driver.say(json.dumps({"type": "location_batch", "seq": 16, "fixes": MOVING}))
        moved = await customer.until(type="driver.location", driver_id="DRIVER789")
        await driver.say(json.dumps({"type": "location_batch", "seq": 17, "fixes": STANDING}))
        await here.services.publisher.send_to_user("DRIVER789", examples["notification"])
        await driver.say('{"type":"location_batch","seq":17}')
        await driver.say('{"type":"heartbeat"}')
        sent = {
            "connection": await driver.until(type="connection"),
            "heartbeat": await driver.until(type="heartbeat"),
            "subscribed": await customer.until(type="subscribed"),
            "location.ack": await driver.until(type="location.ack", seq=17),
            "driver.location": moved,
            "delivery.update": await customer.until(status="driver_arrived"),
            "order.created": await office.until(type="order.created"),
            "order.updated": await office.until(type="order.updated"),
            "route.updated": await office.until(type="route.updated"),
            "notification": await driver.until(type="notification"),
            "geofence.event": await office.until(type="geofence.event"),
            "error": await driver.until(type="error"),
        }
        assert sent.keys() == examples.keys()
        for kind, message in sent.items():
            fits(message, examples[kind])
        ack = sent["location.ack"]
        assert (ack["seq"], ack["accepted"], ack["duplicates"]) == (17, 9, 1)
        assert [(r["index"], r["code"]) for r in ack["rejected"]] == [(3, "latitude_out_of_range")]
        assert sent["subscribed"]["recovered"] is True
        assert sent["delivery.update"]["message"] == "司機已到達，請準備接收瓦斯"
        assert sent["notification"] | examples["notification"] == sent["notification"]
        assert sent["order.created"] | examples["order.created"] == sent["order.created"]
        assert (sent["error"]["code"], sent["error"]["ref"]) == ("invalid_message", 17)
        for kind in ("delivery.update", "order.created", "order.updated", "route.updated", "geofence.event"):
            assert {"event_id", "channel", "seq"} <= sent[kind].keys()
        for socket in (office, driver, customer):
            await socket.socket.close()
