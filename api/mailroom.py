"""Personal messages of the users connected here, from the store and as they come, until they are acknowledged."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial

from api.services import Services
from storage.store import Commit
from tracker.hub import Outbox
from tracker.mail import Mailbox, Personal
from tracker.spoken import frame_of

TICK_S = 1.0
"""So often it is looked what has to be sent again."""
TOGETHER_S = 0.005
"""So long who asks the store waits for others who do, as many connect at once; all of them are answered by one read."""


class Mailroom:
    """A mailbox for each topic `user:ID` that a connection of this server reads."""

    def __init__(self, services: Services) -> None:
        self.counts: Counter[str] = Counter()
        """Personal messages by what became of them: acknowledged, expired, retried, crowded_out."""
        self._services = services
        self._boxes: dict[str, Mailbox[Outbox]] = {}
        self._settled: set[tuple[str, int]] = set()  # and the store does not know yet
        self._committing: set[tuple[str, int]] = set()  # and the store is told
        self._looked_at = 0.0
        self._asked: dict[str, asyncio.Future[list[tuple[int, Personal]]]] = {}
        self._reading: asyncio.Task[None] | None = None

    def enter(self, topic: str, outbox: Outbox) -> None:
        """A connection will read these messages: from now on they are counted as sent to it."""
        box = self._boxes.setdefault(topic, Mailbox(self._services.config.ack_retry_s))
        box.enter(outbox)

    def leave(self, topic: str, outbox: Outbox) -> None:
        """A connection has ended."""
        box = self._boxes.get(topic)
        if box is not None:
            box.leave(outbox)
            if not box.readers:
                del self._boxes[topic]

    async def open(self, topic: str, outbox: Outbox) -> int:
        """Send a connection what waits, the most urgent first; the newest seq that it holds, 0 where nothing waits.

        Raises StoreUnavailable.
        """
        stored = await asyncio.shield(self._ask(topic))
        now = self._services.clock()
        box = self._boxes.get(topic)
        if outbox.closed or box is None:
            return 0
        for seq, message in stored:
            box.put(seq, message, now)
        box.enter(outbox)
        seqs = box.by_urgency()
        for seq in seqs:
            box.sent(outbox, seq)
        if seqs:
            outbox.send_past([frame_of(seq, box.message(seq), outbox.language) for seq in seqs])
        return max(seqs, default=0)

    def _ask(self, topic: str) -> "asyncio.Future[list[tuple[int, Personal]]]":
        """What waits in the store; whoever asks is answered together with others."""
        loop = asyncio.get_running_loop()
        answer = self._asked.setdefault(topic, loop.create_future())
        if self._reading is None or self._reading.done():
            self._reading = loop.create_task(self._read())
        return answer

    async def _read(self) -> None:
        while self._asked:
            await asyncio.sleep(TOGETHER_S)
            asked, self._asked = self._asked, {}
            gone = self._settled | self._committing
            try:
                stored = await self._services.store.waiting(list(asked), self._services.clock())
            except Exception as error:
                for answer in asked.values():
                    answer.set_exception(error)
                continue
            gone |= self._settled | self._committing
            found: dict[str, list[tuple[int, Personal]]] = {topic: [] for topic in asked}
            for seq, message in stored:
                if (message.topic, seq) not in gone:
                    found[message.topic].append((seq, message))
            for topic, answer in asked.items():
                answer.set_result(found[topic])

    def published(self, message: Personal, seq: int, also: Mapping[str, int]) -> None:
        """A message is being sent to its readers; `also` are the seqs, by topic, of others that tell the same."""
        box = self._boxes.get(message.topic)
        if box is not None:
            box.put(seq, message, self._services.clock(), also)
            for outbox in box.readers:
                box.sent(outbox, seq)

    def acknowledge(self, mailbox: str, outbox: Outbox, topic: str, seq: int) -> None:
        """A connection that reads a mailbox has everything up to a seq of a topic."""
        box = self._boxes.get(mailbox)
        if box is None:
            return
        arrived = box.acknowledge(outbox, seq) if topic == mailbox else box.acknowledge_elsewhere(topic, seq)
        self._settle(mailbox, arrived, "acknowledged")

    def tick(self) -> None:
        """Send again what was not acknowledged, drop what has expired, and let the store know."""
        now = self._services.clock()
        if abs(now - self._looked_at) >= TICK_S:  # a clock may be set back
            self._looked_at = now
            for topic, box in [(topic, box) for topic, box in self._boxes.items() if len(box)]:
                self._look_after(topic, box, now)
        if self._settled:
            settled, self._settled = self._settled, set()
            self._committing |= settled
            future = self._services.line.commit_soon(Commit(settled=sorted(settled)))
            future.add_done_callback(lambda _: self._committing.difference_update(settled))

    def _look_after(self, topic: str, box: Mailbox[Outbox], now: float) -> None:
        self._settle(topic, box.take_expired(now), "expired")
        due = box.take_due(now)
        if due:
            self._ask(topic).add_done_callback(partial(self._send_again, topic, due))

    def _send_again(self, topic: str, due: list[int], answer: "asyncio.Future[list[tuple[int, Personal]]]") -> None:
        """What still waits in the store: it may have been acknowledged on another instance, or crowded out."""
        box = self._boxes.get(topic)
        if box is None:
            return
        still = set(due) if answer.exception() else {seq for seq, _ in answer.result()}
        for seq in box.keep(due, still):
            for outbox in box.readers:
                reads = outbox.topics.get(topic) and not outbox.paused
                if reads and not outbox.topics.keys() & box.also(seq).keys():
                    box.sent(outbox, seq)
                    outbox.send(frame_of(seq, box.message(seq), outbox.language))
                    self.counts["retried"] += 1

    def _settle(self, topic: str, seqs: list[int], result: str) -> None:
        self.counts[result] += len(seqs)
        self._settled |= {(topic, seq) for seq in seqs}
