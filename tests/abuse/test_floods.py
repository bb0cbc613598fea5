"""Floods end in a code, cost bounded memory, and others are served meanwhile.

TRACKER_FLOOD_CONNECTIONS=10000 python -m pytest tests/abuse/test_floods.py   # for long
"""

import asyncio
import gc
import os
import socket
from collections.abc import Iterator

import pytest
from websockets.frames import Frame, Opcode

from api.protocol import WebSocket
from tests.abuse.arena import ATTACKERS, DRIVER, Arena, arena, text, upgrade
from tests.sockets import until
from tracker.channels import Viewer

CONNECTIONS = int(os.environ.get("TRACKER_FLOOD_CONNECTIONS", "300"))
OFFICE = Viewer("U9", "office", None, None)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """One server with the limits it has by default; it keeps no more in the end than before."""
    directory = tmp_path_factory.mktemp("attacked")
    with arena(
        f"sqlite:///{directory}/tracker.gpkg", rate_limit_burst=200, rate_limit_per_s=1e4, max_channels=50
    ) as made:
        for viewer in ATTACKERS:
            made.attack(text('{"type":"heartbeat"}'), viewer)
        before = made.kept()
        yield made
        assert made.kept() == before


def heartbeats(count: int) -> bytes:
    return text('{"type":"heartbeat"}') * count


def test_messages_without_end_end_with_4429(attacked: Arena) -> None:
    assert attacked.attack(heartbeats(20_000), OFFICE).code == 4429


def test_acknowledgements_without_end_end_with_4429(attacked: Arena) -> None:
    assert attacked.attack(text('{"type":"ack","channel":"user:U9","seq":1}') * 20_000, OFFICE).code == 4429


def test_fragments_without_end_end_with_4429(attacked: Arena) -> None:
    first, more = (Frame(opcode, b"", fin=False).serialize(mask=True) for opcode in (Opcode.TEXT, Opcode.CONT))
    assert attacked.attack(first + more * 20_000, OFFICE).code == 4429


def test_malformed_messages_without_end_end_with_4400(attacked: Arena) -> None:
    assert attacked.attack(text("{") * 100, OFFICE).code == 4400


@pytest.mark.parametrize("size", [65_537, 10**7])
def test_a_message_that_is_too_large_ends_with_1009(attacked: Arena, size: int) -> None:
    assert attacked.attack(Frame(Opcode.TEXT, b" " * size).serialize(mask=True), OFFICE).code == 1009


def test_fragments_that_are_too_large_together_end_with_1009(attacked: Arena) -> None:
    first, more = (Frame(opcode, b" " * 1000, fin=False).serialize(mask=True) for opcode in (Opcode.TEXT, Opcode.CONT))
    assert attacked.attack(first + more * 100, OFFICE).code == 1009


def test_what_claims_to_be_compressed_ends_with_1002(attacked: Arena) -> None:
    bomb = b"\xc1" + text(b"\x00" * 100)[1:]
    assert attacked.attack(bomb, OFFICE).code == 1002


def test_subscriptions_without_end_are_refused_beyond_a_number(attacked: Arena) -> None:
    most = attacked.site.services.config.max_channels

    async def flood() -> None:
        reader, writer = await asyncio.open_connection(*attacked.address)
        writer.write(upgrade(attacked.site.token(OFFICE)))
        heard = await reader.readuntil(b"\r\n\r\n")
        for start in range(0, most + 100, 20):
            writer.write(
                b"".join(text(f'{{"type":"subscribe","channel":"driver:{i}"}}') for i in range(start, start + 20))
            )
            while heard.count(b'"subscribed"') + heard.count(b'"error"') < start + 20:
                heard += (piece := await reader.read(65536))
                assert piece, heard[-200:]
        assert heard.count(b'"limit_exceeded"') >= 100
        assert attacked.site.services.hub.paused() == 0
        writer.transport.abort()

    attacked.runner.run(flood())
    attacked.check()


@pytest.mark.parametrize("message", [text('{"type":"heartbeat"}'), Frame(Opcode.PING, b"x" * 125).serialize(mask=True)])
def test_who_asks_without_reading_costs_bounded_memory(attacked: Arena, message: bytes) -> None:
    async def flood() -> int:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, attacked.address)
        reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
        writer.write(upgrade(attacked.site.token(OFFICE)))
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        sockets = [thing for thing in gc.get_objects() if isinstance(thing, WebSocket)]
        most = 0
        for _ in range(200):
            writer.write(message * 100)
            await asyncio.sleep(0.002)
            most = max([most, *(each._transport.get_write_buffer_size() for each in sockets)])
            if writer.transport.is_closing():
                break
        writer.transport.abort()
        return most

    assert attacked.runner.run(flood()) < 100_000
    attacked.runner.run(attacked.watch())
    attacked.check()


def test_coming_and_going_without_end_leaves_nothing(attacked: Arena) -> None:
    token = attacked.site.token(DRIVER)

    async def come_and_go(place: int) -> None:
        reader, writer = await asyncio.open_connection(*attacked.address)
        if place % 3:
            writer.write(upgrade(token)[: None if place % 3 == 1 else 40])
        if place % 3 == 1 and place % 2:
            await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async def flood() -> None:
        for start in range(0, CONNECTIONS, 50):
            await asyncio.gather(*(come_and_go(place) for place in range(start, start + 50)))
        await attacked.watch()
        await until(lambda: attacked.site.services.meters.connections["driver"] == 0)

    attacked.runner.run(flood())
    attacked.check()
