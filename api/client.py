"""A client's connection that stays: it reconnects, resumes what it subscribed to, and renews its token."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from tracker.errors import Conflict, InvalidInput, NotAllowed, NotAuthenticated, NotFound, TrackerError
from tracker.messages import Acknowledge, Authenticate, ClientMessage, Since, Subscribe, Unsubscribe

Token = str | Callable[[], Awaitable[str]]
"""A token, or what gives a fresh one whenever one is needed."""

BACKOFF_S = 1.0
"""The first wait before connecting again is up to this; it doubles with each attempt, up to BACKOFF_CAP_S."""
BACKOFF_CAP_S = 30.0
ACK_S = 0.1
"""Messages that come within it are acknowledged at once."""
REMEMBERED = 1000
"""So many event_ids are known, to drop what is sent twice."""

_NOT_AUTHENTICATED = 4401
_FINAL: dict[int, tuple[type[TrackerError], str]] = {
    _NOT_AUTHENTICATED: (NotAuthenticated, "the server does not accept the token"),
    4403: (NotAllowed, "the server does not let this token in here"),
    4409: (Conflict, "another connection of this user took the place of this one"),
}
"""Close codes after which a client does not try again by itself."""


class Client:
    """`async with` keeps it connected. What was missed comes after a reconnect, and nothing twice."""

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        on_message: Callable[[dict[str, Any]], object] = lambda message: None,
        notify: Callable[[str], object] = lambda sentence: None,
        proxy: Literal[True] | None = True,
    ) -> None:
        """`notify` is told in a sentence when the connection is lost; `proxy` None ignores the environment's."""
        self.reconnects = 0
        self._url = url
        self._token = token
        self._on_message = on_message
        self._notify = notify
        self._proxy = proxy
        self._channels: dict[str, Since | None] = {}  # with the newest message, None before the first
        self._told: dict[str, None] = {}
        self._joined: set[str] = set()  # on this connection
        self._unacknowledged: dict[str, int] = {}  # seq of the newest message, by channel
        self._acknowledging: asyncio.Task[None] | None = None
        self._attempt = 0
        self._fresh = False  # the token was fetched again because the one before was refused
        self._socket: ClientConnection | None = None
        self._ending = False
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._stay_connected())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending = True
        if self._socket is not None:
            await self._socket.close()
        if self._acknowledging is not None:
            self._acknowledging.cancel()
        self._task.cancel()
        with suppress(asyncio.CancelledError, TrackerError):  # `sleep` raises what ended it
            await self._task

    async def sleep(self, seconds: float) -> None:
        """Let time pass. Raises TrackerError as soon as the server refuses this client for good."""
        await asyncio.wait([self._task], timeout=seconds)
        if self._task.done():
            self._task.result()

    async def subscribe(self, channel: str) -> None:
        """Hear a channel from now on, across reconnects: what was missed comes first, or `recovered` is false."""
        if channel not in self._channels:
            self._channels[channel] = None
            await self.send(Subscribe(channel))

    async def unsubscribe(self, channel: str) -> None:
        """Hear a channel no more."""
        if channel in self._channels:
            del self._channels[channel]
            await self.send(Unsubscribe(channel))

    async def send(self, message: ClientMessage) -> bool:
        """Send a message now; False, and nothing is sent, without a connection."""
        if self._socket is None:
            return False
        try:
            await self._socket.send(msgspec.json.encode(message), text=True)
        except ConnectionClosed:
            return False
        return True

    # The connection

    async def _stay_connected(self) -> None:
        while True:
            wait = None
            try:
                wait = await self._connect_once()
                reason = "the server closed the connection"
            except (ConnectionClosed, InvalidHandshake, InvalidURI, OSError, TimeoutError) as error:
                reason = _reason(error) if not self._may_renew(error) else "the token was refused"
            if self._ending:
                return
            self.reconnects += 1
            wait = self._backoff() if wait is None else wait
            self._notify(f"{reason}; connecting again in {wait:.1f} s")
            await asyncio.sleep(wait)

    async def _connect_once(self) -> float | None:
        """Talk until the connection ends; seconds to wait before the next, if the server says so."""
        token = self._token if isinstance(self._token, str) else await self._token()
        headers = {"Authorization": f"Bearer {token}"}
        async with connect(self._url, additional_headers=headers, compression=None, proxy=self._proxy) as socket:
            self._socket = socket
            try:
                for channel, since in self._channels.items():
                    await self.send(Subscribe(channel, since))
                return await self._exchange(socket)
            finally:
                self._socket = None
                self._joined.clear()

    async def _exchange(self, socket: ClientConnection) -> float | None:
        async for text in socket:
            message: dict[str, Any] = msgspec.json.decode(text)
            if message.get("type") == "reconnect":
                return float(message["after_ms"]) / 1000.0
            await self._take(message)
        return None

    def _may_renew(self, error: Exception) -> bool:
        """A token may end between being fetched and being used: another is fetched, once."""
        refused = isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code == _NOT_AUTHENTICATED
        renew = bool(refused) and not isinstance(self._token, str) and not self._fresh
        self._fresh = self._fresh or renew
        return renew

    def _backoff(self) -> float:
        """Seconds to wait: full jitter under an exponential bound."""
        bound = min(BACKOFF_S * 2.0**self._attempt, BACKOFF_CAP_S)
        self._attempt += 1
        return random.uniform(0.0, bound)  # noqa: S311

    # What comes in

    async def _take(self, message: dict[str, Any]) -> None:
        if not await self._is_news(message):
            return
        match message.get("type"):
            case "connection" if message.get("status") == "connected":
                self._attempt, self._fresh = 0, False
            case "subscribed":
                self._joined.add(message["channel"])
                self._acknowledge_soon()
                self._channels[message["channel"]] = Since(message["epoch"], message["seq"])
            case "unsubscribed":
                self._joined.discard(message["channel"])
                self._unacknowledged.pop(message["channel"], None)
            case "auth.expiring" if not isinstance(self._token, str):
                await self.send(Authenticate(await self._token()))
        self._on_message(message)

    def _acknowledge_soon(self) -> None:
        if self._acknowledging is None:
            self._acknowledging = asyncio.get_running_loop().create_task(self._acknowledge())

    async def _acknowledge(self) -> None:
        """Also of channels that are not personal: what is told there may wait for this user as well."""
        await asyncio.sleep(ACK_S)
        self._acknowledging = None
        for channel, seq in list(self._unacknowledged.items()):
            if channel.startswith("user:") or channel in self._joined:  # what was missed comes before `subscribed`
                del self._unacknowledged[channel]
                await self.send(Acknowledge(channel, seq))

    async def _is_news(self, message: dict[str, Any]) -> bool:
        """Remember how far a channel is; False for what was told before."""
        event_id, channel = message.get("event_id"), message.get("channel")
        if event_id is None or channel is None:
            return True
        since = self._channels.get(channel)
        if since is not None:
            since.seq = max(since.seq, message["seq"])
        self._unacknowledged[channel] = max(message["seq"], self._unacknowledged.get(channel, 0))
        self._acknowledge_soon()
        if event_id in self._told:
            return False
        self._told[event_id] = None
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        return True


def _reason(error: Exception) -> str:
    """Why the connection ended, in words. Raises TrackerError when it is of no use to try again."""
    if isinstance(error, InvalidURI):
        raise InvalidInput(f"{error.uri}: not the address of a WebSocket; it begins with ws:// or wss://") from None
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if 400 <= status < 500 and status not in (408, 429):
            raise NotFound(f"the server answers {status} {error.response.reason_phrase}; check the address") from None
        return f"the server answers {status} {error.response.reason_phrase}"
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        if error.rcvd.code in _FINAL:
            kind, sentence = _FINAL[error.rcvd.code]
            raise kind(f"{sentence} ({error.rcvd.code} {error.rcvd.reason})") from None
        return f"the server closed the connection ({error.rcvd.code} {error.rcvd.reason})"
    return f"no connection: {error}"
