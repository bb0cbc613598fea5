"""The test page in a real browser, against a real server."""

import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect
from websockets.asyncio.client import connect

from tests.support import LiveServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/api/v1/websocket/ws/test"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Visit:
    """A page, and what went on behind it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    async def log(self, kind: str) -> dict[str, Any]:
        """The newest message of this type in the log, once there is one."""
        entry = self.page.locator(f'#entries li[data-type="{kind}"]').first
        await expect(entry).to_be_attached()
        message: dict[str, Any] = json.loads(await entry.locator("code").inner_text())
        return message

    async def send(self, kind: str, **changes: Any) -> None:
        """Send the ready message of this type, changed a little."""
        await self.page.select_option("#kind", kind)
        body = json.loads(await self.page.input_value("#body")) | changes
        await self.page.fill("#body", json.dumps(body))
        await self.page.click("#send")


Open = Callable[..., Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    directory = tmp_path_factory.mktemp("page")
    async with running_server(f"sqlite:///{directory}/tracker.gpkg", directory) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(server: LiveServer, browser: Browser) -> AsyncIterator[Open]:
    """Opens the page; at the end, nothing may have gone wrong and nothing been fetched from elsewhere."""
    visits: list[Visit] = []

    async def open_page(fragment: str = "", **options: Any) -> Visit:
        context = await browser.new_context(locale="zh-TW", **options)
        visit = Visit(await context.new_page())
        visits.append(visit)
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.on("websocket", lambda socket: visit.requests.append(socket.url))
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        response = await visit.page.goto(f"{server.url}{PATH}{fragment}")
        assert response is not None
        assert response.ok
        visit.headers = response.headers
        return visit

    yield open_page
    for visit in visits:
        assert visit.complaints == []
        assert {url.split("://")[1].split("/")[0] for url in visit.requests} == {f"127.0.0.1:{server.port}"}
        await visit.page.context.close()


async def test_a_link_with_a_token_opens_a_live_map(server: LiveServer, visit: Open) -> None:
    office = await visit(f"#token={server.token('U1', 'office')}&subscribe=drivers,orders")
    page = office.page
    await expect(page.locator("#state")).to_have_text("已連線")
    await expect(page.locator("#channels li")).to_have_count(2)

    await report(server, "D1", latitude=25.04, longitude=121.55, speed=10.0, heading=90.0)

    await expect(page.locator('#drivers tr[data-driver="D1"]')).to_contain_text("25.04000, 121.55000")
    assert (await office.log("driver.location"))["driver_id"] == "D1"
    assert await pixels(page, "--accent") > 50


async def test_the_token_leaves_the_address_bar_and_never_shows_in_a_url(server: LiveServer, visit: Open) -> None:
    token = server.token("U1", "office")
    office = await visit(f"#token={token}&subscribe=drivers")
    await expect(office.page.locator("#channels li")).to_have_count(1)

    assert office.page.url == server.url + PATH
    assert [url for url in office.requests[1:] if token in url] == []
    assert token not in server.log


async def test_nothing_inline_and_nothing_from_elsewhere_may_run(visit: Open) -> None:
    policy = (await visit()).headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


async def test_a_driver_reports_from_the_page(server: LiveServer, visit: Open) -> None:
    driver = await visit(f"#token={server.token('D2', 'driver')}&endpoint=ws/driver")
    await expect(driver.page.locator("#state")).to_have_text("已連線")

    await driver.send("location_batch", seq=17)

    ack = await driver.log("location.ack")
    assert (ack["seq"], ack["accepted"], ack["rejected"]) == (17, 3, [])


async def test_it_connects_again_by_itself_and_resumes(server: LiveServer, visit: Open) -> None:
    office = await visit(f"#token={server.token('U7', 'office')}&subscribe=system")
    await expect(office.page.locator("#channels li")).to_have_count(1)

    server.kill()
    await expect(office.page.locator("#state")).to_have_text("重新連線中…")
    await server.start()

    await expect(office.page.locator("#state")).to_have_text("已連線", timeout=30_000)
    await expect(office.page.locator('#entries li[data-type="subscribed"]')).to_have_count(2)
    assert (await office.log("subscribed"))["recovered"] is True
    office.complaints.clear()  # the browser's own, of connections refused meanwhile


async def test_deliveries_read_as_customers_read_them(server: LiveServer, visit: Open) -> None:
    order = {"customer_id": "C1", "driver_id": "D4", "destination": {"latitude": 25.03, "longitude": 121.56}}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {server.token('U6', 'office')}"}) as office:
        (await office.put(f"{server.url}/api/v1/orders/O1", json=order)).raise_for_status()
    channels = "orders,order:O1"  # each update comes twice
    customer = (await visit(f"#token={server.token('C1', 'customer')}&subscribe={channels}")).page
    await expect(customer.locator("#channels li")).to_have_count(2)
    driver = await visit(f"#token={server.token('D4', 'driver')}&subscribe=order:O1")
    await expect(driver.page.locator("#channels li")).to_have_count(1)

    await driver.send("order_update", status="delivering")

    await expect(customer.locator('#types button[data-type="delivery.update"] b')).to_have_text("2")
    await expect(customer.locator("#deliveries li p")).to_have_text(["司機已出發，正在配送途中"])


async def test_every_ready_message_is_understood(server: LiveServer, visit: Open) -> None:
    token = server.token("D3", "driver")
    driver = await visit(f"#token={token}")
    page = driver.page
    await expect(page.locator("#state")).to_have_text("已連線")
    kinds = await page.locator("#kind option").all_inner_texts()
    assert len(kinds) == 9

    for kind in kinds:
        await page.select_option("#kind", kind)
        await page.click("#send")
    await driver.send("heartbeat", seq=1)
    await expect(page.locator('#entries li.in[data-type="heartbeat"]')).to_have_count(2)

    codes = [json.loads(text)["code"] for text in await page.locator("#entries li.bad code").all_inner_texts()]
    assert {"invalid_message", "malformed_json", "unknown_type"} & set(codes) == set()
    assert token not in await page.locator("#entries").inner_text()


async def test_a_filter_hides_a_type_and_counts_on(server: LiveServer, visit: Open) -> None:
    page = (await visit(f"#token={server.token('U2', 'office')}&subscribe=drivers")).page
    chip = page.locator('#types button[data-type="connection"]')
    await expect(chip.locator("b")).to_have_text("1")

    await chip.click()

    await expect(page.locator('#entries li[data-type="connection"]')).to_have_count(0)
    await expect(chip).to_have_attribute("aria-pressed", "false")
    await expect(chip.locator("b")).to_have_text("1")


async def test_a_pause_holds_the_log_and_loses_nothing(server: LiveServer, visit: Open) -> None:
    office = await visit(f"#token={server.token('U3', 'office')}")
    page = office.page
    await office.log("connection")
    await page.click("#pause")

    await office.send("heartbeat")

    await expect(page.locator("#pause")).to_have_text("繼續（2 則新訊息）")
    await expect(page.locator('#entries li[data-type="heartbeat"]')).to_have_count(0)
    await page.click("#pause")
    await expect(page.locator('#entries li[data-type="heartbeat"]')).to_have_count(2)


@pytest.mark.parametrize(("role", "endpoint", "code"), [("nobody", "ws", "4401"), ("customer", "ws/driver", "4403")])
async def test_a_refusal_is_explained_in_words(
    server: LiveServer, visit: Open, role: str, endpoint: str, code: str
) -> None:
    page = (await visit(f"#token={server.token('U4', role)}&endpoint={endpoint}")).page

    await expect(page.locator("#state")).to_have_text(f"已斷線（{code}）")
    await expect(page.locator("#ending")).to_contain_text("不要自動重試")


async def test_the_page_speaks_english_too(visit: Open) -> None:
    page = (await visit()).page
    await expect(page.locator("#connect")).to_have_text("連線")

    await page.click("#language")

    await expect(page.locator("#connect")).to_have_text("Connect")
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    keys = await page.evaluate(
        """async () => {
          const { TEXTS, KINDS, CLOSINGS } = await import("/static/texts.js");
          return [TEXTS, KINDS, CLOSINGS].map((all) => Object.values(all).map((texts) => Object.keys(texts).sort()));
        }"""
    )
    for chinese, english in keys:
        assert chinese == english


async def test_the_page_fits_a_phone(server: LiveServer, visit: Open) -> None:
    fragment = f"#token={server.token('U5', 'office')}&subscribe=drivers,orders,routes,customers,system"
    page = (await visit(fragment, viewport={"width": 360, "height": 740})).page
    await expect(page.locator("#channels li")).to_have_count(5)

    assert await page.evaluate("document.documentElement.scrollWidth") == 360


async def report(server: LiveServer, driver_id: str, **fix: float) -> None:
    """One fix from a driver's app; returns when it is durable."""
    async with connect(f"{server.ws_url}/driver?token={server.token(driver_id, 'driver')}") as app:
        await app.send(json.dumps({"type": "location_update", "seq": 1, "timestamp": time.time(), **fix}))
        while json.loads(await app.recv())["type"] != "location.ack":
            pass


async def pixels(page: Page, colour: str) -> int:
    """How many pixels of the map have this colour of the style sheet."""
    count: int = await page.evaluate(
        """(name) => {
          const value = getComputedStyle(document.documentElement).getPropertyValue(name);
          const [red, green, blue] = [1, 3, 5].map((at) => parseInt(value.slice(at, at + 2), 16));
          const canvas = document.getElementById("map");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let i = 0; i < data.length; i += 4) {
            if (data[i] === red && data[i + 1] === green && data[i + 2] === blue) count += 1;
          }
          return count;
        }""",
        colour,
    )
    return count
