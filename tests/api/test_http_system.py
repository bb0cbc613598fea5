"""Whether the server lives, is ready and what it counts; and the page to try it with."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from api import http_system
from tests.site import Site, refused, site


@pytest_asyncio.fixture
async def api(sqlite_url: str) -> AsyncIterator[Site]:
    async with site(sqlite_url) as api:
        yield api


async def test_a_server_that_runs_is_healthy_and_ready(api: Site):
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        answer = await api.http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": status})


async def test_a_server_without_its_store_lives_but_is_not_ready(api: Site):
    await api.services.store.close()
    try:
        assert refused(await api.http.get("/readyz"))[:2] == (503, "store_unavailable")
        assert (await api.http.get("/healthz")).status_code == 200
    finally:
        await api.services.store.open()


async def test_a_server_whose_store_does_not_answer_is_not_ready(api: Site, monkeypatch):
    async def never(topic: str) -> int:
        await asyncio.get_running_loop().create_future()
        return 0

    monkeypatch.setattr(http_system, "READY_WITHIN_S", 0.01)
    monkeypatch.setattr(api.services.store, "last_seq", never)
    assert refused(await api.http.get("/readyz"))[:2] == (503, "store_unavailable")


async def test_a_server_that_cannot_keep_up_is_not_ready(sqlite_url: str):
    async with site(sqlite_url, max_pending_fixes=1) as api:
        api.services.writer._pending_fixes = 2
        assert refused(await api.http.get("/readyz"))[:2] == (503, "overloaded")
        api.services.writer._pending_fixes = 0
        assert (await api.http.get("/readyz")).status_code == 200


async def test_metrics_are_in_the_format_of_prometheus(api: Site):
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# HELP tracker_fixes_total Fixes by what became of them." in answer.text


async def test_the_test_page_and_its_parts_are_served(api: Site):
    page = await api.http.get("/api/v1/websocket/ws/test")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for part in ("/static/test.js", "/static/test.css"):
        assert part in page.text
        assert (await api.http.get(part)).status_code == 200
    assert refused(await api.http.get("/static/../web.py"))[:2] == (404, "not_found")
    assert refused(await api.http.get("/static/%2e%2e/web.py"))[:2] == (404, "not_found")
