"""A hub whose topics reach over instances: what the engine publishes goes to every instance that hears its topic."""

from collections.abc import Awaitable, Callable, Iterator

from api.cluster.bus import Bus
from api.cluster.wire import Located, Names, encode_latest, encode_told
from tracker.hub import SLICE, Hub, Outbox
from tracker.records import Message

MOST_TOGETHER = 1000
"""So many locations of a topic go in one publication."""
AHEAD_S = 60.0
"""A position from further ahead of now comes from a wrong clock, and may be followed by an older one."""


class Fanout(Hub):
    """On the engine it sends; elsewhere it only says which topics are heard.

    An older position never follows a newer one, whichever instance they come from.
    """

    def __init__(
        self, soon: Callable[[Callable[[], None]], object], bus: Bus, names: Names, clock: Callable[[], float]
    ) -> None:
        super().__init__(soon)
        self.sending = False
        """Whether this is the engine's."""
        self.elsewhere: set[str] = set()
        """Topics that other instances hear."""
        self.changed: Callable[[str], None] = lambda topic: None
        """Called when somebody begins or ends to hear a topic here."""
        self.hears: Callable[[str], Awaitable[None]] | None = None
        """Waits until a topic is heard through Redis, where it has to be."""
        self._bus = bus
        self._names = names
        self._clock = clock
        self._newest: dict[str, float] = {}
        self._outgoing: dict[str, dict[str, Located]] = {}

    def hold(self, topic: str, outbox: Outbox) -> None:
        """As in Hub."""
        super().hold(topic, outbox)
        self.changed(topic)

    def join(self, topic: str, outbox: Outbox, after: int = 0) -> None:
        """As in Hub."""
        super().join(topic, outbox, after)
        self.changed(topic)

    def leave(self, topic: str, outbox: Outbox) -> None:
        """As in Hub."""
        super().leave(topic, outbox)
        self.changed(topic)

    async def listening(self, topic: str) -> None:
        """As in Hub. Raises TrackerError."""
        if self.hears is not None:
            await self.hears(topic)

    def wants_latest(self, topic: str) -> bool:
        """As in Hub."""
        return super().wants_latest(topic) or (self.sending and topic in self.elsewhere)

    def pass_on(self, message: Message, seq: int, others: dict[str, int]) -> None:
        """As in Hub; who hears elsewhere is known a little late, so every message goes out."""
        if self.sending:
            self._bus.publish(self._names.topic(message.topic), encode_told(message, seq, others))

    def put_latest(self, topic: str, key: str, frame: bytes, at: float = 0.0) -> None:
        """As in Hub; `at` is the fix_time."""
        newest = self._newest.get(key, at)
        if at < newest <= self._clock() + AHEAD_S:
            self.counts["conflated"] += 1
            return
        self._newest[key] = at
        super().put_latest(topic, key, frame, at)
        if self.sending and topic in self.elsewhere:
            self._outgoing.setdefault(topic, {})[key] = Located(key, at, frame)

    def flush_slices(self, size: int = SLICE) -> Iterator[int]:
        """As in Hub."""
        outgoing, self._outgoing = self._outgoing, {}
        for topic, latest in outgoing.items():
            located = list(latest.values())
            for first in range(0, len(located), MOST_TOGETHER):
                self._bus.publish(self._names.topic(topic), encode_latest(located[first : first + MOST_TOGETHER]))
        return super().flush_slices(size)
