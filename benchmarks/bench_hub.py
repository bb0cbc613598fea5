"""Fan-out to 1,000 sockets: frames a second until the last byte is read, by how they are written.

python -m pytest benchmarks/bench_hub.py
"""

import asyncio
import os
import resource
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from websockets.protocol import State
from websockets.server import ServerProtocol

from tracker.codec import encode, frame, iso
from tracker.hub import Hub, Outbox
from tracker.messages import DriverLocation

SUBSCRIBERS = 1000
DRIVERS = 50
FLUSHES = 2
FRAMES = SUBSCRIBERS * DRIVERS * FLUSHES
COUNT = struct.Struct("!Q")

PAYLOADS = [
    encode(
        DriverLocation(
            driver_id=f"DRIVER{i:03}",
            latitude=25.0330123,
            longitude=121.5654321,
            speed=8.3,
            heading=45.5,
            accuracy=5.0,
            timestamp=iso(1_760_000_000.25),
            age=0.4,
        )
    )
    for i in range(DRIVERS)
]
BYTES = SUBSCRIBERS * FLUSHES * sum(len(frame(payload)) for payload in PAYLOADS)


class Fleet:
    """Server transports, and a process that reads what arrives at their other ends."""

    def __init__(self) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        servers, clients = [], []
        with socket.create_server(("127.0.0.1", 0), backlog=SUBSCRIBERS) as listening:
            for _ in range(SUBSCRIBERS):
                clients.append(socket.create_connection(listening.getsockname()))
                servers.append(listening.accept()[0])
        self._control, control = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._control.close()
            _read_all(clients, control)
        for other_end in (*clients, control):
            other_end.close()
        self.loop = uvloop.new_event_loop()
        self.transports = self.loop.run_until_complete(self._transports(servers))

    async def _transports(self, servers: list[socket.socket]) -> list[asyncio.Transport]:
        self._control.setblocking(False)
        transports: list[Any] = [
            (await self.loop.connect_accepted_socket(asyncio.Protocol, server))[0] for server in servers
        ]
        for transport in transports:
            transport.set_write_buffer_limits(high=2**30)  # nobody is paused: every frame is delivered
        return transports

    def run(self, write: Callable[[], None]) -> None:
        """Write, and wait until all of it has been read."""
        self.loop.run_until_complete(self._run(write))

    async def _run(self, write: Callable[[], None]) -> None:
        await self.loop.sock_sendall(self._control, COUNT.pack(BYTES))
        for _ in range(FLUSHES):
            write()
            await asyncio.sleep(0)
        await self.loop.sock_recv(self._control, 1)

    def close(self) -> None:
        for transport in self.transports:
            transport.abort()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        self._control.close()
        os.waitpid(self._pid, 0)


def _read_all(clients: list[socket.socket], control: socket.socket) -> None:
    """For each count of bytes that is asked for: read so many, then say so. Ends with its process."""
    try:
        with selectors.DefaultSelector() as selector:
            for client in clients:
                client.setblocking(False)
                selector.register(client, selectors.EVENT_READ)
            buffer = bytearray(2**18)
            while asked := control.recv(COUNT.size):
                (left,) = COUNT.unpack(asked)
                while left:
                    for key, _ in selector.select():
                        left -= key.fileobj.recv_into(buffer)  # type: ignore[union-attr]
                control.send(b"!")
    finally:
        os._exit(0)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    fleet = Fleet()
    yield fleet
    fleet.close()


def library(fleet: Fleet) -> Callable[[], None]:
    """As `websockets.broadcast()` does: each connection builds and writes each frame."""
    connections = [(ServerProtocol(state=State.OPEN), transport) for transport in fleet.transports]

    def write() -> None:
        for payload in PAYLOADS:
            for protocol, transport in connections:
                protocol.send_text(payload)
                transport.write(b"".join(protocol.data_to_send()))

    return write


def prebuilt(fleet: Fleet) -> Callable[[], None]:
    """Each frame is built once and written by itself."""

    def write() -> None:
        for payload in PAYLOADS:
            data = frame(payload)
            for transport in fleet.transports:
                transport.write(data)

    return write


def _outboxes(hub: Hub, fleet: Fleet) -> None:
    for transport in fleet.transports:
        hub.join("drivers", Outbox(transport.write, transport.abort, hub.counts))


def latest(fleet: Fleet) -> Callable[[], None]:
    """The volatile lane: one write a connection."""
    hub = Hub(fleet.loop.call_soon)
    _outboxes(hub, fleet)

    def write() -> None:
        for i, payload in enumerate(PAYLOADS):
            hub.put_latest("drivers", str(i), frame(payload))
        assert hub.flush() == SUBSCRIBERS * DRIVERS

    return write


def reliable(fleet: Fleet) -> Callable[[], None]:
    """The reliable lane: what is published in one turn of the loop shares a write."""
    hub = Hub(fleet.loop.call_soon)
    _outboxes(hub, fleet)

    def write() -> None:
        for payload in PAYLOADS:
            hub.publish("drivers", frame(payload))

    return write


def reliable_at_once(fleet: Fleet) -> Callable[[], None]:
    """The reliable lane of a hub that writes without waiting for the end of the turn."""
    hub = Hub()
    _outboxes(hub, fleet)

    def write() -> None:
        for payload in PAYLOADS:
            hub.publish("drivers", frame(payload))

    return write


@pytest.mark.parametrize("way", [library, prebuilt, latest, reliable, reliable_at_once], ids=lambda way: way.__name__)
def test_fan_out(benchmark: Any, fleet: Fleet, way: Callable[[Fleet], Callable[[], None]]) -> None:
    write = way(fleet)
    fleet.run(write)
    started = time.process_time()
    benchmark.pedantic(fleet.run, args=(write,), rounds=5)
    cpu_s = (time.process_time() - started) / 5
    benchmark.extra_info["frames_per_s"] = round(FRAMES / benchmark.stats.stats.min)
    benchmark.extra_info["server_cpu_us_per_frame"] = round(cpu_s / FRAMES * 1e6, 3)
