"""The one line from sockets to store to sockets: intake, engine, writer, then acknowledgements and publications."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import structlog

from api.services import Services
from geo.motion import ACCURACY_PER_SIGMA
from storage.store import Commit, Committed
from tracker import liveness
from tracker.announce import delivery_messages, status_message, status_messages, transition_messages
from tracker.areas import AREA, Areas, area_of
from tracker.channels import channel
from tracker.codec import Report, encode, frame, iso
from tracker.drivers import Latest
from tracker.engine import Engine
from tracker.errors import Flag, StoreInUse, TrackerError
from tracker.intake import Frame, Intake, Part
from tracker.judgements import judgements
from tracker.mail import Personal
from tracker.messages import DriverLocation, Error, LocationAck
from tracker.records import Delivery, Event, Floats, Ints, Message, Transition, Updates
from tracker.spoken import frames_of

log = structlog.get_logger()


class Line:
    """Takes reports from sessions, and commits from everyone else, in one order; what they cause goes out after it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._config = services.config
        self._intake = Intake()
        self._idle = asyncio.Event()
        self._idle.set()
        self._moved: dict[int, float] = {}  # rows of drivers, with the receipt of what moved them
        self._areas = Areas()
        self._waiting: list[Callable[[], None]] = []
        self.counts: Counter[str] = Counter()
        """Fixes by what became of them."""

    # In

    def put(
        self, driver_id: str, report: Report, received_at: float, reply: Callable[[LocationAck | Error], None]
    ) -> None:
        """Take a driver's report; `reply` is called once, when its fixes are durable or cannot become so."""
        for refused in report.rejected:
            self.counts[refused.code] += 1
        self._intake.put(Frame(self._services.engine.driver_row(driver_id), report, received_at, reply))
        if self._intake.fixes and self._idle.is_set():
            self._idle.clear()
            asyncio.get_running_loop().call_later(self._config.tick_ms / 1000, self._tick)

    @property
    def waiting_fixes(self) -> int:
        """Fixes that wait for the engine."""
        return self._intake.fixes

    @property
    def full(self) -> bool:
        """Whether sessions should stop reading for now."""
        return self._services.writer.full or self._intake.fixes > self._config.max_pending_fixes

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call back once when the line is no longer full."""
        self._waiting.append(callback)

    def commit_soon(self, commit: Commit) -> "asyncio.Future[Committed]":
        """As `commit`, for whom nobody has to wait."""
        return self._store(commit)

    async def commit(self, commit: Commit) -> Committed:
        """Store what is not fixes, in its turn; its messages are published after the commit."""
        return await self._store(commit)

    async def drained(self) -> None:
        """Wait until everything taken has gone to the writer."""
        await self._idle.wait()

    # Through

    def _tick(self) -> None:
        batch, parts = self._intake.take()
        try:
            updates = self._services.engine.ingest(batch)
            commit = self._commit_of(updates)
        except Exception:
            log.exception("engine failed", fixes=len(batch))
            self._services.meters.failures["engine"] += 1
            self._fail(parts, TrackerError())
        else:
            moved = updates.flag == Flag.ACCEPTED
            self._moved.update(zip(batch.driver[moved].tolist(), batch.received_at[moved].tolist(), strict=True))
            self._store(commit).add_done_callback(partial(self._settle, parts, updates, self._failed))
        if self._intake.fixes:
            asyncio.get_running_loop().call_soon(self._tick)
        else:
            self._idle.set()

    def time_passes(self) -> None:
        """Have the engine see what time it is; what comes of it is stored and told as always."""
        now = self._services.clock()
        events = self._services.engine.tick(now)
        messages = self._messages_of(events)
        for driver in self._services.engine.changed_liveness(now):
            messages += status_messages(driver, self._topics_of(driver.driver_id), now)
        if events or messages:
            self._store(Commit(events=events, messages=messages))

    def _commit_of(self, updates: Updates) -> Commit:
        return Commit(
            track=updates.track,
            aside=updates.aside,
            events=updates.events,
            save=updates.orders,
            messages=self._messages_of(updates.events),
            judgements=judgements(updates.revised, self._services.engine.driver_ids),
        )

    def _messages_of(self, events: Sequence[Event]) -> list[Message]:
        return [message for event in events for message in self._messages_of_one(event)]

    def _messages_of_one(self, event: Event) -> list[Message]:
        if isinstance(event, Transition):
            return transition_messages(event)
        assert isinstance(event, Delivery)
        order = self._services.engine.orders[event.order_id]
        return delivery_messages(event, order, self._config.language)

    def _store(self, commit: Commit) -> "asyncio.Future[Committed]":
        future = self._services.writer.put(commit)
        future.add_done_callback(partial(self._publish, commit))
        return future

    # Out

    def _publish(self, commit: Commit, future: "asyncio.Future[Committed]") -> None:
        if self._waiting and not self.full:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, StoreInUse):  # it took the store while this one could not reach it
            self._services.fail(error)
        if error:
            return
        committed = future.result()
        self._services.scoreboard.add(committed.scores)
        self._services.mailroom.counts["crowded_out"] += committed.crowded_out
        told: dict[str, dict[str, int]] = {}
        for message, seq in zip(commit.messages, committed.seqs, strict=True):
            told.setdefault(message.event_id, {})[message.topic] = seq
        for message, seq in zip(commit.messages, committed.seqs, strict=True):
            others = {topic: n for topic, n in told[message.event_id].items() if topic != message.topic}
            self.tell(message, seq, others)
            self._services.hub.pass_on(message, seq, others)

    def tell(self, message: Message, seq: int, others: dict[str, int]) -> None:
        """Publish a stored message; a personal one not to those who hear of the same event in one of `others`."""
        if isinstance(message, Personal):
            self._services.mailroom.published(message, seq, others)
        hub = self._services.hub
        if hub.wants(message.topic):
            unless = others.keys() if isinstance(message, Personal) else frozenset()
            hub.publish(message.topic, frames_of(seq, message), seq, unless=unless)

    def _settle(self, parts: list[Part], updates: Updates, failed: int, future: "asyncio.Future[Committed]") -> None:
        """Answer, now that it is known what became of a batch; so many had `failed` when the engine took it."""
        if future.cancelled():
            return
        error = future.exception()
        if error:
            log.error("commit failed", error=repr(error))
            self._services.meters.failures["commit"] += 1
            self._fail(parts, error if isinstance(error, TrackerError) else TrackerError())
            return
        flag, committed = updates.flag, future.result()
        self._services.historian.note(committed.late)
        if failed != self._failed and (flag == Flag.DUPLICATE).any():  # of what failed since, and is not stored
            self._fail(parts, TrackerError())
            return
        flag[updates.aside_index[committed.duplicate]] = Flag.DUPLICATE
        for value, count in zip(*np.unique(flag, return_counts=True), strict=True):
            self.counts[Flag(int(value)).code] += int(count)
        for part in parts:
            part.settle(flag)
        self._time(parts, updates)

    @property
    def _failed(self) -> int:
        """Batches of which nothing was stored."""
        failures = self._services.meters.failures
        return failures["engine"] + failures["commit"]

    def _fail(self, parts: list[Part], error: TrackerError) -> None:
        self._services.engine.doubt({part.frame.driver for part in parts})
        for part in parts:
            if part.frame.taken == part.first + part.count:  # its last part so far
                part.frame.reply(Error(code=error.code, message=error.message, ref=part.frame.report.seq))

    def _time(self, parts: list[Part], updates: Updates) -> None:
        """How long it took from the receipt to here, where all is told."""
        meters, now = self._services.meters, self._services.clock()
        meters.ack_seconds.add_all(now - np.array([part.frame.received_at for part in parts if part.is_last]))
        if updates.events:
            meters.event_seconds.add(now - min(part.frame.received_at for part in parts))

    def publish_locations(self) -> Floats:
        """Put the newest position of every driver that moved since the last time into the hub.

        Returns when those that are heard by somebody were received (n,).
        """
        moved, self._moved = self._moved, {}
        received_at = []
        engine, hub = self._services.engine, self._services.hub
        now = self._services.clock()
        ids = engine.driver_ids
        drivers = engine.latest(ids[row] for row in moved)
        watched = self._watched_by(drivers)
        for place, latest in enumerate(drivers):
            topics = [topic for topic in self._topics_of(latest.driver_id) if hub.wants_latest(topic)]
            topics += watched.get(place, ())
            if topics:
                received_at.append(moved[engine.driver_row(latest.driver_id)])
                located = location_frame(latest, now)
                for topic in topics:
                    hub.put_latest(topic, latest.driver_id, located, latest.fix_time)
        return np.array(received_at)

    def _watch(self, topic: str) -> list[Latest]:
        """Let an area hear of drivers from now on; those who are in it now."""
        drivers = self._services.engine.latest()
        area = area_of(topic.removeprefix(AREA))
        return [drivers[place] for place in self._areas.add(topic, area, *self._places(drivers))]

    def _watched_by(self, drivers: list[Latest]) -> dict[int, list[str]]:
        """The areas that each of these drivers, by index, is in or has just left."""
        watched: dict[int, list[str]] = {}
        if not len(self._areas):
            return watched
        self._areas.keep(filter(self._services.hub.wants_latest, self._areas))
        for topic, places in self._areas.moved(*self._places(drivers)).items():
            for place in places:
                watched.setdefault(place, []).append(topic)
        return watched

    def _places(self, drivers: list[Latest]) -> tuple[Ints, Floats, Floats]:
        """Rows, longitudes and latitudes."""
        rows = np.array([self._services.engine.driver_row(latest.driver_id) for latest in drivers], np.int64)
        longitude, latitude = np.array([(latest.longitude, latest.latitude) for latest in drivers]).reshape(-1, 2).T
        return rows, longitude, latitude

    def _topics_of(self, driver_id: str) -> list[str]:
        engine = self._services.engine
        topics = ["drivers", f"driver:{driver_id}"]
        for order_id in engine.orders_of(driver_id):
            topics += [f"order:{order_id}", f"order:{order_id}@driver:{driver_id}"]
            if engine.visible(order_id):
                topics.append(f"order:{order_id}@customer:{engine.orders[order_id].customer_id}")
        return topics

    async def positions(self, topic: str) -> dict[str, bytes]:
        """Whole frames with the status and the last known position of each driver that a topic shows."""
        now, settings = self._services.clock(), self._config.engine
        drivers = self._watch(topic) if topic.startswith(AREA) else located(self._services.engine, topic)
        return {
            latest.driver_id: frame(encode(status_message(liveness.of(latest, now, settings))))
            + location_frame(latest, now)
            for latest in drivers
        }


def located(engine: Engine, topic: str) -> list[Latest]:
    """The drivers that a topic shows, where they are now."""
    name = channel(topic)
    kind, _, key = name.partition(":")
    if name == "drivers":
        return engine.latest()
    if kind == "driver":
        return engine.latest([key])
    order = engine.orders.get(key) if kind == "order" else None
    if order is None or order.driver_id is None or ("@customer:" in topic and not engine.visible(key)):
        return []
    return engine.latest([order.driver_id])


def location_frame(latest: Latest, now: float) -> bytes:
    """A whole `driver.location` frame."""
    message = DriverLocation(
        driver_id=latest.driver_id,
        latitude=round(latest.latitude, 7),
        longitude=round(latest.longitude, 7),
        speed=_known(latest.speed, 2),
        heading=_known(latest.course, 1),
        accuracy=_known(latest.sigma * ACCURACY_PER_SIGMA, 1),
        timestamp=iso(latest.fix_time),
        age=round(max(now - latest.fix_time, 0.0), 1),
        mock=latest.mock,
    )
    return frame(encode(message))


def _known(value: float, digits: int) -> float | None:
    return None if value != value else round(value, digits)
