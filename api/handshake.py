"""The opening handshake of a WebSocket: the request in, the answer out (RFC 6455 section 4).

What apps and browsers send is answered here, in a quarter of the library's time; the library answers all else.
"""

import logging
import re
from collections.abc import Container, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS, Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.utils import accept_key

SUBPROTOCOL = Subprotocol("tracker.v1")

_REQUEST = re.compile(r"GET (/[!-~]*) HTTP/1\.1")
_FIELD = re.compile(r"([A-Za-z-]+): ([!-~](?:[ -~]*[!-~])?)")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_OFFERED = re.compile(r"[\w.-]+(?:, ?[\w.-]+)*", re.ASCII)
_CONNECTION = frozenset({"upgrade", "keep-alive, upgrade"})
_OF_A_BODY = frozenset({"transfer-encoding", "content-length"})
_REPLY = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: %s\r\n%s\r\n"
)
_SELECTED = f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"

_log = logging.getLogger("tracker.websockets")
_log.setLevel(logging.WARNING)  # at DEBUG it shows requests, and so tokens


class Handshake(NamedTuple):
    """What was asked for, and the answer to write; if it is not `accepted` the connection ends after it."""

    request: Request
    reply: bytes
    accepted: bool

    @property
    def path(self) -> str:
        """Where the client wants to connect."""
        return self.request.path.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the path."""
        return self.request.path.partition("?")[2]


def shake_hands(head: bytes, paths: Container[str], elsewhere: str) -> Handshake | None:
    """The answer to a whole request; `elsewhere` is said at other paths. None when it is no request at all."""
    return _plain(head, paths) or _any(head, paths, elsewhere)


def _plain(head: bytes, paths: Container[str]) -> Handshake | None:
    """The answer to a request as they usually are, which the library would accept; None for any other."""
    path, fields = _read(head)
    offered = fields.get("sec-websocket-protocol", SUBPROTOCOL)
    if not (
        path.partition("?")[0] in paths
        and fields.get("upgrade", "").lower() == "websocket"
        and fields.get("connection", "").lower() in _CONNECTION
        and fields.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(fields.get("sec-websocket-key", ""))
        and _OFFERED.fullmatch(offered)
        and fields.keys().isdisjoint(_OF_A_BODY)
    ):
        return None
    selected = "sec-websocket-protocol" in fields and SUBPROTOCOL in offered.replace(" ", "").split(",")
    reply = _REPLY % (accept_key(fields["sec-websocket-key"]), _SELECTED if selected else "")
    return Handshake(Request(path, Headers(fields)), reply.encode(), True)


def _read(head: bytes) -> tuple[str, dict[str, str]]:
    """Path and headers, by name in lower case; nothing where a header comes twice or is not plain."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    request = _REQUEST.fullmatch(first)
    fields = [field.groups() for field in map(_FIELD.fullmatch, lines) if field]
    by_name = {name.lower(): value for name, value in fields}
    plain = head.endswith(b"\r\n\r\n") and len(head) <= MAX_LINE_LENGTH and len(lines) <= MAX_NUM_HEADERS
    return (request[1], by_name) if plain and request and len(by_name) == len(lines) else ("", {})


def _any(head: bytes, paths: Container[str], elsewhere: str) -> Handshake | None:
    protocol = ServerProtocol(select_subprotocol=_select_subprotocol, logger=_log)
    protocol.receive_data(head)
    for request in protocol.events_received():
        assert isinstance(request, Request)
        accepted = request.path.partition("?")[0] in paths
        protocol.send_response(protocol.accept(request) if accepted else protocol.reject(404, elsewhere))
        return Handshake(request, b"".join(protocol.data_to_send()), protocol.state is State.OPEN)
    return None


def origin_allowed(request: Request, allowed: Sequence[str]) -> bool:
    """Whether the page that connects, if it is one, is of this very host or of an allowed origin."""
    origins = request.headers.get_all("Origin")
    hosts = request.headers.get_all("Host")
    return all(origin in allowed or urlsplit(origin).netloc in hosts for origin in origins)


def _select_subprotocol(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return SUBPROTOCOL if SUBPROTOCOL in offered else None
