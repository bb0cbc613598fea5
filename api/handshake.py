"""The opening handshake of a WebSocket: the request in, the answer out; RFC 6455 section 4 is the library's."""

import logging
from collections.abc import Container, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

SUBPROTOCOL = Subprotocol("tracker.v1")

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
