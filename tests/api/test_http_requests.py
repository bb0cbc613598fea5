"""What holds for every request: tokens, bodies, times, pages."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api.http_requests import MAX_BODY
from tests.fixes import T0
from tests.site import CUSTOMER, DRIVER, OFFICE, Site, order_body, refused, site


@pytest_asyncio.fixture
async def api(sqlite_url: str) -> AsyncIterator[Site]:
    async with site(sqlite_url) as api:
        yield api


async def test_without_a_valid_token_nothing_is_answered(api: Site):
    answer = await api.ask(None, "GET", "orders")
    assert refused(answer)[:2] == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    forged = await api.ask(None, "GET", "orders", headers={"Authorization": "Bearer x.y.z"})
    assert refused(forged)[:2] == (401, "not_authenticated")
    token = api.token(OFFICE, ttl_s=60)
    assert (await api.http.get("/api/v1/orders", params={"token": token})).status_code == 200
    api.clock.now += 120
    assert refused(await api.http.get("/api/v1/orders", params={"token": token}))[:2] == (401, "token_expired")


@pytest.mark.parametrize("body", [b"{", b"", b"[" * 100_000, b'"\xff"', b"NaN", b'{"customer_id":"\\uDBFF"}'])
async def test_a_body_that_is_not_json_is_refused(api: Site, body: bytes):
    answer = await api.ask(OFFICE, "PUT", "orders/O1", content=body)
    assert refused(answer)[:2] == (400, "malformed_json")


async def test_a_body_may_be_two_megabytes_and_no_more(api: Site):
    def padded(size: int) -> bytes:
        return b'{"columns":{"latitude":[],"longitude":[]},"x":"'.ljust(size - 2, b"x") + b'"}'

    assert (await api.ask(DRIVER, "POST", "locations", content=padded(MAX_BODY))).status_code == 200
    answer = await api.ask(DRIVER, "POST", "locations", content=padded(MAX_BODY + 1))
    assert refused(answer)[:2] == (413, "message_too_large")
    assert "2 MiB" in answer.json()["error"]["message"]
    assert (await api.ask(DRIVER, "GET", "orders")).status_code == 200


async def test_a_body_without_a_length_is_bounded_too(api: Site):
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    answer = await api.ask(OFFICE, "PUT", "orders/O1", content=endless())
    assert refused(answer)[:2] == (413, "message_too_large")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2025-10-09T08:53:20Z", T0),
        ("2025-10-09T16:53:20+08:00", T0),
        ("2025-10-09T16:53:20 08:00", T0),  # a plus in a query is a space unless it is escaped
        (f"{T0:.0f}", T0),
        (f"{T0:.0f}000", T0),
    ],
)
async def test_times_have_any_offset(api: Site, text: str, meant: float):
    await api.put("orders/O1", order_body())  # an event at T0
    assert len((await api.get(OFFICE, f"events?from={text}"))["events"]) == 1
    assert len((await api.get(OFFICE, f"events?to={text}"))["events"]) == 0


@pytest.mark.parametrize("text", ["2025-10-09T08:53:20", "2025-10-09 08:53", "yesterday", "nan", "2025-10-09"])
@pytest.mark.parametrize(("path", "name"), [("events", "from"), ("events", "to"), ("drivers/D1/track", "from")])
async def test_a_time_without_an_offset_is_refused_by_name(api: Site, path: str, name: str, text: str):
    assert refused(await api.ask(OFFICE, "GET", path, params={name: text})) == (400, "invalid_input", name)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "ten", "1.5", "１"])
async def test_a_limit_has_bounds(api: Site, limit: str):
    assert refused(await api.ask(OFFICE, "GET", "orders", params={"limit": limit})) == (400, "invalid_input", "limit")


async def test_a_link_to_the_next_page_keeps_the_filters_and_no_token(api: Site):
    for number in range(3):
        await api.put(f"orders/O{number}", order_body())
    answer = await api.http.get(f"/api/v1/orders?customer=C1&limit=1&token={api.token(CUSTOMER)}")
    assert answer.json()["next"] == "/api/v1/orders?customer=C1&limit=1&cursor=O0"
    last = await api.get(CUSTOMER, "orders?customer=C1&limit=3")
    assert last["next"] is None


async def test_head_is_get_without_a_body(api: Site):
    answer = await api.ask(OFFICE, "HEAD", "orders")
    assert (answer.status_code, answer.content) == (200, b"")
