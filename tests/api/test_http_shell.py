import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api import http_shell
from tests.abuse.arena import text
from tests.site import OFFICE, Site, site
from tests.sockets import until


@pytest_asyncio.fixture
async def api(sqlite_url: str) -> AsyncIterator[Site]:
    async with site(sqlite_url) as api:
        yield api


async def ask(api: Site, *pieces: bytes) -> bytes:
    """Write these pieces, each by itself; the whole answer, until the connection ends."""
    reader, writer = await asyncio.open_connection(api.http.base_url.host, api.http.base_url.port or 80)
    try:
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        for piece in pieces:
            if not answer.done():
                writer.write(piece)
                await asyncio.sleep(0.001)
        async with asyncio.timeout(60):
            return await answer
    finally:
        writer.close()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"POST /api/v1/locations HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
    ],
    ids=["silent", "line", "head", "body"],
)
async def test_a_request_that_does_not_come_ends(api: Site, monkeypatch: pytest.MonkeyPatch, begun: bytes):
    monkeypatch.setattr(http_shell, "REQUEST_S", 0.1)
    answer = await ask(api, *[begun[i : i + 1] for i in range(len(begun))])
    assert b"408 Request Timeout" in answer or b"401" in answer


async def test_a_head_without_end_is_refused(api: Site):
    header = b"X-A: " + b"x" * 1000 + b"\r\n"
    answer = await ask(api, b"GET /healthz HTTP/1.1\r\nHost: x\r\n", *[header] * 20)
    assert answer.startswith(b"HTTP/1.1 431 ")
    answer = await ask(api, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ", *[b"x" * 1000] * 20)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_long_body_is_no_head(api: Site):
    body = b'{"customer_id":"C1","destination":{"latitude":25,"longitude":121},"address":"' + b"x" * 50_000 + b'"}'
    answer = await api.ask(OFFICE, "PUT", "orders/O1", content=body)
    assert answer.status_code == 201


async def test_requests_one_after_the_other_have_their_time_each(api: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_shell, "REQUEST_S", 2.0)  # less than uvicorn lets a connection rest
    reader, writer = await asyncio.open_connection(api.http.base_url.host, api.http.base_url.port or 80)
    for _ in range(3):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        await pass_time(monkeypatch, 3.0)
    writer.close()


async def test_a_websocket_outlives_the_time_of_its_request(api: Site, monkeypatch: pytest.MonkeyPatch):
    reader, writer = await asyncio.open_connection(api.http.base_url.host, api.http.base_url.port or 80)
    head = (
        f"GET /api/v1/websocket/ws?token={api.token(OFFICE)} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for byte in head.encode():
        writer.write(bytes((byte,)))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    await pass_time(monkeypatch, http_shell.REQUEST_S + 1.0)
    writer.write(text('{"type":"heartbeat"}'))
    async with asyncio.timeout(60):
        await reader.readuntil(b'"heartbeat"')
    writer.close()
    await until(lambda: not api.services.meters.connections["office"])


async def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """From now on so much more time has passed for the event loop; what was due by then is done."""
    loop = asyncio.get_running_loop()
    clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + seconds)
    for _ in range(3):
        await asyncio.sleep(0)
