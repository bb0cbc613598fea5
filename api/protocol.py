"""The WebSocket shell: bytes, limits and timers of one connection; what is said on it is `api.session`'s."""

import asyncio
import random
import secrets
import socket
import sys
from typing import Any, cast

import structlog
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Opcode
from websockets.protocol import State

from api.auth import find_token
from api.frames import Frame, FrameReader, Violation, close_code, close_frame, control
from api.handshake import origin_allowed, shake_hands
from api.limits import TokenBucket
from api.services import Services
from api.session import Session
from api.shell import Shell
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
ELSEWHERE = f"There is no WebSocket at this path; connect to {ENDPOINT}.\n"

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
PING = control(Opcode.PING)


class WebSocket(asyncio.Protocol):
    """One connection, from the upgrade request on."""

    __slots__ = (
        "_alive_at",
        "_auth_by",
        "_bucket",
        "_close_by",
        "_close_code",
        "_config",
        "_connection_id",
        "_forgotten",
        "_loop",
        "_malformed",
        "_messages",
        "_opened_at",
        "_outbox",
        "_owed_pong",
        "_partial",
        "_path",
        "_pinged_at",
        "_reader",
        "_reading",
        "_resumed",
        "_server_state",
        "_services",
        "_session",
        "_shell",
        "_state",
        "_transport",
    )

    def __init__(self, shell: "Shell[WebSocket]", server_state: ServerState) -> None:
        self._shell = shell
        self._services = shell.services
        self._config = shell.services.config
        self._server_state = server_state
        self._connection_id = f"conn-{secrets.token_hex(8)}"
        self._state = State.CONNECTING
        self._reader = FrameReader(self._config.max_message_bytes)
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
        self._owed_pong: bytes | None = None  # to the newest ping of a peer that does not read
        self._close_code = int(CloseCode.ABNORMAL_CLOSURE)
        self._messages = 0
        self._malformed = 0
        self._reading = True
        self._forgotten = False
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
        if self._state is State.CONNECTING:
            self._open(data)
        elif self._state is not State.CLOSED:
            received_at = self._services.clock()
            try:
                for frame_ in self._reader.receive(data):
                    self._read(frame_, received_at)
            except Violation as violation:
                self._end(violation.code, violation.reason)
                self._hang_up()

    def pause_writing(self) -> None:
        """The peer does not read as fast as we write."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        if self._owed_pong is not None:
            self._write(self._owed_pong)
            self._owed_pong = None
        self._outbox.resume()
        self._tell_resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._forget()
        self._shell.remove(self)
        self._server_state.connections.discard(self)
        if self._state is not State.CONNECTING:
            self._account()
        self._state = State.CLOSED

    def _account(self) -> None:
        """Count and log what the connection was."""
        meters, session, seconds = self._services.meters, self._session, self._loop.time() - self._opened_at
        meters.closes[str(self._close_code)] += 1
        meters.connection_seconds.add(seconds)
        log.info(
            "disconnected",
            connection_id=self._connection_id,
            user=session.viewer.user_id if session else None,
            code=self._close_code,
            seconds=round(seconds, 3),
            messages_in=self._messages,
            messages_out=self._outbox.delivered,
        )

    def shutdown(self) -> None:
        """Send the client away, some time within the drain; called by uvicorn when it stops."""
        if self._state is not State.OPEN:
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

    def _open(self, head: bytes) -> None:
        shaken = shake_hands(head, ROLES, ELSEWHERE)
        if shaken is None or not shaken.accepted:
            self._transport.write(shaken.reply if shaken else b"")
            self._transport.close()
            return
        self._state = State.OPEN
        self._path = shaken.path
        self._transport.write(shaken.reply)
        if not origin_allowed(shaken.request, self._config.allowed_origins):
            self.close(NOT_ALLOWED, "Pages of this origin may not connect; add it to allowed_origins.")
            return
        token = find_token(shaken.request.headers, shaken.query)
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
            oldest._replaced()
        self._session = Session(
            self._services,
            claims,
            self._outbox,
            self._connection_id,
            resumed=self._wait_until_resumed,
            tasks=self._server_state.tasks,
        )
        self._services.meters.came(viewer.user_id, viewer.role, self._loop.time())
        self._session.start()
        if self._services.instance is not None:
            self._services.instance.users.opened(viewer.user_id, self._connection_id, self._replaced)

    def _replaced(self) -> None:
        self.close(REPLACED, "This user has opened another connection in place of this one.")

    def close(self, code: int, reason: str) -> None:
        """Start to close, unless that has begun already."""
        if self._state is State.OPEN:
            self._end(code, reason)

    def _end(self, code: int, reason: str = "") -> None:
        """Say that the connection ends; the peer's answer is awaited for a while."""
        if self._state is State.OPEN:
            self._transport.write(close_frame(code, reason))
            self._state = State.CLOSING
            self._close_code = code
            self._close_by = self._loop.time() + CLOSE_TIMEOUT_S
            self._forget()
            if not self._reading:
                self._read_on()  # the peer's answer to the close

    def _hang_up(self) -> None:
        """Nothing more is written or read; the peer ends the connection, so that it can read what was written."""
        self._state = State.CLOSED
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _on_slow(self) -> None:
        self.close(TOO_SLOW, "This connection does not read what it subscribed to; connect again and resume.")

    def _forget(self) -> None:
        self._services.hub.drop(self._outbox)
        if self._session is not None and not self._forgotten:
            self._session.end()
            viewer = self._session.viewer
            self._shell.users.remove(viewer.user_id, self)
            if self._services.instance is not None:
                self._services.instance.users.closed(viewer.user_id, self._connection_id)
            self._services.meters.went(viewer.user_id, viewer.role, self._loop.time())
        self._forgotten = True
        self._tell_resumed()

    # Reading

    def _read(self, received: Frame, received_at: float) -> None:
        opcode, fin, data = received
        if self._state is not State.OPEN:
            if opcode == Opcode.CLOSE:
                self._hang_up()
            return
        now = self._loop.time()
        self._alive_at = now
        if not self._bucket.take(now):
            self.close(TOO_MANY_MESSAGES, "Too many messages; send batches, and fewer of them.")
        elif opcode == Opcode.PING:
            self._pong(data)
        elif opcode == Opcode.CLOSE:
            self._end(close_code(data))
            self._hang_up()
        elif opcode != Opcode.PONG:
            if self._partial:
                data = self._partial + data
            self._partial = b"" if fin else data
            if fin:
                self._take(data, received_at)

    def _pong(self, data: bytes) -> None:
        pong = control(Opcode.PONG, data)
        if self._outbox.paused:
            self._owed_pong = pong  # nothing piles up for who does not read
        else:
            self._write(pong)

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
        self._services.meters.heard(message)
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
        if self._state is State.OPEN:
            self._transport.write(data)

    def _send(self, message: ServerMessage) -> None:
        self._services.meters.answer(message)
        self._outbox.send(frame(encode(message)))

    def _refuse(self, error: TrackerError, ref: int | None) -> None:
        user = self._session.viewer.user_id if self._session else None
        log.info("refused", connection_id=self._connection_id, user=user, code=error.code)
        self._send(Error(code=error.code, message=error.message, ref=ref))

    async def _wait_until_resumed(self) -> None:
        self._resumed = self._loop.create_future()
        await self._resumed

    def _tell_resumed(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)


def websocket_class(services: Services) -> type[asyncio.Protocol]:
    """The class that uvicorn takes as `ws=`, for the connections of this server."""
    shell: Shell[WebSocket] = Shell(services)

    class BoundWebSocket(WebSocket):
        def __init__(self, config: Any, server_state: ServerState, app_state: Any) -> None:
            super().__init__(shell, server_state)

    return BoundWebSocket
