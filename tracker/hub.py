"""Fan-out: who hears what. Frames in, one write a connection out."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from tracker.records import Message

_TYPE = re.compile(rb'.{2,10}?\{"type":"([a-z_.]{1,40})"', re.DOTALL)
MOST_TYPES = 100
"""So many types of messages are counted apart."""
SLICE = 250
"""So many connections are written to in one go; then others may run."""


class Latest(NamedTuple):
    """The newest frame of each key, and all of them joined once for everybody who gets the same."""

    frames: dict[str, bytes]
    joined: bytes

    @classmethod
    def of(cls, frames: dict[str, bytes]) -> "Latest":
        """Join these frames."""
        return cls(frames, b"".join(frames.values()))


NOTHING = Latest({}, b"")


class Outbox:
    """What waits for one connection, in two lanes.

    Reliable frames keep their order and none is left out: past the bound the connection is too slow, `slow` is called
    once and nothing is written any more. Of the latest frames only the newest of each key is kept.
    `write` may call `pause` before it returns.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        slow: Callable[[], None],
        counts: Counter[str],
        *,
        max_messages: int = 256,
        max_bytes: int = 262_144,
    ) -> None:
        self._write = write
        self._slow = slow
        self._counts = counts
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.topics: dict[str, bool] = {}
        """Topics this connection is in; false while it is held. Kept by the hub."""
        self.language = ""
        """Which of several frames that say the same it is sent."""
        self.paused = False
        self.closed = False
        self.delivered = 0
        """Frames written."""
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._latest: dict[str, bytes] = {}  # only while paused

    def send(self, frame: bytes) -> None:
        """Write a reliable frame, after those that wait."""
        self.queue(frame)
        if not self.paused:
            self.flush()

    def send_past(self, frames: list[bytes]) -> None:
        """Write what a subscriber missed, after those that wait; it makes nobody slow, so give one at a time."""
        if not self.closed:
            self._queue.append(b"".join(frames))
            if not self.paused:
                self.flush()

    def queue(self, frame: bytes) -> None:
        """Let a reliable frame wait for the next flush."""
        if self.closed:
            return
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        if len(self._queue) > self.max_messages or self._queued_bytes > self.max_bytes:
            if self.paused:
                self.give_up()
            else:
                self.flush()

    def flush(self, latest: Latest = NOTHING) -> int:
        """Write what waits, and then `latest`, at once; while paused keep it. Returns the number of frames written."""
        if self.closed:
            return 0
        if self.paused:
            together = len(self._latest) + len(latest.frames)
            self._latest |= latest.frames
            self._counts["conflated"] += together - len(self._latest)
            return 0
        written = len(self._queue) + len(latest.frames)
        if written:
            data = b"".join((*self._queue, latest.joined)) if self._queue else latest.joined
            self._queue.clear()
            self._queued_bytes = 0
            self.delivered += written
            self._counts["delivered"] += written
            self._counts["located"] += len(latest.frames)
            self._write(data)
        return written

    def pause(self) -> None:
        """The connection cannot take more for now."""
        self.paused = True

    def resume(self) -> None:
        """The connection can take more: catch up."""
        self.paused = False
        latest, self._latest = self._latest, {}
        self.flush(Latest.of(latest))

    def give_up(self) -> None:
        """The connection is too slow: drop what waits and end it."""
        self._counts["dropped"] += len(self._queue) + len(self._latest)
        self._counts["slow"] += 1
        self.close()
        self._slow()

    def close(self) -> None:
        """Nothing is written any more."""
        self.closed = True
        self._queue.clear()
        self._latest.clear()


class Hub:
    """Topics and the connections in them.

    `soon` runs a function a little later, as an event loop's `call_soon` does: reliable frames published in the
    meantime then share one write a connection. By default it runs at once.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object] = lambda run: run()) -> None:
        self.counts: Counter[str] = Counter()
        """Frames by what became of them: delivered, conflated, dropped; and connections that were too slow."""
        self.published: Counter[str] = Counter()
        """Reliable frames to connections, by type."""
        self._soon = soon
        self._members: dict[str, dict[Outbox, int]] = {}  # with the seq that a connection has heard already
        self._held: dict[str, dict[Outbox, list[tuple[int | None, bytes]]]] = {}
        self._waiting: dict[Outbox, None] = {}  # have frames queued, and _deliver is on its way
        self._pending: dict[str, dict[str, tuple[int, bytes]]] = {}  # topic -> key -> newest, with its place in time
        self._puts = 0

    def hold(self, topic: str, outbox: Outbox) -> None:
        """Keep what is published from now on for a connection that reads the past first, until it joins or leaves."""
        self.leave(topic, outbox)
        outbox.topics[topic] = False
        self._held.setdefault(topic, {})[outbox] = []

    def join(self, topic: str, outbox: Outbox, after: int = 0) -> None:
        """Let a connection hear a topic, leaving out frames up to the seq `after`; what was held comes at once."""
        held = self._held.get(topic, {}).get(outbox, [])
        self.leave(topic, outbox)
        outbox.topics[topic] = True
        self._members.setdefault(topic, {})[outbox] = after
        for seq, frame in held:
            if seq is None or seq > after:
                outbox.send(frame)

    def leave(self, topic: str, outbox: Outbox) -> None:
        """Let a connection hear a topic no more; nothing happens if it did not."""
        outbox.topics.pop(topic, None)
        _remove(self._members, topic, outbox)
        _remove(self._held, topic, outbox)

    def drop(self, outbox: Outbox) -> None:
        """Forget a connection."""
        outbox.close()
        for topic in list(outbox.topics):
            self.leave(topic, outbox)
        self._waiting.pop(outbox, None)

    def paused(self) -> int:
        """How many connections cannot be written to now."""
        return len({outbox for members in self._members.values() for outbox in members if outbox.paused})

    def wants(self, topic: str) -> bool:
        """Whether anybody hears this topic."""
        return topic in self._members or topic in self._held

    def wants_latest(self, topic: str) -> bool:
        """Whether anybody would get a latest frame of this topic."""
        return topic in self._members

    async def listening(self, topic: str) -> None:
        """Wait until everything that is published in a topic from now on is heard here: in one process that is so."""

    def publish(
        self,
        topic: str,
        frame: bytes | Mapping[Any, bytes],
        seq: int | None = None,
        *,
        unless: AbstractSet[str] = frozenset(),
    ) -> None:
        """Send a reliable frame, or the one in its language, to all in a topic but those in topics of `unless`.

        With its `seq`, not again to those who have read it already.
        """
        heard = 0
        for outbox, after in list(self._members.get(topic, {}).items()):
            if (seq is None or seq > after) and not (unless and unless & outbox.topics.keys()):
                outbox.queue(frame if isinstance(frame, bytes) else frame[outbox.language])
                self._wait(outbox)
                heard += 1
        self._count(frame, heard)
        for outbox, held in list(self._held.get(topic, {}).items()):
            held.append((seq, frame if isinstance(frame, bytes) else frame[outbox.language]))
            if len(held) > outbox.max_messages:
                outbox.give_up()

    def _count(self, frame: bytes | Mapping[Any, bytes], heard: int) -> None:
        kind = type_of(frame if isinstance(frame, bytes) else next(iter(frame.values())))
        if kind not in self.published and len(self.published) >= MOST_TYPES:
            kind = "other"  # other back ends name events as they like
        self.published[kind] += heard

    def pass_on(self, message: Message, seq: int, others: dict[str, int]) -> None:
        """Let other processes publish a stored message; there are none."""

    def put_latest(self, topic: str, key: str, frame: bytes, at: float = 0.0) -> None:
        """At the next flush send the newest frame of a key to everybody in a topic; `at` tells how new it is."""
        members = self._members.get(topic)
        if not members:
            return
        latest = self._pending.setdefault(topic, {})
        if key in latest:
            self.counts["conflated"] += len(members)
        self._puts += 1
        latest[key] = (self._puts, frame)

    def flush(self) -> int:
        """Write everything that is pending, one write a connection. Returns the number of frames delivered."""
        return sum(self.flush_slices())

    def flush_slices(self, size: int = SLICE) -> Iterator[int]:
        """Flush `size` connections at a step, so that others may run in between; yields the frames delivered."""
        pending, self._pending = self._pending, {}
        readers = dict.fromkeys(outbox for topic in pending for outbox in self._members.get(topic, ()))
        readers |= self._waiting
        combined: dict[tuple[str, ...], Latest] = {(): NOTHING}
        delivered = 0
        for count, outbox in enumerate(readers, 1):
            topics = tuple(topic for topic, joined in outbox.topics.items() if joined and topic in pending)
            latest = combined.get(topics)
            if latest is None:
                latest = combined[topics] = _newest(pending[topic] for topic in topics)
            delivered += outbox.flush(latest)
            if count % size == 0:
                yield delivered
                delivered = 0
        yield delivered

    def _wait(self, outbox: Outbox) -> None:
        idle = not self._waiting
        self._waiting[outbox] = None
        if idle:
            self._soon(self._deliver)

    def _deliver(self) -> None:
        for outbox in list(self._waiting)[:SLICE]:
            self._waiting.pop(outbox, None)
            outbox.flush()
        if self._waiting:
            self._soon(self._deliver)


def type_of(frame: bytes) -> str:
    """The type of a message in a frame that names it first, as all of ours do; else `other`."""
    found = _TYPE.match(frame)
    return found[1].decode() if found else "other"


def _newest(puts: Iterable[dict[str, tuple[int, bytes]]]) -> Latest:
    """The newest frame of each key in several topics, so that no topic brings back what another has overtaken."""
    newest: dict[str, tuple[int, bytes]] = {}
    for latest in puts:
        for key, put in latest.items():
            newest[key] = max(newest.get(key, put), put)
    return Latest.of({key: frame for key, (_, frame) in newest.items()})


def _remove(topics: dict[str, dict[Outbox, Any]], topic: str, outbox: Outbox) -> None:
    members = topics.get(topic)
    if members is not None:
        members.pop(outbox, None)
        if not members:
            del topics[topic]
