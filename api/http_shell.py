"""The HTTP side's own limits: a request that does not come in time, or whose head is too long, ends its connection."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_S = 20.0
"""So long a request may take to come in, its body included; so long a new connection may stay silent."""
LONGEST_HEAD = 16_384
"""Bytes of a request's line and headers; a token has at most half of that."""


class HttpShell(HttpToolsProtocol):
    """uvicorn's protocol, which by itself waits for ever and keeps whatever comes."""

    def connection_made(self, transport: Any) -> None:
        """Give the first request its time."""
        super().connection_made(transport)
        self._due: asyncio.TimerHandle | None = None
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        super().data_received(data)
        self._head += len(data)
        if self._in_head and self._head > LONGEST_HEAD:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """Give this request its time."""
        self._expect()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """What comes now is the body."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request has come in."""
        self._arrived()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection is a WebSocket's from now on."""
        self._arrived()
        super().handle_websocket_upgrade()

    def _expect(self) -> None:
        self._arrived()
        self._in_head, self._head = True, 0
        self._due = self.loop.call_later(REQUEST_S, self._refuse, b"408 Request Timeout")

    def _arrived(self) -> None:
        self._in_head = False
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status)
            self.transport.close()
