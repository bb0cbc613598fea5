"""Whether the server lives, is ready and what it counts; and the page to try it with."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api import http_system
from tests.site import OFFICE, Site, refused, site
from tracker.channels import Role, Viewer


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
        api.services.writer.pending_fixes = 2
        assert refused(await api.http.get("/readyz"))[:2] == (503, "overloaded")
        api.services.writer.pending_fixes = 0
        assert (await api.http.get("/readyz")).status_code == 200


async def test_work_that_has_ended_is_told_by_healthz(api: Site):
    work = next(work for work in api.services.works if work.get_name() == "beat")
    work.cancel()
    await asyncio.wait([work])
    answer = await api.http.get("/healthz")
    assert refused(answer)[:2] == (503, "unhealthy")
    assert "beat" in answer.json()["error"]["message"]


async def test_a_server_that_is_about_to_stop_is_not_ready(api: Site):
    api.services.draining = True
    assert refused(await api.http.get("/readyz"))[:2] == (503, "draining")


async def test_a_server_whose_event_loop_was_held_up_is_not_ready(api: Site):
    api.services.meters.recent_lags.append(http_system.LAG_S + 1.0)
    answer = await api.http.get("/readyz")
    assert refused(answer)[:2] == (503, "overloaded")
    assert "3.0 s" in answer.json()["error"]["message"]


@pytest.mark.parametrize("role", ["driver", "customer", None])
async def test_metrics_are_not_for_everybody(api: Site, role: Role | None):
    viewer = Viewer("X", role, None, None) if role else None
    headers = {"Authorization": f"Bearer {api.token(viewer)}"} if viewer else {}
    answer = await api.http.get("/metrics", headers=headers)
    assert refused(answer)[:2] == ((403, "not_allowed") if role else (401, "not_authenticated"))


async def test_metrics_are_for_who_has_the_token_of_prometheus(sqlite_url: str):
    async with site(sqlite_url, metrics_token="scrape-it") as api:
        for token, status in (("scrape-it", 200), ("scrape-i", 401), ("", 401), ("é", 401)):
            answer = await api.http.get("/metrics", params={"token": token})
            assert answer.status_code == status
    async with site(sqlite_url) as api:
        assert (await api.http.get("/metrics", params={"token": ""})).status_code == 401


async def test_metrics_are_in_the_format_of_prometheus(api: Site):
    answer = await api.http.get("/metrics", headers={"Authorization": f"Bearer {api.token(OFFICE)}"})
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# HELP tracker_fixes_total Fixes by what became of them: accepted," in answer.text


async def test_the_test_page_and_its_parts_are_served(api: Site):
    page = await api.http.get("/api/v1/websocket/ws/test")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for part in ("/static/test.js", "/static/test.css"):
        assert part in page.text
        assert (await api.http.get(part)).status_code == 200
    assert refused(await api.http.get("/static/../web.py"))[:2] == (404, "not_found")
    assert refused(await api.http.get("/static/%2e%2e/web.py"))[:2] == (404, "not_found")
