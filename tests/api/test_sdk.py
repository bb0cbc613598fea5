"""The JavaScript client against a real server: in Node, and in a browser."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import playwright
import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, Route, async_playwright, expect

from tests.api.test_page import CHROMIUM
from tests.support import ROOT, LiveServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")
NODE = Path(playwright.__file__).parent / "driver" / "node"
PLACE = {"latitude": 25.04, "longitude": 121.55}


class NodeApp:
    """A client in Node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, method: str, *values: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps([method, *values]).encode() + b"\n")
        await self._process.stdin.drain()

    async def hear(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """All that it hears up to the first wanted line."""
        assert self._process.stdout
        heard = []
        async with asyncio.timeout(30):
            while True:
                line = await self._process.stdout.readline()
                assert line, "the app has ended"
                heard.append(json.loads(line))
                if wanted(heard[-1]):
                    return heard


@asynccontextmanager
async def node_app(server: LiveServer, endpoint: str = "", **options: Any) -> AsyncIterator[NodeApp]:
    options = {"url": server.ws_url + endpoint, "reconnectInterval": 50, **options}
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(ROOT / "tests" / "api" / "sdk_app.mjs"),
        str(ROOT / "api" / "web" / "sdk" / "tracker.js"),
        json.dumps(options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        app = NodeApp(process)
        await app.call("connect")
        yield app
    finally:
        process.kill()
        await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    directory = tmp_path_factory.mktemp("sdk")
    async with running_server(f"sqlite:///{directory}/tracker.gpkg", directory) as server:
        yield server


def connected(line: dict[str, Any]) -> bool:
    return line.get("status", {}).get("connected") is True


def ended(line: dict[str, Any]) -> bool:
    return line.get("status", {}).get("connected") is False


def of_type(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda line: line.get("message", {}).get("type") == kind


def fix(t: float) -> dict[str, float]:
    return {**PLACE, "timestamp": t}


async def stored(server: LiveServer, driver_id: str) -> int:
    """How many fixes a driver's stored track has."""
    headers = {"Authorization": f"Bearer {server.token('U1', 'office')}"}
    params = {"format": "csv"}  # the last day
    async with httpx.AsyncClient(headers=headers) as http:
        answer = await http.get(f"{server.url}/api/v1/drivers/{driver_id}/track", params=params)
    assert answer.is_success, answer.text
    return len(answer.text.splitlines()) - 1


async def test_no_fix_is_lost_through_a_cut_connection(server: LiveServer) -> None:
    t0 = round(time.time()) - 100.0
    async with node_app(server, "/driver", token=server.token("D1", "driver")) as app:
        await app.hear(connected)
        await app.call("sendLocation", fix(t0))
        await app.hear(of_type("location.ack"))

        server.kill()
        await app.hear(ended)
        for i in range(1, 6):
            await app.call("sendLocation", fix(t0 + i))
        await server.start()

        await app.hear(lambda line: of_type("location.ack")(line) and line["pending"] == 0)
    assert await stored(server, "D1") == 6


async def test_what_was_missed_comes_after_a_reconnect_and_nothing_twice(server: LiveServer) -> None:
    order = {"customer_id": "C1", "driver_id": "D1", "destination": PLACE}
    headers = {"Authorization": f"Bearer {server.token('U1', 'office')}"}
    async with (
        httpx.AsyncClient(headers=headers, base_url=server.url) as office,
        node_app(server, token=server.token("U2", "office"), reconnectInterval=5000) as app,
    ):
        await app.call("subscribe", "orders")
        await app.hear(of_type("subscribed"))
        (await office.put("/api/v1/orders/O1", json=order)).raise_for_status()
        first = await app.hear(of_type("order.created"))

        server.kill()
        await app.hear(ended)
        await server.start()
        (await office.put("/api/v1/orders/O2", json=order)).raise_for_status()

        heard = first + await app.hear(of_type("subscribed"))
    created = [line["message"]["order_id"] for line in heard if of_type("order.created")(line)]
    assert created == ["O1", "O2"]
    assert heard[-1]["message"]["recovered"] is True


async def test_a_token_that_ends_is_renewed_on_the_live_socket(server: LiveServer) -> None:
    tokens = [server.token("U1", "office", ttl_s=30), server.token("U1", "office", ttl_s=3600)]
    async with node_app(server, tokens=tokens) as app:
        heard = await app.hear(of_type("auth.expiring"))
        heard += await app.hear(of_type("connection"))

    assert not any(ended(line) for line in heard)


async def test_a_refused_token_is_asked_for_once_more_and_then_it_ends(server: LiveServer) -> None:
    async with node_app(server, tokens=["bad", server.token("U1", "office")]) as app:
        heard = await app.hear(connected)
        assert [line["status"]["code"] for line in heard if ended(line)] == [4401]
    async with node_app(server, tokens=["bad", "bad"]) as app:
        await app.hear(ended)
        last = (await app.hear(ended))[-1]["status"]
        assert (last["code"], last["willReconnect"]) == (4401, False)


@pytest.mark.parametrize(("role", "code"), [("customer", 4403), ("nobody", 4401)])
async def test_a_final_refusal_is_not_tried_again(server: LiveServer, role: str, code: int) -> None:
    async with node_app(server, "/driver", token=server.token("X1", role)) as app:
        status = (await app.hear(ended))[-1]["status"]

    assert (status["code"], status["willReconnect"]) == (code, False)


async def test_a_server_that_says_nothing_is_given_up(server: LiveServer) -> None:
    async with node_app(server, token=server.token("U1", "office"), heartbeatInterval=50, silentAfter=1000) as app:
        await app.hear(connected)
        server.process.send_signal(19)  # SIGSTOP: the peer is there and says nothing, as with a pulled cable
        try:
            status = (await app.hear(ended))[-1]["status"]
        finally:
            server.process.send_signal(18)
        assert (status["code"], status["willReconnect"]) == (1006, True)
        await app.hear(connected)


async def test_fixes_outlive_a_reload_of_the_page(server: LiveServer) -> None:
    t0 = round(time.time()) - 100.0
    async with async_playwright() as run:
        browser = await run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(f"{server.url}/api/v1/websocket/ws/test")
        await new_client(page, server)
        await page.evaluate("(fix) => client.sendLocation(fix)", fix(t0))
        await page.evaluate("(fix) => client.sendLocation(fix)", fix(t0 + 1))
        await page.reload()

        await new_client(page, server)
        assert await page.evaluate("client.pending") == 2
        await page.evaluate("client.connect(), window.drained")

        assert await page.evaluate("localStorage.length") == 0
        await browser.close()
    assert await stored(server, "D2") == 2


async def new_client(page: Page, server: LiveServer) -> None:
    await page.evaluate(
        """async (options) => {
          const { TrackerClient } = await import("/static/sdk/tracker.js");
          window.drained = new Promise((drained) => {
            const onMessage = () => client.pending === 0 && drained();
            window.client = new TrackerClient({ ...options, onMessage });
          });
        }""",
        {"url": f"{server.ws_url}/driver", "token": server.token("D2", "driver"), "keepFor": "D2"},
    )


REACT = Path("/usr/share/nodejs")  # Debian's node-react-dom
FILES = {
    "react.js": REACT / "react" / "umd" / "react.development.js",
    "react-dom.js": REACT / "react-dom" / "umd" / "react-dom.development.js",
    "react.mjs": ROOT / "tests" / "api" / "sdk_react.mjs",
}


async def serve_file(route: Route, request: Request) -> None:
    await route.fulfill(path=FILES[request.url.rpartition("/")[2]])


async def test_a_react_component_is_connected_while_it_is_there(server: LiveServer) -> None:
    async with async_playwright() as run:
        browser = await run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(bypass_csp=True)
        for name in FILES:
            await page.route(f"{server.url}/{name}", serve_file)
        await page.goto(f"{server.url}/healthz")  # a page of this server is what a browser lets connect to it
        await page.set_content((ROOT / "tests" / "api" / "sdk_react.html").read_text())
        options = {"url": f"{server.ws_url}/driver", "token": server.token("D7", "driver")}
        await page.evaluate("(options) => draw(options)", options)

        await expect(page.locator("output")).to_have_text("connected")
        await page.click("#report")
        await expect(page.locator("pre")).to_have_text("location.ack")
        server.kill()
        await expect(page.locator("output")).to_have_text("not connected")
        await server.start()
        await expect(page.locator("output")).to_have_text("connected", timeout=30_000)
        await page.evaluate("(options) => draw(options)", options | {"token": server.token("D8", "driver")})
        await page.wait_for_function("heard.filter(({ type }) => type === 'connection').length === 3")
        channels = await page.evaluate("heard.filter(({ type }) => type === 'subscribed').map((it) => it.channel)")
        assert channels.count("system") == 3

        await page.click("#leave")
        await expect(page.locator("output")).to_have_text("not connected")
        await page.evaluate("draw(null)")
        await browser.close()
