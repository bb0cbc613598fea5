"""What one authenticated connection may say and hear; its bytes and timers are `api.protocol`'s."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from api.auth import Claims
from api.services import Services
from storage.retry import pause
from tracker import channels
from tracker.areas import AREA
from tracker.codec import Report, encode, frame, iso
from tracker.errors import (
    LimitExceeded,
    NotAllowed,
    Overloaded,
    StoreUnavailable,
    TokenExpired,
    TrackerError,
    UnknownChannel,
)
from tracker.hub import Latest, Outbox
from tracker.messages import (
    Acknowledge,
    Authenticate,
    AuthExpiring,
    ClientHeartbeat,
    ClientMessage,
    Connection,
    DeliveryConfirmed,
    Error,
    Heartbeat,
    LocationAck,
    OrderUpdate,
    ServerMessage,
    Since,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from tracker.records import Message, Order
from tracker.spoken import frame_of
from tracker.texts import Language, language_of

log = structlog.get_logger()

EXPIRY_WARNING_S = 60.0
"""So long before its token ends a client is asked for a new one."""
MOST_MISSED = 1000
"""A client that missed more messages of a channel than this reads the HTTP snapshot instead."""
MOST_WAITING = 100
"""Requests of one connection that may wait for the store."""


class Session:
    """Reports and heartbeats are taken at once; whatever needs the store is done one after the other, in order."""

    def __init__(
        self,
        services: Services,
        claims: Claims,
        outbox: Outbox,
        connection_id: str,
        *,
        resumed: Callable[[], Awaitable[None]],
        tasks: set[asyncio.Task[None]],
    ) -> None:
        self.viewer = claims.viewer
        self._services = services
        self._mailbox = channels.topic(claims.viewer, f"user:{claims.viewer.user_id}", None)
        self._expires_at = claims.expires_at
        self._warned = False
        self._outbox = outbox
        outbox.language = self._language(claims)
        self._connection_id = connection_id
        self._resumed = resumed  # waits until the outbox has been resumed
        self._tasks = tasks  # where the server finds what it must wait for
        self._topics: dict[str, str] = {}  # joined, by channel
        self._waiting: deque[ClientMessage] = deque()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Greet the client and let it hear its personal messages."""
        self._greet()
        self._topics[self._mailbox] = self._mailbox
        self._services.mailroom.enter(self._mailbox, self._outbox)
        self._services.hub.hold(self._mailbox, self._outbox)
        self._go_on(self._open_mailbox())

    def end(self) -> None:
        """The connection is no more."""
        self._services.mailroom.leave(self._mailbox, self._outbox)

    def handle(self, message: Report | ClientMessage, received_at: float) -> None:
        """Do what a message asks for; whatever goes wrong is answered with an `error` and harms nothing else."""
        try:
            if isinstance(message, Report):
                self._report(message, received_at)
            else:
                self._do(message)
        except Exception as error:
            self._refuse(error, message)

    def check_expiry(self, now: float) -> None:
        """Ask for a new token in time. Raises TokenExpired when the token has ended."""
        if now >= self._expires_at:
            raise TokenExpired
        if now >= self._expires_at - EXPIRY_WARNING_S and not self._warned:
            self._warned = True
            self._send(AuthExpiring(expires_at=iso(self._expires_at)))

    # At once

    def _report(self, report: Report, received_at: float) -> None:
        driver_id = self.viewer.driver_id
        if self.viewer.role != "driver" or driver_id is None:
            raise NotAllowed("Only drivers report where they are; use a token with the role driver.")
        self._services.line.put(driver_id, report, received_at, self._answer)

    def _answer(self, answer: LocationAck | Error) -> None:
        """Acknowledge a report that has a `seq`; of one without, say only what was refused."""
        if isinstance(answer, LocationAck) and answer.seq is None:
            for refused in answer.rejected:
                self._send(Error(code=refused.code, message=refused.message))
        else:
            self._send(answer)

    def _do(self, message: ClientMessage) -> None:
        match message:
            case ClientHeartbeat():
                self._send(Heartbeat(timestamp=iso(self._services.clock())))
            case Acknowledge():
                if message.channel not in self._topics:
                    raise UnknownChannel(f"This connection is not subscribed to {message.channel}.")
                topic = self._topics[message.channel]
                self._services.mailroom.acknowledge(self._mailbox, self._outbox, topic, message.seq)
            case Authenticate():
                self._renew(message.token)
            case _:
                self._queue(message)

    def _renew(self, token: str) -> None:
        claims = self._services.authenticator.verify(token, self._services.clock())
        if claims.viewer != self.viewer:
            raise NotAllowed("The new token is for somebody else; open another connection for it.")
        self._expires_at = claims.expires_at
        self._warned = False
        self._outbox.language = self._language(claims)
        self._greet()

    def _language(self, claims: Claims) -> Language:
        return language_of(claims.lang, self._services.config.language)

    def _greet(self) -> None:
        now = iso(self._services.clock())
        self._send(Connection(status="connected", connection_id=self._connection_id, timestamp=now))

    # In turn

    def _queue(self, message: ClientMessage) -> None:
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded
        self._waiting.append(message)
        if self._task is None:
            self._task = self._go_on(self._take_turns())

    def _go_on(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that takes a while; the server waits for it before it stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _open_mailbox(self) -> None:
        """Send what waits for this user, then what comes."""
        newest, attempt = None, 0
        while newest is None and not self._outbox.closed:
            try:
                await self._services.hub.listening(self._mailbox)
                newest = await self._services.mailroom.open(self._mailbox, self._outbox)
            except StoreUnavailable:
                attempt += 1
                await asyncio.sleep(pause(attempt))
        if newest is not None and self._outbox.topics.get(self._mailbox) is False:  # neither gone nor joined otherwise
            self._services.hub.join(self._mailbox, self._outbox, newest)

    async def _take_turns(self) -> None:
        while self._waiting:
            message = self._waiting.popleft()
            try:
                await self._take(message)
            except Exception as error:
                self._refuse(error, message)
        self._task = None

    async def _take(self, message: ClientMessage) -> None:
        now = self._services.clock()
        match message:
            case Subscribe():
                await self._subscribe(message.channel, message.since)
            case Unsubscribe():
                self._unsubscribe(message.channel)
            case OrderUpdate(order_id=order_id, status=status, details=details):
                await self._services.office.update_order(self.viewer, order_id, status, details, now)
            case DeliveryConfirmed():
                await self._services.office.confirm_delivery(self.viewer, message, now)

    async def _subscribe(self, channel: str, since: Since | None) -> None:
        order = await self._order_of(channel)
        topic = channels.topic(self.viewer, channel, order)
        if self._outbox.closed:
            return
        self._check_limits(channel)
        self._leave(channel)
        hub = self._services.hub
        hub.hold(topic, self._outbox)  # what is published while the past is read comes after it
        try:
            await hub.listening(topic)
            missed, seq, recovered = await self._missed(topic, since)
        except BaseException:
            hub.leave(topic, self._outbox)
            raise
        if self._outbox.closed:
            return
        if missed:
            self._outbox.send_past([frame_of(seq, message, self._outbox.language) for seq, message in missed])
        if recovered is not None:
            self._services.meters.resumes["recovered" if recovered else "not_recovered"] += 1
        epoch = self._services.store.epoch
        self._send(Subscribed(channel=channel, epoch=epoch, seq=seq, recovered=recovered))
        self._join(channel, topic, after=seq)
        self._outbox.flush(Latest.of(await self._services.line.positions(topic)))
        if missed and self._outbox.paused:
            await self._resumed()  # one past at a time is enough to keep for a slow reader

    async def _order_of(self, channel: str) -> Order | None:
        order_id = channels.order_id_of(channel)
        if order_id is None:
            return None
        return self._services.engine.orders.get(order_id) or await self._services.store.get(Order, order_id)

    async def _missed(self, topic: str, since: Since | None) -> tuple[list[tuple[int, Message]], int, bool | None]:
        """Messages after `since`, all or none; the seq of the newest one there is; whether it is all."""
        store = self._services.store
        last = await store.last_seq(topic)
        if since is None:
            return [], last, None
        behind = last - since.seq
        if since.epoch != store.epoch or not 0 <= behind <= MOST_MISSED:
            return [], last, False
        missed = await store.messages(topic, after=since.seq, limit=behind) if behind else []
        whole = [seq for seq, _ in missed] == list(range(since.seq + 1, last + 1))
        return (missed, last, True) if whole else ([], last, False)

    def _check_limits(self, channel: str) -> None:
        """Raises LimitExceeded where one channel more is too many."""
        others = [joined for joined in self._topics if joined != channel]
        areas = [joined for joined in others if joined.startswith(AREA)]
        config = self._services.config
        if len(others) >= config.max_channels:
            raise LimitExceeded(f"A connection has at most {config.max_channels} channels; leave one first.")
        if channel.startswith(AREA) and len(areas) >= config.max_areas:
            raise LimitExceeded(f"A connection has at most {config.max_areas} areas; leave one first.")

    def _unsubscribe(self, channel: str) -> None:
        if channel not in self._topics:
            raise UnknownChannel(f"This connection is not subscribed to {channel}.")
        self._leave(channel)
        self._send(Unsubscribed(channel=channel))

    def _join(self, channel: str, topic: str, after: int) -> None:
        self._topics[channel] = topic
        self._services.hub.join(topic, self._outbox, after)

    def _leave(self, channel: str) -> None:
        topic = self._topics.pop(channel, None)
        if topic is not None:
            self._services.hub.leave(topic, self._outbox)

    # Out

    def _send(self, message: ServerMessage) -> None:
        self._services.meters.answer(message)
        self._outbox.send(frame(encode(message)))

    def _refuse(self, error: Exception, message: Report | ClientMessage) -> None:
        if not isinstance(error, TrackerError):
            log.exception("internal error", connection_id=self._connection_id, user=self.viewer.user_id, exc_info=error)
            self._services.meters.failures["session"] += 1
            error = TrackerError()
        else:
            log.info("refused", connection_id=self._connection_id, user=self.viewer.user_id, code=error.code)
        self._send(Error(code=error.code, message=error.message, ref=getattr(message, "seq", None)))
