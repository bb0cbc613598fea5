"""Driver apps and subscribers cheap enough to load a server with thousands from one process."""

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from tracker.codec import iso
from tracker.errors import SEND_AGAIN, TrackerError

_ACK = re.compile(rb'"location\.ack","seq":(\d+),"accepted":(\d+),"duplicates":(\d+),')
_ERROR = re.compile(rb'"type":"error","code":"(\w+)","message":"(?:[^"\\]|\\.)*"(?:,"ref":(\d+))?\}')
_LOCATION = b'"driver.location"'
_POSITION = re.compile(rb'"driver\.location","driver_id":"([^"]+)"[^{}]*?"timestamp":"([^"]+)"[^{}]*\}')
_LONGEST = 400  # bytes that an answer may be cut in
AGAIN_S = 1.0
NORTH_PER_MS = 7.5e-8  # degrees of latitude; 8.3 m/s
_CONCURRENT = 64  # handshakes


class Batch(NamedTuple):
    """Fixes on their way, in the frame they go in."""

    frame: bytes
    due: float  # time of the event loop at which it should go
    fixes: int
    last: str  # time of its last fix, as the server writes it


def masked(payload: bytes) -> bytes:
    """A client's text frame; its mask is zero, which the server has to undo all the same."""
    size = len(payload)
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    elif size < 65536:
        head = b"\x81\xfe" + size.to_bytes(2)
    else:
        head = b"\x81\xff" + size.to_bytes(8)
    return head + b"\0\0\0\0" + payload


def batch(driver: int, seq: int, times: list[int], since: int, due: float) -> Batch:
    """Fixes of a driver who goes north from `since` on, measured at these Unix milliseconds, as a phone writes them."""
    longitude = 121.0 + driver % 1000 * 1e-3
    south = 20.0 + driver // 1000 * 0.01
    rows = [
        f'{{"latitude":{south + (t - since) * NORTH_PER_MS:.7f},"longitude":{longitude:.7f},"speed":8.3,"heading":0.5,'
        f'"accuracy":5.0,"timestamp":"{_second(t // 1000)}.{t % 1000:03}Z"}}'
        for t in times
    ]
    text = f'{{"type":"location_batch","seq":{seq},"fixes":[{",".join(rows)}]}}'
    return Batch(masked(text.encode()), due, len(times), iso(times[-1] / 1000))


@lru_cache(maxsize=4096)
def _second(t: int) -> str:
    return iso(float(t))[:-1]


class Socket(asyncio.Protocol):
    """A WebSocket that upgrades and then hands over whatever comes."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = urlsplit(url), token
        self._ready = asyncio.get_running_loop().create_future()
        self._head = b""
        self.transport: asyncio.Transport
        self.lost: str | None = None
        """How the connection ended, if it has."""

    async def connect(self, local: str | None = None) -> None:
        """Returns when the server has greeted. Raises TrackerError when it does not let this client in."""
        url = self._url
        port = url.port or (443 if url.scheme == "wss" else 80)
        context = ssl.create_default_context() if url.scheme == "wss" else None
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self, url.hostname or "", port, ssl=context, local_addr=(local, 0) if local else None
            )
            async with asyncio.timeout(30.0):
                await self._ready
        except (OSError, TimeoutError) as error:
            raise TrackerError(f"cannot connect to {url.hostname}:{port}: {error or 'no answer'}") from None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(
            f"GET {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nUpgrade: websocket\r\n"
            f"Authorization: Bearer {self._token}\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """The answer to the upgrade with the greeting, and then frames."""
        if self._ready.done():
            self.heard(data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if end and b" 101 " not in head.split(b"\r\n")[0]:
            self._fail(f"the server answers {head.split(b' ', 1)[1].splitlines()[0].decode(errors='replace')}")
        elif rest.startswith(b"\x88"):
            self._fail(f"the server closes with {int.from_bytes(rest[2:4])} {rest[4:].decode(errors='replace')}")
        elif end and b'"connected"' in rest:
            self._ready.set_result(None)
            self.heard(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember that it ended."""
        self.lost = self.lost or (str(exc) if exc else "closed by the server")
        self._fail(self.lost)

    def _fail(self, reason: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(TrackerError(reason))
            self.transport.close()

    def heard(self, data: bytes) -> None:
        """Frames, or parts of some."""


class Driver(Socket):
    """A driver's app: keeps what is not acknowledged, and sends it again where the server asks for that."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self.waiting: dict[int, Batch] = {}
        """Sent and not accounted for, by seq."""
        self.latencies: list[float] = []
        """Seconds from when a batch was due to its acknowledgement."""
        self.sent = self.accepted = self.duplicates = self.rejected = 0
        self.errors: Counter[str] = Counter()
        self.then: Callable[[], None] = lambda: None
        """Called after each batch that is accounted for."""
        self._rest = b""

    def send(self, seq: int, made: Batch) -> None:
        """Send a batch now."""
        self.waiting[seq] = made
        self.sent += made.fixes
        self.transport.write(made.frame)

    def heard(self, data: bytes) -> None:
        """Acknowledgements and errors."""
        data = self._rest + data
        end = 0
        for ack in _ACK.finditer(data):
            end = ack.end()
            made = self.waiting.pop(int(ack[1]), None)
            if made is not None:
                self.latencies.append(asyncio.get_running_loop().time() - made.due)
                self.accepted += int(ack[2])
                self.duplicates += int(ack[3])
                self.rejected += made.fixes - int(ack[2]) - int(ack[3])
                self.then()
        if b'"error"' in data:
            for error in _ERROR.finditer(data, end):
                end = error.end()
                self._refused(error[1].decode(), int(error[2] or -1))
        self._rest = data[end:][-_LONGEST:]

    def _refused(self, code: str, seq: int) -> None:
        self.errors[code] += 1
        made = self.waiting.get(seq)
        if made is not None and code in SEND_AGAIN:
            asyncio.get_running_loop().call_later(AGAIN_S, self.transport.write, made.frame)
        elif made is not None:
            del self.waiting[seq]
            self.rejected += made.fixes
            self.then()


class Subscriber(Socket):
    """Counts the positions it hears."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self._last = b""
        self.positions = 0

    def subscribe(self, channel: str) -> None:
        """Hear this channel from now on."""
        self.transport.write(masked(f'{{"type":"subscribe","channel":"{channel}"}}'.encode()))

    def heard(self, data: bytes) -> None:
        """Positions among other frames."""
        data = self._last + data
        self.positions += data.count(_LOCATION)
        self._last = data[-len(_LOCATION) + 1 :]


class Watcher(Subscriber):
    """The one subscriber who looks at which position comes when."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self._cut = b""
        self.due: dict[tuple[str, str], float] = {}
        """When a position was due, by driver and time of the fix."""
        self.latencies: list[float] = []
        self.newest: dict[str, str] = {}
        """Time of the newest position heard, by driver."""

    def heard(self, data: bytes) -> None:
        """Look at each position."""
        super().heard(data)
        data = self._cut + data
        now, end = asyncio.get_running_loop().time(), 0
        for position in _POSITION.finditer(data):
            end = position.end()
            driver, at = position[1].decode(), position[2].decode()
            self.newest[driver] = at
            due = self.due.pop((driver, at), None)
            if due is not None:
                self.latencies.append(now - due)
        self._cut = data[end:][-_LONGEST:]


async def connect_all(sockets: Sequence[Socket], loopback: bool) -> None:
    """Connect these, some at once; on the loopback from several addresses, as one has too few ports for all."""
    turn = asyncio.Semaphore(_CONCURRENT)

    async def connect(place: int, socket: Socket) -> None:
        async with turn:
            await socket.connect(f"127.0.0.{1 + place // 20_000}" if loopback else None)

    async with asyncio.TaskGroup() as group:
        for place, socket in enumerate(sockets):
            group.create_task(connect(place, socket))
