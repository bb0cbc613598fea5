"""End to end over real sockets: from a driver's app to the customer's notice, and back after a crash."""

import asyncio
import json
import sys
import xml.etree.ElementTree as ET
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.journey import Journey, made_up_journey, real_journey
from tests.support import LiveServer, running_server

ROOT = Path(__file__).parents[1]


@pytest.fixture(params=["real", "made up"])
def journey(request: pytest.FixtureRequest, tmp_path: Path) -> Journey:
    """A bus ride with a stop on its way."""
    if request.param == "made up":
        return made_up_journey(tmp_path)
    return real_journey() or pytest.skip("the recorded bus ride is not here; set TRACKER_DATA to the folder it is in")


class Listener:
    """A socket that keeps what it hears."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.heard: list[dict] = []

    async def until(self, wanted) -> dict:
        """The first message, of those heard and those to come, that is wanted."""
        for message in self.heard:
            if wanted(message):
                return message
        async with asyncio.timeout(60):
            while True:
                message = json.loads(await self.socket.recv())
                self.heard.append(message)
                if wanted(message):
                    return message

    async def rest(self) -> list[dict]:
        """Everything heard, after all that was sent before now has come: a heartbeat comes back last."""
        await self.socket.send('{"type":"heartbeat"}')
        before = len([m for m in self.heard if m["type"] == "heartbeat"])
        await self.until(lambda m: m["type"] == "heartbeat" and len(self._heartbeats()) > before)
        return self.heard

    def _heartbeats(self) -> list[dict]:
        return [m for m in self.heard if m["type"] == "heartbeat"]


@asynccontextmanager
async def listening(server: LiveServer, path: str, token: str, *channels: str):
    async with connect(f"{server.ws_url}{path}?token={token}", proxy=None) as socket:
        listener = Listener(socket)
        assert (await listener.until(lambda m: True))["type"] == "connection"
        for channel in channels:
            await socket.send(json.dumps({"type": "subscribe", "channel": channel}))
            await listener.until(lambda m, channel=channel: m["type"] == "subscribed" and m["channel"] == channel)
        yield listener


async def place_order(server: LiveServer, stop: tuple[float, float], driver_id: str, created_at: float) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.put(
            "/api/v1/orders/ORDER123",
            headers={"Authorization": f"Bearer {server.token('office', 'office')}"},
            json={
                "customer_id": "CUST456",
                "customer_name": "王小明",
                "driver_id": driver_id,
                "created_at": created_at,
                "destination": {"latitude": stop[0], "longitude": stop[1], "radius": 40},
                "products": [{"name": "20kg 瓦斯桶", "quantity": 1}],
            },
        )
        assert answer.status_code == 201, answer.text


async def send(server: LiveServer, journey: Journey, driver_id: str) -> str:
    """`tracker send`, as a person would."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api", "send", str(journey.gpx), "--speed", "600x"),
        *("--url", f"{server.ws_url}/driver", "--token", server.token(driver_id, "driver")),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_from_the_drivers_socket_to_the_customers_notice(
    journey: Journey, store_url: str, tmp_path: Path
) -> None:
    async with (
        running_server(store_url, tmp_path) as server,
        listening(server, "/office", server.token("boss", "office"), "drivers", "orders") as office,
    ):
        await place_order(server, journey.stop, "DRIVER789", journey.begins)
        async with listening(server, "", server.token("CUST456", "customer"), "order:ORDER123") as customer:
            said = await send(server, journey, "DRIVER789")
            assert f"{journey.fixes}" in said
            await customer.until(lambda m: m.get("status") == "departed")
            heard = await customer.rest()
        seen = await office.rest()

        updates = [m for m in heard if m["type"] == "delivery.update" and m["status"] != "eta_changed"]
        assert [m["status"] for m in updates] == ["approaching", "driver_arrived", "departed"]
        arrived = updates[1]
        assert arrived["message"] == "司機已到達，請準備接收瓦斯"
        assert (arrived["order_id"], arrived["channel"]) == ("ORDER123", "order:ORDER123")
        assert {"event_id", "seq", "occurred_at", "confidence"} <= arrived.keys()
        sequence = [m["seq"] for m in heard if "seq" in m and m["type"] != "subscribed"]
        assert sequence == sorted(set(sequence))

        kinds = [m["type"] for m in heard]
        assert kinds.index("driver.location") < len(kinds) - 1 - kinds[::-1].index("delivery.update")
        locations = [m["timestamp"] for m in heard if m["type"] == "driver.location"]
        assert locations == sorted(locations)  # a marker never moves back
        assert len([m for m in seen if m["type"] == "driver.location"]) >= 3
        assert [m["status"] for m in seen if m.get("status") == "driver_arrived"] == ["driver_arrived"]

        await check_history(server, journey)
        assert "Traceback" not in server.log
        assert server.secret not in server.log


async def check_history(server: LiveServer, journey: Journey) -> None:
    """The track comes back as GeoJSON and GPX, and the events with their evidence."""
    token = server.token("boss", "office")
    async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token}"}) as http:
        span = {
            "from": datetime.fromtimestamp(journey.begins, UTC).isoformat(),
            "to": datetime.fromtimestamp(journey.ends, UTC).isoformat(),
        }
        track = (await http.get("/api/v1/drivers/DRIVER789/track", params=span)).raise_for_status().json()
        assert track["geometry"]["type"] == "LineString"
        assert journey.fixes * 0.99 <= len(track["geometry"]["coordinates"]) <= journey.fixes  # without outliers
        smooth = (await http.get("/api/v1/drivers/DRIVER789/track", params=span | {"smooth": "true"})).json()
        assert journey.fixes * 0.99 <= len(smooth["geometry"]["coordinates"])  # judged in the light of later ones
        gpx = await http.get("/api/v1/drivers/DRIVER789/track", params=span | {"format": "gpx"})
        points = ET.fromstring(gpx.text).findall(".//{http://www.topografix.com/GPX/1/1}trkpt")
        assert len(points) == len(track["geometry"]["coordinates"])
        events = (await http.get("/api/v1/events", params={"order": "ORDER123"})).raise_for_status().json()["events"]
        (arrival,) = [e for e in events if e["kind"] == "driver_arrived"]
        assert arrival["evidence"]["fixes"] >= 1
        latest = (await http.get("/api/v1/drivers/DRIVER789")).raise_for_status().json()
        assert latest["driver_id"] == "DRIVER789"


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("{", ("error", "malformed_json")),
        ("[]", ("error", "invalid_message")),
        ('{"type":"no_such_type"}', ("error", "unknown_type")),
        ('{"type":"subscribe","channel":"no_such_channel"}', ("error", "unknown_channel")),
        ('{"type":"subscribe","channel":"order:of-somebody-else"}', ("error", "not_allowed")),
        ('{"type":"subscribe","channel":7}', ("error", "invalid_message")),
        (
            '{"type":"location_batch","seq":1,"fixes":[{"latitude":NaN,"longitude":1}]}',
            ("location.ack", "not_a_number"),
        ),
        ('{"type":"location_batch","seq":1,"fixes":[{"longitude":1}]}', ("location.ack", "missing_field")),
        ('{"type":"location_update","latitude":91,"longitude":1,"seq":1}', ("location.ack", "latitude_out_of_range")),
        ('{"type":"location_update","latitude":91,"longitude":1}', ("error", "latitude_out_of_range")),
        (
            '{"type":"location_update","latitude":1,"longitude":-181,"seq":1}',
            ("location.ack", "longitude_out_of_range"),
        ),
        (
            '{"type":"location_update","latitude":1,"longitude":1,"seq":1,"timestamp":"2099-01-01T00:00:00Z"}',
            ("location.ack", "timestamp_in_future"),
        ),
        (
            '{"type":"location_update","latitude":1,"longitude":1,"seq":1,"timestamp":0}',
            ("location.ack", "timestamp_too_old"),
        ),
        (
            '{"type":"location_update","latitude":1,"longitude":1,"seq":1,"timestamp":"2025-01-20T10:30:00"}',
            ("location.ack", "invalid_timestamp"),
        ),
    ],
)
async def test_bad_input_gets_its_code_and_harms_nothing_else(
    shared_server: LiveServer, message: str, answer: tuple[str, str]
) -> None:
    async with listening(shared_server, "", shared_server.token("d1", "driver")) as driver:
        await driver.socket.send(message)
        reply = await driver.until(lambda m: m["type"] in ("error", "location.ack"))
        codes = [reply["code"]] if reply["type"] == "error" else [r["code"] for r in reply["rejected"]]
        assert (reply["type"], *codes) == answer
        assert await driver.rest()
    assert "Traceback" not in shared_server.log


async def test_a_bad_fix_harms_only_itself(shared_server: LiveServer) -> None:
    async with listening(shared_server, "", shared_server.token("d2", "driver")) as driver:
        good = {"latitude": 25.0, "longitude": 121.5, "timestamp": "2025-01-20T10:30:00Z"}
        fixes = [
            good,
            good | {"latitude": 95},
            {"longitude": 1},
            good | {"timestamp": "2025-01-20T10:30:05+08:00"},
            good,
        ]
        await driver.socket.send(json.dumps({"type": "location_batch", "seq": 4, "fixes": fixes}))
        ack = await driver.until(lambda m: m["type"] == "location.ack")
        assert (ack["seq"], ack["accepted"], ack["duplicates"]) == (4, 2, 1)
        assert [(r["index"], r["code"]) for r in ack["rejected"]] == [
            (1, "latitude_out_of_range"),
            (2, "missing_field"),
        ]
        again = json.dumps({"type": "location_batch", "seq": 5, "fixes": fixes})
        await driver.socket.send(again)
        ack = await driver.until(lambda m: m.get("seq") == 5)
        assert (ack["accepted"], ack["duplicates"]) == (0, 3)


@pytest.fixture
async def shared_server(tmp_path: Path, sqlite_url: str):
    """A server on the embedded store."""
    async with running_server(sqlite_url, tmp_path) as server:
        yield server
