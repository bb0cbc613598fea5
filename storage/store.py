"""What a store must do; the embedded one and PostGIS both do exactly this."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from geo.fences import Area, Circle
from tracker.judgements import Judgement
from tracker.mail import Personal
from tracker.records import Bools, Delivery, Event, Flags, Geofence, Message, Order, Route, Track
from tracker.scores import Score

Document = Order | Geofence | Route
Span = tuple[str, float, float]
"""driver_id, first and last fix_time."""
Hour = tuple[str, float]
"""driver_id, the beginning of an hour counted from 1970."""
D = TypeVar("D", Order, Geofence, Route)


class Pass(msgspec.Struct, frozen=True):
    """A driver was in an area, from where his way crossed its boundary to where it did again."""

    driver_id: str
    entered_at: float
    left_at: float
    entered: bool  # whether the way in was seen: else his fixes, or the time asked for, begin inside
    left: bool
    gap_s: float  # the longest time between two fixes of it
    closest_at: float  # to the centre of a circle; of an area when he entered
    distance: float  # metres, then; NaN of an area
    latitude: float  # where he was then
    longitude: float


class Fix(msgspec.Struct, frozen=True):
    """A fix as it was measured; NaN is not known."""

    fix_time: float
    latitude: float
    longitude: float
    speed: float
    course: float
    accuracy: float


class Moment(msgspec.Struct, frozen=True):
    """Where a driver was at a time: between which two fixes, each None where there is none."""

    before: Fix | None  # at that time or before it
    after: Fix | None  # after it; None when `before` is at that very time
    latitude: float  # NaN where nothing is known: outside of his track, or in a silence
    longitude: float


@dataclass(frozen=True, slots=True)
class Compaction:
    """An hour of a driver whose runs become one."""

    driver_id: str
    hour: float
    bound_m: float | None = None
    """Metres that no fix may lie off the simplified run; None: all fixes stay."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """What was learned of arrivals, as bytes."""

    version: int
    created_at: float
    trips: int
    model: bytes


@dataclass(slots=True)
class Commit:
    """What goes into the store in one transaction: all of it or nothing."""

    track: Track = field(default_factory=Track.empty)
    aside: Track = field(default_factory=Track.empty)  # what may be stored already: such a vertex is left out
    events: Sequence[Event] = ()  # a first version with a known event_id is left out, another amends the one before it
    save: Sequence[Document] = ()  # inserted or replaced by id, in order
    remove: Sequence[tuple[type[Document], str]] = ()  # after `save`
    messages: Sequence[Message] = ()  # each gets the next seq of its topic
    judgements: Sequence[Judgement] = ()  # the last of a fix has the last word
    told: Sequence[Span] = ()  # late fixes whose events these are
    eta_models: Sequence[StoredModel] = ()  # the newest few stay
    settled: Sequence[tuple[str, int]] = ()  # topic, seq of personal messages that wait no longer
    compact: Sequence[Compaction] = ()  # before all else
    erase: Sequence[tuple[str, Any]] = ()  # after all else: a name, and a Statement that returns what it deletes


@dataclass(frozen=True, slots=True)
class Committed:
    """What the store found out while committing."""

    duplicate: Bools  # (k,) vertices of `aside` that were stored before
    seqs: Sequence[int]  # of each message
    late: Sequence[Span] = ()  # where late fixes were stored, maybe some of commits beside this one
    scores: Sequence[Score] = ()  # of the ETAs that its arrivals decided
    hours: Set[Hour] = frozenset()  # that got their first rows since they were compacted last
    crowded_out: int = 0  # personal messages that wait no longer, as too many do
    erased: Mapping[str, int] = field(default_factory=dict)  # rows by name


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the engine needs to go on where the store ends."""

    orders: Sequence[Order]  # not ended
    geofences: Sequence[Geofence]
    routes: Sequence[Route]
    inside: Sequence[tuple[str, str, float]]  # driver_id, geofence_id, entered_at
    tails: Track  # the last fixes of each driver seen lately, one run each
    newest: Sequence[tuple[str, float]]  # driver_id, fix_time of the newest fix of any kind
    late: Sequence[Span]  # where late fixes were stored and events have not been told again yet
    announced: Sequence[Delivery] = ()  # the newest ETA that was told of each order, and not withdrawn since


class Store(Protocol):
    """Tracks, events, documents and reliable messages. One writer a store."""

    epoch: str
    """Made with the store; message seqs only compare within it."""

    async def open(self, *, read_only: bool = False) -> None:
        """Connect, take the writer's lock and migrate; to read only, neither. Raises StoreInUse, StoreUnavailable."""

    async def close(self) -> None:
        """Let go of everything."""

    async def commit(self, commit: Commit) -> Committed:
        """All of it in one durable transaction, exactly once even when the answer is lost.

        Raises StoreUnavailable, after which nothing of it is stored and the same commit may be given again.
        """

    async def load(self, *, tail_s: float, since: float) -> Snapshot:
        """The state to start from; tails hold each driver's last `tail_s` seconds, for those seen after `since`."""

    async def due(self, *, merged: bool, before: float, limit: int) -> list[Hour]:
        """Hours that begin before a time whose runs are merged and not simplified yet, or not merged; oldest first."""

    async def prepare(self, now: float) -> None:
        """Make room for the fixes of today and tomorrow."""

    async def drop_tracks(self, before: float) -> int:
        """Delete fixes from before a time, as far as that is quick; returns how many bytes or rows that were.

        PostGIS drops whole weeks, the GeoPackage deletes rows, some at a time; call it until it returns 0.
        """

    async def track(self, driver_id: str, start: float, end: float) -> Track:
        """One driver's fixes in [start, end), sorted, each once, late ones in place, no outliers: one run."""

    async def fixes(self, driver_id: str, start: float, end: float) -> tuple[Track, Flags]:
        """All of one driver's fixes in [start, end), as `track` does, and the kind of each; (k,)."""

    async def position(self, driver_id: str, at: float) -> Moment:
        """Where a driver was at a time, interpolated between his fixes before and after it."""

    def stretches(self, driver_id: str, start: float, end: float) -> AsyncIterator[tuple[float, float]]:
        """[start, end) in stretches of some hours, without those in which there is nothing for long."""

    def parts(self, driver_id: str, start: float, end: float) -> AsyncIterator[Track]:
        """The track in [start, end) as one run after the other, each of some hours, so that none needs much memory."""

    async def passes(self, shape: Circle | Area, start: float, end: float) -> list[Pass]:
        """Who was in an area in [start, end), and when; by entered_at, driver_id. Raises InvalidInput for too much."""

    async def inside(self, driver_id: str, before: float) -> list[tuple[str, str, float]]:
        """Which geofences a driver was in by what was detected before a moment: driver_id, geofence_id, entered_at."""

    async def events(
        self,
        *,
        driver_id: str | None = None,
        order_id: str | None = None,
        geofence_id: str | None = None,
        start: float | None = None,
        end: float | None = None,
        after: tuple[float, str, int] | None = None,
        limit: int = 1000,
        versions: bool = False,
    ) -> list[Event]:
        """Transitions and deliveries with occurred_at in [start, end), by occurred_at, event_id, version, past `after`.

        The newest version of each that was not withdrawn; with `versions`, all of all.
        """

    async def get(self, kind: type[D], key: str) -> D | None:
        """One document."""

    async def find(
        self,
        kind: type[D],
        *,
        driver_id: str | None = None,
        customer_id: str | None = None,
        after: str | None = None,
        limit: int = 1000,
    ) -> list[D]:
        """Documents by id, past `after`; a filter that the kind does not have matches nothing."""

    async def messages(self, topic: str, *, after: int, limit: int = 1000) -> list[tuple[int, Message]]:
        """Reliable messages of a topic with seq greater than `after`, in order."""

    async def waiting(self, topics: Sequence[str], now: float) -> list[tuple[int, Personal]]:
        """Personal messages of these topics that wait at `now`, each topic's by seq: not settled, not expired."""

    async def scores(
        self, *, start: float | None = None, end: float | None = None, driver_id: str | None = None, limit: int = 10_000
    ) -> list[Score]:
        """Announced ETAs whose arrivals were in [start, end), the newest first."""

    async def eta_model(self) -> StoredModel | None:
        """The newest model."""

    async def last_seq(self, topic: str) -> int:
        """The seq of the newest message of a topic; 0 where there is none."""

    async def last_seqs(self, topics: Iterable[str]) -> dict[str, int]:
        """The same of many topics; those without a message are left out."""
