"""Driver apps and subscribers on real sockets, cheap enough to load a server from one other core."""

import asyncio
import json
import os
import re
import struct
import time
from pathlib import Path
from urllib.parse import urlsplit

T0 = 1_760_000_000.0
_ACK = re.compile(rb'"location\.ack","seq":(\d+),"accepted":(\d+)')
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def masked(payload: bytes) -> bytes:
    """A client's text frame; its mask is zero, which the server has to undo all the same."""
    n = len(payload)
    head = struct.pack("!BB", 0x81, 0x80 | n) if n < 126 else struct.pack("!BBH", 0x81, 0xFE, n)
    return head + b"\0\0\0\0" + payload


def batches(driver: int, count: int, fixes: int) -> list[bytes]:
    """Frames of `count` batches, a fix a second, as a phone writes them."""
    made = []
    for seq in range(1, count + 1):
        rows = []
        for i in range(fixes):
            t = (seq - 1) * fixes + i
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(T0 + t))
            place = {"latitude": 25.0 + driver * 1e-4 + t * 7e-5, "longitude": 121.5 + driver * 1e-4}
            rows.append(place | {"speed": 8.3, "heading": 0.5, "accuracy": 5.0, "timestamp": f"{stamp}Z"})
        made.append(masked(json.dumps({"type": "location_batch", "seq": seq, "fixes": rows}).encode()))
    return made


class Socket(asyncio.Protocol):
    """A WebSocket that upgrades and then hands over whatever comes."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = urlsplit(url), token
        self.open = asyncio.get_running_loop().create_future()
        self._head = b""

    async def connect(self) -> None:
        """Returns when the upgrade is done."""
        assert self._url.hostname
        await asyncio.get_running_loop().create_connection(lambda: self, self._url.hostname, self._url.port)
        await self.open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        request = (
            f"GET {self._url.path}?token={self._token} HTTP/1.1\r\nHost: {self._url.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.transport.write(request.encode())

    def data_received(self, data: bytes) -> None:
        if self.open.done():
            self.heard(data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if end:
            assert b" 101 " in head.split(b"\r\n")[0], head
            self.open.set_result(None)
            self.heard(rest)

    def heard(self, data: bytes) -> None:
        """Frames, or parts of some."""


class App(Socket):
    """A driver's app: keeps `ahead` batches on their way until all are acknowledged."""

    def __init__(self, url: str, token: str, frames: list[bytes], ahead: int) -> None:
        super().__init__(url, token)
        self._frames, self._ahead, self._next = frames, ahead, 0
        self._sent_at: dict[int, float] = {}
        self._rest = b""
        self.latencies: list[float] = []
        self.accepted = 0
        self.done = asyncio.Event()

    def start(self) -> None:
        """Send the first batches."""
        for _ in range(self._ahead):
            self._send()

    def _send(self) -> None:
        if self._next < len(self._frames):
            self._sent_at[self._next + 1] = time.perf_counter()
            self.transport.write(self._frames[self._next])
            self._next += 1

    def heard(self, data: bytes) -> None:
        data = self._rest + data
        end = 0
        for ack in _ACK.finditer(data):
            if ack.end() == len(data):
                break  # the number may go on
            end = ack.end()
            self.latencies.append(time.perf_counter() - self._sent_at[int(ack[1])])
            self.accepted += int(ack[2])
            self._send()
        self._rest = data[end:][-200:]
        if len(self.latencies) == len(self._frames):
            self.done.set()


class Subscriber(Socket):
    """Counts the positions it hears."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self._last = b""
        self.positions = 0

    def subscribe(self, channel: str) -> None:
        """Hear this channel from now on."""
        self.transport.write(masked(json.dumps({"type": "subscribe", "channel": channel}).encode()))

    def heard(self, data: bytes) -> None:
        word = b'"driver.location"'
        data = self._last + data
        self.positions += data.count(word)
        self._last = data[-len(word) + 1 :]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it."""
    total = 0.0
    for path in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        total += cpu_seconds(int(path))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return total + (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
