"""The WebSocket shell: bytes, limits and timers of one connection; what is said on it is `api.session`'s."""

import asyncio
import logging
import random
import secrets
import socket
import sys
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import structlog
from prometheus_client import Gauge
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from api.auth import find_token
from api.limits import TokenBucket, UserConnections
from api.services import Services
from api.session import Session
from tracker.codec import Report, decode, encode, frame, iso
from tracker.errors import InvalidMessage, NotAuthenticated, TrackerError
from tracker.hub import Outbox
from tracker.messages import Authenticate, Connection, Error, Reconnect, ServerMessage

log = structlog.get_logger()

ENDPOINT = "/api/v1/websocket/ws"
ROLES = {
    ENDPOINT: frozenset({"driver", "customer", "office", "admin", "service"}),
    f"{ENDPOINT}/driver": frozenset({"driver"}),
    f"{ENDPOINT}/office": frozenset({"office", "admin"}),
}
"""Who may connect where."""
SUBPROTOCOL = Subprotocol("tracker.v1")

# Close codes
TOO_MANY_MALFORMED = 4400
NOT_AUTHENTICATED = 4401
NOT_ALLOWED = 4403
IDLE = 4408
REPLACED = 4409
TOO_SLOW = 4413
TOO_MANY_MESSAGES = 4429

CLOSE_TIMEOUT_S = 10.0
"""So long a peer has to answer a close and to read what was written before it."""
WRITE_BUFFER = 16384  # bytes; beyond them a connection is paused
TCP_NOTSENT_LOWAT = 25  # Linux: keeps what is not sent yet where it can still be replaced by something newer
RECONNECTS_PER_S = 500  # clients sent away on shutdown; each has to be authenticated where it comes back
PING = b"\x89\x00"

_library_log = logging.getLogger("tracker.websockets")
_library_log.setLevel(logging.WARNING)  # at DEBUG it shows requests, and so tokens


class Shell:
    """All WebSockets of a server, and the one timer that looks after them."""

    def __init__(self, services: Services) -> None:
        config = services.config
        self.services = services
        self.users: UserConnections[WebSocket] = UserConnections(config.max_connections_per_user)
        self._sockets: set[WebSocket] = set()
        self._sweep_s = min(1.0, config.ping_interval_s / 4, config.idle_timeout_s / 4, config.auth_timeout_s / 4)
        self._sweeping = False

    def __len__(self) -> int:
        return len(self._sockets)

    def add(self, connection: "WebSocket") -> None:
        """Look after a connection from now on."""
        self._sockets.add(connection)
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)

    def remove(self, connection: "WebSocket") -> None:
        """Look after it no more."""
        self._sockets.discard(connection)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = bool(self._sockets)
        if self._sweeping:
            loop.call_later(self._sweep_s, self._sweep)
        now = loop.time()
        for connection in list(self._sockets):
            connection.check(now)


class WebSocket(asyncio.Protocol):
    """One connection, from the upgrade request on."""

    def __init__(self, shell: Shell, server_state: ServerState) -> None:
        self._shell = shell
        self._services = shell.services
        self._config = shell.services.config
        self._server_state = server_state
        self._connection_id = f"conn-{secrets.token_hex(8)}"
        self._protocol = ServerProtocol(
            select_subprotocol=_select_subprotocol, max_size=self._config.max_message_bytes, logger=_library_log
        )
        self._outbox = Outbox(
            self._write,
            self._on_slow,
            self._services.hub.counts,
            max_messages=self._config.outbox_messages,
            max_bytes=self._config.outbox_bytes,
        )
        self._session: Session | None = None
        self._path = ""
        self._partial = b""  # of a fragmented message
        self._messages = 0
        self._malformed = 0
        self._reading = True
        self._resumed: asyncio.Future[None] | None = None
        # Times of the event loop
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._alive_at = self._pinged_at = self._loop.time()
        self._auth_by: float | None = None
        self._close_by: float | None = None
        self._bucket = TokenBucket(self._config.rate_limit_per_s, self._config.rate_limit_burst, self._opened_at)

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection on which an upgrade was asked for."""
        self._transport = transport = cast(asyncio.Transport, transport)  # one of uvloop's is no subclass
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        if sys.platform == "linux":
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, WRITE_BUFFER)
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        self._shell.add(self)

    def data_received(self, data: bytes) -> None:
        """Read what came: all of it came at one time."""
        received_at = self._services.clock()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._open(event)
            elif isinstance(event, Frame) and self._close_by is None:
                self._read(event, received_at)
        self._write_out()

    def pause_writing(self) -> None:
        """The peer does not read as fast as we write."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._outbox.resume()
        self._tell_resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._forget()
        self._shell.remove(self)
        self._server_state.connections.discard(self)
        if self._protocol.state is not State.CONNECTING:
            closed = self._protocol.close_sent
            log.info(
                "disconnected",
                connection_id=self._connection_id,
                code=int(closed.code if closed else CloseCode.ABNORMAL_CLOSURE),
                seconds=round(self._loop.time() - self._opened_at, 3),
                messages_in=self._messages,
                messages_out=self._outbox.delivered,
            )

    def shutdown(self) -> None:
        """Send the client away, some time within the drain; called by uvicorn when it stops."""
        if self._protocol.state is not State.OPEN:
            self._transport.close()
            return
        drain_s = min(self._config.drain_s, 0.5 + 2 * len(self._shell) / RECONNECTS_PER_S)
        after_s = random.uniform(0.5, 1.0) * drain_s  # noqa: S311  not a secret
        self._send(Reconnect(after_ms=round(after_s * 1000)))
        self._loop.call_later(after_s, self.close, CloseCode.SERVICE_RESTART, "The server restarts; connect again.")

    # Called by the timer

    def check(self, now: float) -> None:
        """See to whatever is due."""
        if self._close_by is not None:
            if now >= self._close_by:
                self._transport.abort()
            return
        if not self._reading:
            self._alive_at = now  # who is not read cannot show that they live
        if now - self._alive_at >= self._config.idle_timeout_s:
            self.close(IDLE, "Nothing came for too long, not even a pong; connect again.")
        elif self._auth_by is not None and now >= self._auth_by:
            self.close(NOT_AUTHENTICATED, NotAuthenticated().message)
        else:
            self._check_expiry()
            if now - self._pinged_at >= self._config.ping_interval_s:
                self._pinged_at = now
                self._write(PING)

    def _check_expiry(self) -> None:
        if self._session is not None:
            try:
                self._session.check_expiry(self._services.clock())
            except NotAuthenticated as error:
                self.close(NOT_AUTHENTICATED, error.message)

    # Opening and closing

    def _open(self, request: Request) -> None:
        self._path, _, query = request.path.partition("?")
        if self._path in ROLES:
            response = self._protocol.accept(request)
        else:
            response = self._protocol.reject(404, f"There is no WebSocket at this path; connect to {ENDPOINT}.\n")
        self._protocol.send_response(response)
        self._write_out()
        if self._protocol.state is not State.OPEN:
            return
        if not _origin_allowed(request, self._config.allowed_origins):
            self.close(NOT_ALLOWED, "Pages of this origin may not connect; add it to allowed_origins.")
            return
        token = find_token(request.headers, query)
        if token is not None:
            self._authenticate(token)
        else:
            self._auth_by = self._opened_at + self._config.auth_timeout_s
            now = iso(self._services.clock())
            self._send(Connection(status="authentication_required", connection_id=self._connection_id, timestamp=now))

    def _authenticate(self, token: str) -> None:
        try:
            claims = self._services.authenticator.verify(token, self._services.clock())
        except NotAuthenticated as error:
            self.close(NOT_AUTHENTICATED, error.message)
            return
        viewer = claims.viewer
        if viewer.role not in ROLES[self._path]:
            self.close(NOT_ALLOWED, f"This endpoint is not for the role {viewer.role}; connect to {ENDPOINT}.")
            return
        self._auth_by = None
        log.info("connected", connection_id=self._connection_id, user=viewer.user_id, role=viewer.role, path=self._path)
        oldest = self._shell.users.add(viewer.user_id, self)
        if oldest is not None:
            oldest.close(REPLACED, "This user has opened another connection in place of this one.")
        self._session = Session(
            self._services,
            claims,
            self._outbox,
            self._connection_id,
            resumed=self._wait_until_resumed,
            tasks=self._server_state.tasks,
        )
        self._session.start()

    def close(self, code: int, reason: str) -> None:
        """Start to close, unless that has begun already."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason.encode()[:123].decode(errors="ignore"))
            self._write_out()

    def _on_slow(self) -> None:
        self.close(TOO_SLOW, "This connection does not read what it subscribed to; connect again and resume.")

    def _forget(self) -> None:
        self._services.hub.drop(self._outbox)
        if self._session is not None:
            self._shell.users.remove(self._session.viewer.user_id, self)
        self._tell_resumed()

    # Reading

    def _read(self, event: Frame, received_at: float) -> None:
        now = self._loop.time()
        self._alive_at = now
        if not self._bucket.take(now):
            self.close(TOO_MANY_MESSAGES, "Too many messages; send batches, and fewer of them.")
        elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            data = self._partial + event.data if self._partial else bytes(event.data)
            self._partial = b"" if event.fin else data
            if event.fin:
                self._take(data, received_at)

    def _take(self, data: bytes, received_at: float) -> None:
        self._messages += 1
        try:
            message = decode(data, received_at)
        except InvalidMessage as error:
            self._refuse(error, error.ref)
            self._malformed += 1
            if self._malformed >= self._config.max_malformed:
                self.close(TOO_MANY_MALFORMED, "Too many messages that cannot be understood.")
            return
        if self._session is not None:
            self._session.handle(message, received_at)
            if isinstance(message, Report):
                self._slow_down()
        elif isinstance(message, Authenticate):
            self._authenticate(message.token)
        else:
            self._refuse(NotAuthenticated('Send {"type":"auth","token":…} first.'), getattr(message, "seq", None))

    def _slow_down(self) -> None:
        """Let a driver wait while fixes come in faster than they can be stored."""
        if self._services.line.full and self._reading and self._close_by is None:
            self._reading = False
            self._transport.pause_reading()
            self._services.line.when_room(self._read_on)

    def _read_on(self) -> None:
        self._reading = True
        self._transport.resume_reading()

    # Writing

    def _write(self, data: bytes) -> None:
        if self._protocol.state is State.OPEN:
            self._transport.write(data)

    def _write_out(self) -> None:
        """Write what the library has to say: handshakes, pongs, closes."""
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
        if self._close_by is None and self._protocol.close_expected():
            self._close_by = self._loop.time() + CLOSE_TIMEOUT_S
            self._forget()
            if not self._reading:
                self._read_on()  # the peer's answer to the close

    def _send(self, message: ServerMessage) -> None:
        self._outbox.send(frame(encode(message)))

    def _refuse(self, error: TrackerError, ref: int | None) -> None:
        self._send(Error(code=error.code, message=error.message, ref=ref))

    async def _wait_until_resumed(self) -> None:
        self._resumed = self._loop.create_future()
        await self._resumed

    def _tell_resumed(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)


def websocket_class(services: Services) -> type[asyncio.Protocol]:
    """The class that uvicorn takes as `ws=`, for the connections of this server."""
    shell = Shell(services)
    connections = Gauge("tracker_connections", "Open WebSockets.", registry=services.registry)
    connections.set_function(lambda: len(shell))

    class BoundWebSocket(WebSocket):
        def __init__(self, config: Any, server_state: ServerState, app_state: Any) -> None:
            super().__init__(shell, server_state)

    return BoundWebSocket


def _select_subprotocol(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def _origin_allowed(request: Request, allowed: Sequence[str]) -> bool:
    """Whether the page that connects, if it is one, is of this very host or of an allowed origin."""
    origins = request.headers.get_all("Origin")
    hosts = request.headers.get_all("Host")
    return all(origin in allowed or urlsplit(origin).netloc in hosts for origin in origins)
