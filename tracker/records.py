"""What flows through the engine: fixes in columns, and the few things that are events.

Times are Unix seconds (float64, rounded to the millisecond), angles degrees, lengths metres, speeds m/s;
NaN is "not known".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from hashlib import blake2b
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.uint8]
Bools = NDArray[np.bool_]

TransitionKind = Literal["enter", "exit", "dwell", "cross"]
DeliveryStatus = Literal[
    "assigned", "en_route", "approaching", "driver_arrived", "departed", "delivered", "failed", "eta_changed"
]
DeliveryKind = DeliveryStatus | Literal["passed"]
"""What is recorded of a delivery: its statuses, which people are told, and drives past its destination."""
Priority = Literal["critical", "high", "normal", "low"]
ENDED = frozenset({"delivered", "failed", "cancelled"})
"""Order statuses after which nothing more is expected."""


class Source(IntFlag):
    """Where a fix comes from, as its device says; 0 is not known."""

    GPS = 1
    NETWORK = 2  # cells and wireless networks
    FUSED = 4  # of several sensors, by the phone
    MOCK = 8  # made up by an app


def _unknown_source() -> Flags:
    return np.empty(0, np.uint8)


def _unknown_time() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class FixBatch:
    """Fixes as they came in, in columns of shape (n,); any number of drivers, any order.

    The last two may be left out where they are not known.
    """

    driver: Ints  # row in the engine's driver table
    fix_time: Floats
    latitude: Floats
    longitude: Floats
    speed: Floats
    course: Floats
    accuracy: Floats
    received_at: Floats
    source: Flags = field(default_factory=_unknown_source)  # of Source
    sent_at: Floats = field(default_factory=_unknown_time)  # when the message was made, by the clock of the phone

    def __post_init__(self) -> None:
        if len(self.source) != len(self.driver):
            object.__setattr__(self, "source", np.zeros(len(self.driver), np.uint8))
        if len(self.sent_at) != len(self.driver):
            object.__setattr__(self, "sent_at", np.full(len(self.driver), np.nan))

    def __len__(self) -> int:
        return len(self.driver)


@dataclass(frozen=True, slots=True)
class Track:
    """Runs of fixes as measured, ready to store: run i is [offset[i], offset[i + 1]) of the columns, in fix_time order.

    A run belongs to one driver. Where `connected`, its first vertex repeats the last one stored before it.
    """

    driver_id: Sequence[str]  # (m,)
    kind: Flags  # (m,) ACCEPTED, LATE, OUTLIER or COARSE
    connected: Bools  # (m,)
    offset: Ints  # (m + 1,)
    fix_time: Floats  # (k,) and so on
    latitude: Floats
    longitude: Floats
    speed: Floats
    course: Floats
    accuracy: Floats
    source: Flags = field(default_factory=_unknown_source)  # of Source; may be left out

    def __post_init__(self) -> None:
        if len(self.source) != len(self.fix_time):
            object.__setattr__(self, "source", np.zeros(len(self.fix_time), np.uint8))

    def __len__(self) -> int:
        return len(self.driver_id)

    @classmethod
    def empty(cls) -> "Track":
        """No runs at all."""
        none = np.empty(0)
        return cls(
            (),
            np.empty(0, np.uint8),
            np.empty(0, np.bool_),
            np.zeros(1, np.int64),
            none,
            none,
            none,
            none,
            none,
            none,
        )


@dataclass(frozen=True, slots=True)
class Legs:
    """From each believed position of a driver to his next, in columns (k,), by driver, then time.

    The leg of a driver's very first position is a point: t0 = t1.
    """

    driver: Ints
    t0: Floats
    latitude0: Floats
    longitude0: Floats
    t1: Floats
    latitude1: Floats
    longitude1: Floats
    sigma1: Floats  # m
    length: Floats  # m
    newest: Floats  # fix_time of the driver's newest fix that had come in when this one did

    def take(self, index: Ints) -> "Legs":
        """Some of them."""
        return Legs(*(getattr(self, name)[index] for name in Legs.__slots__))


def event_id(*parts: str | int) -> str:
    """The same parts give the same id, so that what happened once has one id however often it is found."""
    return blake2b("\0".join(map(str, parts)).encode(), digest_size=12).hexdigest()


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that happened once. `event_id` follows from what happened, so a replay gives the same one."""

    event_id: str
    driver_id: str
    occurred_at: float  # interpolated
    detected_at: float  # fix_time of the fix that revealed it
    confidence: float = 1.0
    late: bool = False  # found in late data
    version: int = 1  # late data amends what was known of it
    withdrawn: bool = False  # late data shows that it did not happen
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)


class Transition(Event, frozen=True, kw_only=True, gc=False):
    """A driver's membership of a geofence changed."""

    kind: TransitionKind
    geofence_id: str


class Delivery(Event, frozen=True, kw_only=True, gc=False):
    """An order's delivery reached a status, or its driver passed the destination."""

    kind: DeliveryKind
    order_id: str
    customer_id: str
    eta: float | None = None
    eta_low: float | None = None
    eta_high: float | None = None


class Stay(msgspec.Struct, frozen=True):
    """A driver stayed at a place; started_at is dated back to when he stopped."""

    driver_id: str
    started_at: float
    ended_at: float  # where `ongoing`, that of the newest fix
    latitude: float
    longitude: float
    ongoing: bool = False


class Trip(msgspec.Struct, frozen=True):
    """A driver was under way, from one stay to the next."""

    driver_id: str
    started_at: float
    ended_at: float
    distance: float  # metres along the way
    ongoing: bool = False


class Destination(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an order goes: a point with a radius, or a GeoJSON Polygon or MultiPolygon."""

    latitude: float | None = None
    longitude: float | None = None
    radius: float | None = None  # metres
    type: Literal["Polygon", "MultiPolygon"] | None = None
    coordinates: list[Any] | None = None


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """How far a driver was who has an order no longer: should he get it back soon, nothing is told twice."""

    driver_id: str
    until: float
    status: str
    assigned_at: float | None
    approaching_at: float | None
    arrived_at: float | None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the back office gave it, and how far its delivery is."""

    order_id: str
    customer_id: str
    destination: Destination
    driver_id: str | None = None
    status: str = "assigned"
    customer_name: str | None = None
    address: str | None = None
    products: list[Any] = msgspec.field(default_factory=list)
    window: list[str] | None = None
    delivery_date: str | None = None
    details: dict[str, Any] | None = None
    created_at: float = 0.0
    assigned_at: float | None = None  # since when it is this driver's and goes there; since created_at where not known
    approaching_at: float | None = None
    arrived_at: float | None = None
    departed_at: float | None = None
    former: Former | None = None

    @property
    def ended(self) -> bool:
        """Nothing more is expected of it."""
        return self.status in ENDED


class Geofence(msgspec.Struct, frozen=True, kw_only=True):
    """An area watched: a Polygon or MultiPolygon, or a Point with a radius in metres."""

    geofence_id: str
    type: Literal["Point", "Polygon", "MultiPolygon"]
    coordinates: list[Any]  # as in GeoJSON: lon, lat
    radius: float | None = None
    properties: dict[str, Any] = msgspec.field(default_factory=dict)
    changed_at: float = 0.0  # since when it is as it is


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The stops a driver makes, in order, and the path between them where it is planned."""

    route_id: str
    driver_id: str
    stops: list[str]  # order ids
    path: list[list[float]] | None = None  # lon, lat


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A reliable message on its way to a topic; `body` is its JSON without channel, seq and event_id."""

    event_id: str
    topic: str
    body: bytes
    created_at: float
    priority: Priority = "normal"


@dataclass(frozen=True, slots=True)
class Revisions:
    """What fixes showed of the two before them of the same driver; columns (r,), a later one has the last word."""

    driver: Ints
    fix_time: Floats
    outlier: Bools  # whether it is one, as far as known now


@dataclass(frozen=True, slots=True)
class Updates:
    """What one `Engine.ingest` found. Columns follow the batch, fix by fix; NaN where a fix was refused."""

    flag: Flags
    latitude: Floats
    longitude: Floats
    speed: Floats
    course: Floats
    sigma: Floats  # standard deviation of the position per axis
    track: Track  # accepted
    aside: Track  # late and outliers: stored beside the track, each only if it is not stored yet
    aside_index: Ints  # (k,) the input fix of each vertex of `aside`
    events: list[Event]  # Transition and Delivery, in order of time
    orders: list[Order]  # as the events left them
    revised: Revisions  # what is judged otherwise than when it came
    spans: list[Stay | Trip]  # that are over by now
