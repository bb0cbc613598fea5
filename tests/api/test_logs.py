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
from tests.site import CUSTOMER, order_body, site


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
