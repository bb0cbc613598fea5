"""What an edge hears: the topics its connections are in, each publication once and in order, and none missing.

Redis loses publications without a word: with a connection that was cut, with an engine that was killed. The store has
them all. A gap in a topic's seqs, a new subscription, and the mere passing of time have it asked for what is missing.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from api.cluster.bus import UNREACHABLE, Bus
from api.cluster.fanout import Fanout
from api.cluster.wire import LATEST, Located, Names, Told, decode_located, decode_told
from api.services import Services
from tracker.errors import TrackerError

log = structlog.get_logger()

CHECK_S = 5.0
"""So often the store is asked whether anything is missing that nothing else showed."""
PAGE = 1000


@dataclass(slots=True)
class Topic:
    """One that is heard. What comes while `seq` is not known waits in `early`."""

    ready: "asyncio.Future[None]"
    seq: int | None = None  # of the newest message that everybody here has
    early: dict[int, Told] = field(default_factory=dict)
    located: dict[str, Located] = field(default_factory=dict)


class Topics:
    """Subscribes in Redis to what is heard here, and to nothing else."""

    def __init__(self, services: Services, hub: Fanout, bus: Bus, names: Names, counts: Counter[str]) -> None:
        self._services = services
        self._hub = hub
        self._bus = bus
        self._names = names
        self._counts = counts
        self._topics: dict[str, Topic] = {}
        self._left: set[str] = set()
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        hub.changed = self._change
        hub.hears = self.listening

    def __len__(self) -> int:
        return len(self._topics)

    # Who hears what

    def _change(self, topic: str) -> None:
        if self._hub.wants(topic):
            if topic not in self._topics:
                self._topics[topic] = Topic(asyncio.get_running_loop().create_future())
                self._bus.subscribe([self._names.topic(topic)])
                self._do(self._begin(topic))
        elif topic in self._topics:
            if not self._left:
                asyncio.get_running_loop().call_soon(self._leave)
            self._left.add(topic)

    def _leave(self) -> None:
        """Drop what nobody hears; who only moved from held to joined is back by now."""
        left, self._left = self._left, set()
        gone = [topic for topic in left if topic in self._topics and not self._hub.wants(topic)]
        for topic in gone:
            del self._topics[topic]
        self._bus.unsubscribe(self._names.topic(topic) for topic in gone)

    async def _begin(self, topic: str) -> None:
        try:
            await self._bus.subscribed([self._names.topic(topic)])
        except UNREACHABLE:
            log.debug("not heard through redis yet")  # the store is asked every now and then
        await self.check([topic])

    async def listening(self, topic: str) -> None:
        """Wait until what is published in a topic is heard here. Raises TrackerError."""
        heard = self._topics.get(topic)
        if heard is not None:
            await asyncio.shield(heard.ready)

    def located(self, topic: str, fresh: Iterable[Located]) -> dict[str, bytes]:
        """Frames of these drivers, newer ones where they have come in the meantime."""
        heard = self._topics.get(topic)
        frames = {}
        for each in fresh:
            known = heard.located.get(each.driver_id) if heard else None
            frames[each.driver_id] = known.frame if known and known.fix_time > each.fix_time else each.frame
        return frames

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._topics))

    # What is heard

    def take(self, topic: str, payload: bytes) -> None:
        """What was published in a topic."""
        heard = self._topics.get(topic)
        if heard is None:
            return
        if payload[:1] == LATEST:
            for located in decode_located(memoryview(payload)[1:]):
                self._counts["locations"] += 1
                self.locate(topic, located)
        else:
            self._counts["messages"] += 1
            self._take_told(topic, heard, decode_told(memoryview(payload)[1:]))

    def locate(self, topic: str, located: Located) -> None:
        """A driver was seen, by those who hear the topic."""
        heard = self._topics.get(topic)
        if heard is not None:
            heard.located[located.driver_id] = located
            self._hub.put_latest(topic, located.driver_id, located.frame, located.fix_time)

    def _take_told(self, topic: str, heard: Topic, told: Told) -> None:
        seq = told.seq
        if heard.seq is not None and seq == heard.seq + 1 and not heard.early:
            heard.seq = seq
            self._services.line.tell(told.message, seq, told.others)
        elif heard.seq is None or seq > heard.seq:
            if heard.seq is not None and not heard.early:
                self._counts["gap"] += 1
                self._do(self.check([topic]))
            if len(heard.early) < PAGE:  # the store has the others
                heard.early[seq] = told

    # What was missed

    async def watch(self) -> None:
        """See for ever that nothing is missing."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                await self.check(list(self._topics), "silent")
            except TrackerError as error:
                log.warning("nothing known of what is missing", error=error.code)

    def reconnected(self) -> None:
        """Publications may have been lost."""
        self._do(self.check(list(self._topics), "reconnected"))

    async def check(self, topics: Iterable[str], reason: str | None = None) -> None:
        """Publish what the store has beyond what was heard. Raises StoreUnavailable; `reason` is counted."""
        async with self._one_at_a_time:
            wanted = [topic for topic in topics if topic in self._topics]
            try:
                last = await self._services.store.last_seqs(wanted) if wanted else {}
                for topic in wanted:
                    heard = self._topics.get(topic)
                    if heard is not None:
                        await self._catch_up(topic, heard, last.get(topic, 0), reason)
            except TrackerError as error:
                for topic in wanted:
                    _end(self._topics.get(topic), error)
                raise

    async def _catch_up(self, topic: str, heard: Topic, last: int, reason: str | None) -> None:
        if heard.seq is None:
            heard.seq = last
        elif last > heard.seq:
            if reason:
                self._counts[reason] += 1
            await self._repair(topic, heard, last)
        early, heard.early = sorted(heard.early.items()), {}
        for _, told in early:
            self._take_told(topic, heard, told)
        _end(heard)

    async def _repair(self, topic: str, heard: Topic, last: int) -> None:
        assert heard.seq is not None
        after = heard.seq
        while after < last:
            missed = await self._services.store.messages(topic, after=after, limit=PAGE)
            for seq, message in missed:
                after = seq
                if seq > heard.seq:  # else it has come in the meantime
                    heard.seq = seq
                    self._counts["repaired"] += 1
                    self._services.line.tell(message, seq, {})
            if len(missed) < PAGE:
                break
        heard.seq = max(heard.seq, last)

    async def stop(self) -> list[str]:
        """Catch up for the last time, and hear nothing through Redis any more; the topics that were heard."""
        await self.check(list(self._topics), "takeover")
        self._hub.changed = lambda topic: None
        self._hub.hears = None
        self._bus.unsubscribe([self._names.topic(topic) for topic in self._topics])
        for heard in self._topics.values():
            _end(heard)
        heard_last, self._topics = list(self._topics), {}
        return heard_last

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except TrackerError as error:
        log.warning("nothing known of what is missing", error=error.code)


def _end(heard: Topic | None, error: TrackerError | None = None) -> None:
    """Let those go on who wait until a topic is heard; without the store they get the error."""
    if heard is None or heard.ready.done():
        return
    if error is None:
        heard.ready.set_result(None)
    else:
        heard.ready.set_exception(error)
        heard.ready.exception()  # somebody need not wait
        heard.ready = asyncio.get_running_loop().create_future()
