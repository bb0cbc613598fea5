"""What holds for every answer: errors as JSON, nothing unexpected outside, pages that load nothing from elsewhere."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.site import OFFICE, Site, order_body, refused, site

PAGE = "/api/v1/websocket/ws/test"


@pytest_asyncio.fixture
async def api(sqlite_url: str) -> AsyncIterator[Site]:
    async with site(sqlite_url) as api:
        yield api


@pytest.mark.parametrize("path", ["/", "/api/v1/nothing", "/api/v1/orders/", "/healthz/", "/static/nothing.js"])
async def test_an_unknown_path_is_an_error_in_json(api: Site, path: str):
    headers = {"Authorization": f"Bearer {api.token(OFFICE)}"}
    assert refused(await api.http.get(path, headers=headers)) == (404, "not_found", None)


async def test_a_wrong_method_names_the_right_ones(api: Site):
    answer = await api.ask(OFFICE, "PATCH", "orders/O1")
    assert refused(answer)[:2] == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "DELETE"}


async def test_nothing_unexpected_gets_out(api: Site, monkeypatch):
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is hunter2")

    monkeypatch.setattr(api.services.store, "find", broken)
    with capture_logs() as logs:
        answer = await api.http.get(f"/api/v1/orders?token={api.token(OFFICE)}")
    assert refused(answer) == (500, "internal_error", None)
    assert "hunter2" not in answer.text
    (failure,) = [entry for entry in logs if entry["event"] == "internal error"]
    assert (failure["route"], failure["exc_info"]) == ("/api/v1/orders", True)
    assert (await api.http.get("/healthz")).status_code == 200


async def test_a_request_is_logged_without_ids_and_tokens(api: Site):
    token = api.token(OFFICE)
    with capture_logs() as logs:
        await api.http.put(f"/api/v1/orders/ORDER-9?token={token}", json=order_body())
    (entry,) = [entry for entry in logs if entry["event"] == "request"]
    assert (entry["method"], entry["route"], entry["status"]) == ("PUT", "/api/v1/orders/{order_id:path}", 201)
    assert token not in str(logs)
    assert "ORDER-9" not in str(logs)


@pytest.mark.parametrize("path", ["orders/a%00b", "events?order=a%00b", "drivers/%00/track"])
async def test_a_nul_in_a_url_is_refused(api: Site, path: str):
    assert refused(await api.ask(OFFICE, "GET", path))[:2] == (400, "invalid_input")


@pytest.mark.parametrize("path", [PAGE, "/static/test.js", "/healthz", "/api/v1/orders", "/nothing"])
async def test_every_answer_has_the_headers_that_protect(api: Site, path: str):
    headers = (await api.http.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"]) == ("'self'", "'self'")
    assert policy["img-src"] == "'self' data:"
    assert policy["frame-ancestors"] == "'none'"
    host = api.http.base_url.netloc.decode()
    assert policy["connect-src"] == f"'self' ws://{host} wss://{host}"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-store" if path.startswith("/api/") else "no-cache")


async def test_a_strange_host_adds_nothing_to_the_policy(api: Site):
    answer = await api.http.get("/healthz", headers={"Host": "x; script-src *"})
    assert "*" not in answer.headers["content-security-policy"]


async def test_the_page_asks_for_nothing_from_elsewhere(api: Site):
    page = (await api.http.get(PAGE)).text
    sources = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert sources
    assert all(source.startswith("/") and not source.startswith("//") for source in sources)


async def test_pages_of_an_allowed_origin_may_read(sqlite_url: str):
    origin = "https://office.example"
    async with site(sqlite_url, allowed_origins=(origin,)) as api:
        answer = await api.ask(OFFICE, "GET", "orders", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        asked["Access-Control-Request-Headers"] = "authorization"
        assert (await api.ask(None, "OPTIONS", "orders/O1", headers=asked)).status_code == 200
        other = await api.ask(OFFICE, "GET", "orders", headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_pages_of_other_origins_may_not_read(api: Site):
    answer = await api.ask(OFFICE, "GET", "orders", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers
