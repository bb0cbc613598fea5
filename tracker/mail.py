"""What waits for one user: sent by urgency, again and again, until it is acknowledged or has expired."""

from collections.abc import Container, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tracker.records import Message, Priority

R = TypeVar("R", bound=Hashable)

MOST_DOUBLINGS = 5
"""The time between two attempts doubles this often, and then no more."""

_URGENCY: dict[Priority, int] = {"critical": 0, "high": 1, "normal": 2, "low": 3}


class Personal(Message, frozen=True, kw_only=True):
    """A message that waits for its user, in the topic `user:ID`."""

    expires_at: float  # Unix seconds


@dataclass(slots=True)
class _Waiting:
    message: Personal
    also: Mapping[str, int]  # seq by topic of the same event where a connection may hear it, too
    due: float  # when to send it again
    tries: int = 0


@dataclass(slots=True)
class _Reader:
    """What a connection was sent: its place among all that was sent, by seq; and what more than once."""

    places: dict[int, int] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)


class Mailbox(Generic[R]):
    """The messages that wait for a user, and the connections R they go to. No clock: `now` is Unix seconds."""

    def __init__(self, retry_s: float) -> None:
        self._retry_s = retry_s
        self._waiting: dict[int, _Waiting] = {}
        self._readers: dict[R, _Reader] = {}
        self._sent = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def message(self, seq: int) -> Personal:
        """A message that waits."""
        return self._waiting[seq].message

    def also(self, seq: int) -> Mapping[str, int]:
        """Where else the event of a waiting message was told."""
        return self._waiting[seq].also

    @property
    def readers(self) -> list[R]:
        """The connections."""
        return list(self._readers)

    def enter(self, reader: R) -> None:
        """A connection begins to listen, and has been sent nothing yet."""
        self._readers[reader] = _Reader()

    def leave(self, reader: R) -> None:
        """It has ended."""
        self._readers.pop(reader, None)

    def put(self, seq: int, message: Personal, now: float, also: Mapping[str, int] | None = None) -> None:
        """A message has to wait, if it does not already."""
        if seq not in self._waiting:
            self._waiting[seq] = _Waiting(message, also or {}, now + self._retry_s)

    def by_urgency(self, seqs: Iterable[int] | None = None) -> list[int]:
        """All that waits, or these, the most urgent first."""
        chosen = self._waiting if seqs is None else seqs
        return sorted(chosen, key=lambda seq: (_URGENCY[self._waiting[seq].message.priority], seq))

    def sent(self, reader: R, seq: int) -> None:
        """A connection was sent a message."""
        known = self._readers[reader]
        if seq in known.places:
            known.again.add(seq)
        self._sent += 1
        known.places[seq] = self._sent

    def take_due(self, now: float) -> list[int]:
        """What has to be sent again now, the most urgent first; the next time is later each time."""
        due = self.by_urgency(seq for seq, waiting in self._waiting.items() if self._is_due(waiting, now))
        for seq in due:
            waiting = self._waiting[seq]
            waiting.tries = min(waiting.tries + 1, MOST_DOUBLINGS)
            waiting.due = now + self._wait(waiting)
        return due

    def _wait(self, waiting: _Waiting) -> float:
        return self._retry_s * 2.0**waiting.tries

    def _is_due(self, waiting: _Waiting, now: float) -> bool:
        """Also when the clock was set back, and nobody knows any more how long it has waited."""
        return not now < waiting.due <= now + self._wait(waiting)

    def acknowledge(self, reader: R, seq: int) -> list[int]:
        """What has arrived when a connection acknowledges a seq: that one, and those below it that were sent before.

        They come by urgency, so one below it may still be on its way; but not if it was sent twice.
        """
        known = self._readers.get(reader, _Reader())
        place = known.places.get(seq, 0)
        arrived = [
            other
            for other in self._waiting
            if other == seq or (other < seq and (known.places.get(other, place) < place or other in known.again))
        ]
        return self._settle(arrived)

    def acknowledge_elsewhere(self, topic: str, seq: int) -> list[int]:
        """What has arrived when a connection acknowledges a seq of another topic: the same events."""
        return self._settle([mine for mine, waiting in self._waiting.items() if 0 < waiting.also.get(topic, 0) <= seq])

    def take_expired(self, now: float) -> list[int]:
        """What need not be sent any more."""
        return self._settle([seq for seq, waiting in self._waiting.items() if waiting.message.expires_at <= now])

    def keep(self, seqs: Iterable[int], still: Container[int]) -> list[int]:
        """Which of these wait, now that of them only those in `still` do."""
        here = [seq for seq in seqs if seq in self._waiting]
        self._settle([seq for seq in here if seq not in still])
        return [seq for seq in here if seq in still]

    def _settle(self, seqs: list[int]) -> list[int]:
        for seq in seqs:
            del self._waiting[seq]
            for reader in self._readers.values():
                reader.places.pop(seq, None)
                reader.again.discard(seq)
        return seqs
