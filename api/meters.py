"""What the server counts and times of itself; those who do the work count, `api.metrics` names it."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

import msgspec

from tracker.codec import Report
from tracker.histogram import Histogram
from tracker.messages import ClientMessage, Error, ServerMessage

BEAT_S = 0.1
"""So often the event loop is asked whether it still turns."""
REMEMBERED = 100  # beats
BACK_WITHIN_S = 120.0
"""A user who connects again within so long has reconnected."""
_MINUTES = (1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 4 * 3600.0, 12 * 3600.0)


def _counter() -> Counter[str]:
    return Counter()


@dataclass(slots=True)
class Meters:
    """Counters by label, and histograms of seconds."""

    connections: Counter[str] = field(default_factory=_counter)
    """Open now, by role."""
    received: Counter[str] = field(default_factory=_counter)
    """Messages of clients, by type."""
    answered: Counter[str] = field(default_factory=_counter)
    """Messages to one client alone, by type."""
    errors: Counter[str] = field(default_factory=_counter)
    """Told to clients, by code."""
    closes: Counter[str] = field(default_factory=_counter)
    """Connections that have ended, by close code."""
    resumes: Counter[str] = field(default_factory=_counter)
    """Subscriptions with `since`, by whether all that was missed could be sent."""
    failures: Counter[str] = field(default_factory=_counter)
    """What was logged as an error, by the part that failed."""
    requests: Counter[str] = field(default_factory=_counter)
    """HTTP requests, by status."""
    reconnections: int = 0
    connection_seconds: Histogram = field(default_factory=lambda: Histogram(_MINUTES))
    ack_seconds: Histogram = field(default_factory=Histogram)
    event_seconds: Histogram = field(default_factory=Histogram)
    location_seconds: Histogram = field(default_factory=Histogram)
    lag_seconds: Histogram = field(default_factory=Histogram)
    recent_lags: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Of the last ten seconds."""
    _left: dict[str, float] = field(default_factory=dict)  # when users left, oldest first

    def came(self, user_id: str, role: str, now: float) -> None:
        """A user has connected and authenticated, at this time of any clock."""
        self.connections[role] += 1
        left = self._left.pop(user_id, None)
        self.reconnections += left is not None and now - left <= BACK_WITHIN_S

    def went(self, user_id: str, role: str, now: float) -> None:
        """The connection of a user has ended."""
        self.connections[role] -= 1
        self._left.pop(user_id, None)
        self._left[user_id] = now
        while now - next(iter(self._left.values())) > BACK_WITHIN_S:
            del self._left[next(iter(self._left))]

    def heard(self, message: Report | ClientMessage) -> None:
        """A client said this; what brings fixes counts as `location`."""
        self.received["location" if isinstance(message, Report) else _type(message)] += 1

    def answer(self, message: ServerMessage) -> None:
        """This went to one client."""
        self.answered[_type(message)] += 1
        if isinstance(message, Error):
            self.errors[message.code] += 1

    async def beat(self) -> None:
        """Measure for ever how late the event loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            lag = max(loop.time() - due, 0.0)
            self.lag_seconds.add(lag)
            self.recent_lags.append(lag)


def _type(message: msgspec.Struct) -> str:
    return str(message.__struct_config__.tag)
