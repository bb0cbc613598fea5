"""A driver's client loses no fix, whatever the server and the network do; played against a scripted server."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from api import client
from api.driver_client import DriverClient
from api.fix_buffer import MAX_BATCH
from tracker.errors import Conflict, InvalidInput, NotAllowed, NotAuthenticated, NotFound
from tracker.messages import Fix

PATIENCE_S = 10.0
FIXES = [Fix(25.0, 121.5, timestamp=1737369000.0 + i) for i in range(5)]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(client, "BACKOFF_S", 0.0)


Script = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def connected(*scripts: Script):
    """A client of a server that follows one script a connection, the last one for all further connections."""
    number = 0

    async def follow(socket):
        nonlocal number
        number += 1
        await scripts[min(number, len(scripts)) - 1](socket)

    async with asyncio.timeout(PATIENCE_S), serve(follow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with DriverClient(f"ws://127.0.0.1:{port}/", "a.b.c", proxy=None) as driver:
            yield driver


def ack(batch, rejected=(), duplicates=0):
    accepted = len(batch["fixes"]) - len(rejected) - duplicates
    answer = {"type": "location.ack", "seq": batch["seq"], "accepted": accepted, "duplicates": duplicates}
    return json.dumps(answer | {"rejected": [{"index": 0, "code": code, "message": ""} for code in rejected]})


async def accept_all(socket):
    async for text in socket:
        await socket.send(ack(json.loads(text)))


async def test_every_fix_is_sent_and_counted_once_it_is_acknowledged():
    authorization = []

    async def script(socket):
        authorization.append(socket.request.headers["Authorization"])
        batch = json.loads(await socket.recv())
        await socket.send('{"type":"connection"}')
        await socket.send(ack(batch, ["latitude_out_of_range"], duplicates=1))
        await socket.wait_closed()

    async with connected(script) as driver:
        driver.put(FIXES)
        await driver.drained()
    assert (driver.tally.sent, driver.tally.accepted, driver.tally.duplicates) == (5, 3, 1)
    assert driver.tally.rejected == {"latitude_out_of_range": 1}
    assert driver.tally.acknowledged == 5
    assert authorization == ["Bearer a.b.c"]


async def test_what_was_not_acknowledged_is_sent_again_after_a_reconnect():
    received = []

    async def lose(socket):
        received.append(json.loads(await socket.recv()))
        socket.transport.abort()

    async def script(socket):
        async for text in socket:
            received.append(json.loads(text))
            await socket.send(ack(received[-1]))

    async with connected(lose, lose, script) as driver:
        driver.put(FIXES)
        await driver.drained()
    assert received[0] == received[1] == received[2]
    assert len(received) == 3
    assert driver.reconnects == 2
    assert driver.tally.sent == driver.tally.acknowledged == 5


async def test_a_long_backlog_goes_in_batches_that_a_message_may_hold():
    sizes = []

    async def script(socket):
        async for text in socket:
            sizes.append(len(text))
            await socket.send(ack(json.loads(text)))

    backlog = [Fix(-25.1234567, -121.1234567, 12.345, 123.45, 12.345, 1737369000.123)] * (2 * MAX_BATCH + 1)
    async with connected(script) as driver:
        driver.put(backlog)
        await driver.drained()
    assert len(sizes) == 3
    assert max(sizes) < 65536
    assert driver.tally.acknowledged == len(backlog)


async def test_an_overloaded_server_gets_the_batch_again_on_the_same_connection():
    async def script(socket):
        batch = await socket.recv()
        await socket.send(json.dumps({"type": "error", "code": "overloaded", "ref": json.loads(batch)["seq"]}))
        assert await socket.recv() == batch
        await socket.send(ack(json.loads(batch)))
        await socket.wait_closed()

    async with connected(script) as driver:
        driver.put(FIXES)
        await driver.drained()
    assert (driver.tally.accepted, driver.reconnects) == (5, 0)


async def test_a_batch_that_can_never_be_accepted_blocks_nothing():
    async def script(socket):
        batch = json.loads(await socket.recv())
        await socket.send(json.dumps({"type": "error", "code": "invalid_message", "ref": batch["seq"]}))
        await accept_all(socket)

    async with connected(script) as driver:
        driver.put(FIXES[:2])
        await driver.drained()
        driver.put(FIXES[2:])
        await driver.drained()
    assert driver.tally.rejected["invalid_message"] == 2
    assert driver.tally.acknowledged == 5


@pytest.mark.parametrize(
    ("code", "error"), [(4401, NotAuthenticated), (4403, NotAllowed), (4409, Conflict)], ids=["4401", "4403", "4409"]
)
async def test_after_a_final_close_code_it_does_not_try_again(code, error):
    connections = []

    async def script(socket):
        connections.append(socket)
        await socket.close(code, "because")

    async with connected(script) as driver:
        driver.put(FIXES)
        with pytest.raises(error, match=f"{code} because"):
            await driver.drained()
        with pytest.raises(error):
            await driver.sleep(PATIENCE_S)
    assert len(connections) == 1


async def test_a_server_that_goes_down_says_when_to_come_back(monkeypatch):
    monkeypatch.setattr(client, "BACKOFF_S", 1000.0)

    async def leave(socket):
        await socket.send('{"type":"reconnect","after_ms":1}')
        await socket.wait_closed()

    async with connected(leave, accept_all) as driver:
        driver.put(FIXES)
        await driver.drained()
    assert driver.tally.acknowledged == 5


async def test_a_wrong_address_is_a_clear_error():
    async with asyncio.timeout(PATIENCE_S):
        async with DriverClient("http://127.0.0.1/", "t", proxy=None) as driver:
            with pytest.raises(InvalidInput, match="begins with ws://"):
                await driver.sleep(PATIENCE_S)

        def not_here(connection, request):
            return connection.respond(404, "nothing here")

        async with serve(accept_all, "127.0.0.1", 0, process_request=not_here) as server:
            port = server.sockets[0].getsockname()[1]
            async with DriverClient(f"ws://127.0.0.1:{port}/", "t", proxy=None) as driver:
                with pytest.raises(NotFound, match="404 Not Found; check the address"):
                    await driver.sleep(PATIENCE_S)


async def test_it_waits_for_a_server_that_is_not_there_yet():
    told = asyncio.Event()
    async with asyncio.timeout(PATIENCE_S):
        async with serve(accept_all, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
        async with DriverClient(f"ws://127.0.0.1:{port}/", "t", proxy=None, notify=lambda _: told.set()) as driver:
            driver.put(FIXES)
            await told.wait()
            async with serve(accept_all, "127.0.0.1", port):
                await driver.drained()
    assert driver.tally.acknowledged == 5
