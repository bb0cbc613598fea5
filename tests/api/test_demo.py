"""The demo needs nothing set up, shows drivers that move, and ends cleanly."""

import asyncio
import json
import os
import re
import signal
import stat
import sys

import pytest
from websockets.asyncio.client import connect

from api import demo
from api.auth import Authenticator
from api.config import Config
from api.demo import Site, prepared
from tests.ports import free_port
from tests.support import ROOT
from tracker.errors import ConfigurationError

PATIENCE_S = 60.0
SECRET = "a secret for tests that is long enough"


def test_it_makes_a_secret_of_its_own_that_only_its_owner_can_read(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "DIRECTORY", tmp_path / "data")
    first, second = prepared(Config()), prepared(Config())
    assert first == second
    assert len(first.jwt_secret) == 64
    assert first.store == f"sqlite:///{tmp_path}/data/tracker.gpkg"
    assert stat.S_IMODE((tmp_path / "data" / "jwt_secret").stat().st_mode) == 0o600


def test_what_is_configured_stays():
    config = Config(jwt_secret=SECRET, store="postgresql://localhost/t", log_level="debug")
    assert prepared(config) == config
    with pytest.raises(ConfigurationError, match="the demo signs its own tokens"):
        prepared(Config(jwt_algorithm="RS256"))
    with pytest.raises(ConfigurationError, match="needs a port that is known"):
        prepared(Config(port=0))


@pytest.mark.parametrize(
    ("host", "address"), [("0.0.0.0", "127.0.0.1:8000"), ("::", "[::1]:8000"), ("tracker.tw", "tracker.tw:8000")]
)
def test_links_lead_to_an_address_that_can_be_opened(host, address):
    config = Config(host=host, jwt_secret=SECRET)
    site = Site(config)
    token = site.token("CUST-1", "customer")
    assert site.page(token, "orders") == f"http://{address}/api/v1/websocket/ws/test#token={token}&subscribe=orders"
    assert Authenticator(config).verify(token, 0.0).viewer.customer_id == "CUST-1"


async def test_the_printed_links_show_moving_drivers_and_their_orders(tmp_path):
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api", "demo", "--port", str(port)),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            links = [await next_link(process.stdout) for _ in range(2)]
            seen = await see(port, *links[0], until=lambda s: len(s.get("driver.location", ())) == demo.DRIVERS)
            assert seen["subscribed"]
            own = await see(port, *links[1], until=lambda s: "driver.location" in s)
            assert len(own["driver.location"]) == 1
            process.send_signal(signal.SIGINT)
            rest = (await process.stdout.read()).decode()
            assert await process.wait() == 0
            assert "Traceback" not in rest
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def next_link(output):
    """Token and channels of the next link that the demo prints."""
    while line := (await output.readline()).decode():
        found = re.search(r"#token=(\S+)&subscribe=(\S+)", line)
        if found:
            return found[1], found[2]
    raise AssertionError("the demo has ended")


async def see(port, token, channels, *, until):
    """Drivers seen, by type of message, on the channels of a link."""
    seen = {}
    url = f"ws://127.0.0.1:{port}/api/v1/websocket/ws"
    async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as socket:
        for channel in channels.split(","):
            await socket.send(json.dumps({"type": "subscribe", "channel": channel}))
        while not until(seen):
            message = json.loads(await socket.recv())
            assert message["type"] != "error", message
            seen.setdefault(message["type"], set()).add(message.get("driver_id"))
    return seen
