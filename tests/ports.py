"""A port for a server that is started again: one that stays free while it is down."""

import secrets
import socket
from contextlib import suppress

_ABOVE, _BELOW = 20_000, 32_768
"""Below those that systems give to connections, any of which could take it."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        port = _ABOVE + secrets.randbelow(_BELOW - _ABOVE)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
