import json
import logging
from contextlib import suppress

import pytest
import structlog
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from api.config import Config
from api.logs import configure_logs
from tests.fixes import LATITUDE, LONGITUDE, T0
from tests.site import CUSTOMER, DRIVER, order_body, site
from tests.sockets import until


@pytest.fixture(autouse=True)
def _as_before():
    yield
    structlog.reset_defaults()


def test_machines_get_one_json_object_a_line(capsys) -> None:
    configure_logs(Config(log_format="json"))
    structlog.get_logger().info("connected", user="王")
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["user"], line["level"]) == ("connected", "王", "info")
    assert line["timestamp"].endswith("Z")


def test_an_error_carries_its_traceback(capsys) -> None:
    configure_logs(Config(log_format="json"))
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        structlog.get_logger().exception("internal error")
    assert "ZeroDivisionError" in json.loads(capsys.readouterr().out)["exception"]


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_variables(capsys, log_format) -> None:
    configure_logs(Config(log_format=log_format))
    token = "ab" * 20
    try:
        int(token[:0])
    except ValueError:
        structlog.get_logger().exception("internal error")
    out = capsys.readouterr().out
    assert "ValueError" in out
    assert token[:10] not in out


def test_below_the_level_nothing_is_written(capsys) -> None:
    configure_logs(Config(log_level="warning"))
    structlog.get_logger().info("connected")
    assert capsys.readouterr().out == ""
    assert logging.getLogger().level >= logging.WARNING


async def test_no_token_and_nothing_personal_is_logged(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever way a token comes in, and whatever goes wrong with what somebody sends."""
    personal = {"customer_name": "王小明", "address": "台北市大安區信義路100號", "products": [{"name": "Gas20kg"}]}
    for name in ("tracker", "uvicorn", "asyncio", "starlette"):
        caplog.set_level(logging.DEBUG, logger=name)
    with capture_logs() as logs:
        async with site(sqlite_url) as here:
            tokens = [here.token(CUSTOMER, 3600.0 + n) for n in range(6)]
            base = f"{str(here.http.base_url).replace('http', 'ws')}/api/v1/websocket/ws"
            ways = [
                {"uri": f"{base}?token={tokens[0]}"},
                {"uri": base, "additional_headers": {"Authorization": f"Bearer {tokens[1]}"}},
                {"uri": base, "subprotocols": ["tracker.v1", f"bearer.{tokens[2]}"]},
                {"uri": base},
                {"uri": f"{base}?token={tokens[4]}broken"},
                {"uri": f"{base}/driver?token={tokens[5]}"},
            ]
            for way, token in zip(ways, tokens, strict=True):
                async with connect(**way, proxy=None) as socket:
                    with suppress(ConnectionClosed):
                        await socket.recv()
                        await socket.send(json.dumps({"type": "auth", "token": token}))
                        await socket.send('{"type":"order_update","order_id":"王小明"')
                        await socket.send('{"type":"ack","channel":"王小明","seq":1}')
                        await socket.send(b"\xff" + token.encode())
                        await socket.send('{"type":"heartbeat"}')
                        while json.loads(await socket.recv())["type"] != "heartbeat":
                            pass
            await here.put("orders/O1", order_body(**personal))
            await here.drive("D1", [0.0, 10.0, 20.0, 30.0], [0.0] * 4)
            await here.http.get(f"/api/v1/orders/O1?token={tokens[0]}")
            await here.http.get(f"/api/v1/{tokens[1]}", headers={"Authorization": f"Bearer {tokens[2]}x"})
    told = repr(logs) + repr([record.getMessage() for record in caplog.records])
    assert "connected" in told
    assert "request" in told
    secrets = {part for token in tokens for part in token.split(".")[1:]}
    for secret in (*secrets, "王小明", "信義路", "Gas20kg", "25.033", "121.565"):
        assert secret not in told, secret


async def test_a_session_is_a_line_each_for_coming_going_and_errors_with_nothing_personal(capsys, sqlite_url) -> None:
    configure_logs(Config(log_format="json", log_level="debug"))
    async with site(sqlite_url) as here:
        await here.put(
            "orders/O1", order_body(customer_name="王小明", address="信義路100號", details={"phone": "0912"})
        )
        token, address = here.token(DRIVER), f"ws://{here.http.base_url.netloc.decode()}/api/v1/websocket/ws"
        await here.http.get(f"/api/v1/orders/O1?token={token}")
        async with connect(f"{address}?token={token}") as socket:
            fix = {"latitude": LATITUDE, "longitude": LONGITUDE, "timestamp": T0}
            for message in (
                {"type": "location_batch", "seq": 1, "fixes": [fix]},
                {"type": "subscribe", "channel": "user:somebody-else"},
                {"type": "order_update", "order_id": "O1", "status": "delivering", "details": {"notes": "secret note"}},
                {"type": "auth", "token": token},
                {"type": "nonsense"},
                {"type": "heartbeat"},
            ):
                await socket.send(json.dumps(message))
            await until(lambda: here.services.meters.answered["error"] == 2)
        await until(lambda: here.services.meters.closes.total() == 1)
    out, err = capsys.readouterr()
    said = [json.loads(line) for line in out.splitlines()]
    (connected,) = [line for line in said if line["event"] == "connected"]
    (disconnected,) = [line for line in said if line["event"] == "disconnected"]
    refused = [line for line in said if line["event"] == "refused"]
    assert sorted(line["code"] for line in refused) == ["not_allowed", "unknown_type"]
    assert {line["connection_id"] for line in (connected, disconnected, *refused)} == {connected["connection_id"]}
    assert {line["user"] for line in (connected, disconnected, *refused)} == {"D1"}
    assert (disconnected["code"], disconnected["messages_in"]) == (1000, 6)
    for secret in (
        token,
        token.split(".")[2],
        "王小明",
        "信義路",
        "0912",
        "secret note",
        "somebody-else",
        "25.0",
        "121.5",
    ):
        assert secret not in out + err
