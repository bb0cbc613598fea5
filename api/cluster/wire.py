"""What instances say to each other through Redis, in MessagePack, and the names it goes by.

All names begin with the epoch of the store: instances of one store meet, and no others.
"""

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from tracker.channels import Viewer
from tracker.codec import Report
from tracker.mail import Personal
from tracker.messages import DeliveryConfirmed, Error, LocationAck, Rejected
from tracker.records import Message, Priority

COLUMNS = 7
"""Of the fixes of a Report."""
LATEST, RELIABLE = b"L", b"R"
"""The first byte of a publication in a topic says what follows: locations, or a stored message."""


@dataclass(frozen=True, slots=True)
class Names:
    """Of channels and keys."""

    epoch: str

    @property
    def engine(self) -> str:
        """Key with the id of the instance that writes, as long as it lives; and the channel of requests to it."""
        return f"tracker:{self.epoch}:engine"

    @property
    def reports(self) -> str:
        """Stream of reports to the engine."""
        return f"tracker:{self.epoch}:reports"

    @property
    def topics(self) -> str:
        """How the channels of topics begin."""
        return f"tracker:{self.epoch}:topic:"

    def topic(self, topic: str) -> str:
        """Channel of a topic."""
        return self.topics + topic

    def instance(self, instance: str) -> str:
        """Channel to one instance, and the key that expires when it has died."""
        return f"tracker:{self.epoch}:instance:{instance}"

    @property
    def users(self) -> str:
        """How the keys with the connections of users begin."""
        return f"tracker:{self.epoch}:user:"


class SentReport(msgspec.Struct, array_like=True):
    """A report on its way to the engine; `fixes` are the bytes of its rows."""

    id: int
    driver_id: str
    received_at: float
    seq: int | None
    fixes: bytes
    sent_at: float | None
    index: list[int] | None
    rejected: list[Rejected]

    @classmethod
    def of(cls, number: int, driver_id: str, report: Report, received_at: float) -> "SentReport":
        """From a report."""
        sent_at = None if math.isnan(report.sent_at) else report.sent_at
        rows = np.ascontiguousarray(report.fixes, np.float64).tobytes()
        return cls(number, driver_id, received_at, report.seq, rows, sent_at, report.index, report.rejected)

    @property
    def report(self) -> Report:
        """The report again."""
        rows = np.frombuffer(self.fixes).reshape(-1, COLUMNS)
        sent_at = math.nan if self.sent_at is None else self.sent_at
        return Report(self.seq, rows, sent_at, self.index, self.rejected)


class Reports(msgspec.Struct, array_like=True):
    """The reports of one instance and tick: one entry of the stream."""

    instance: str
    reports: list[SentReport]


# To the engine


class Positions(msgspec.Struct, array_like=True, tag="positions"):
    """Where are the drivers that a topic shows? Whoever asks hears the topic from now on."""

    topic: str


class Settle(msgspec.Struct, array_like=True, tag="settle"):
    """Personal messages, by topic and seq, wait no longer."""

    settled: list[tuple[str, int]]


class UpdateOrder(msgspec.Struct, array_like=True, tag="update_order"):
    """Move an order on, as `Office.update_order`."""

    viewer: Viewer
    order_id: str
    status: str
    details: dict[str, Any] | None
    now: float


class ConfirmDelivery(msgspec.Struct, array_like=True, tag="confirm_delivery"):
    """Note that goods were handed over, as `Office.confirm_delivery`."""

    viewer: Viewer
    message: DeliveryConfirmed
    now: float


class HttpRequest(msgspec.Struct, array_like=True, tag="http"):
    """An HTTP request of somebody who was authenticated; without the token."""

    viewer: Viewer
    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


Wanted = Positions | Settle | UpdateOrder | ConfirmDelivery | HttpRequest


class Request(msgspec.Struct, array_like=True):
    """A request to the engine, and who wants the answer."""

    instance: str
    id: int
    wanted: Wanted


# To an instance


class Located(msgspec.Struct, array_like=True):
    """Whole `driver.location` frame of a driver."""

    driver_id: str
    fix_time: float
    frame: bytes


class Told(msgspec.Struct, array_like=True):
    """A stored message; of a personal one also the seqs in other topics of those that tell the same."""

    seq: int
    others: dict[str, int]
    event_id: str
    topic: str
    body: bytes
    created_at: float
    priority: Priority
    expires_at: float | None

    @property
    def message(self) -> Message:
        """The message again."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in Message.__struct_fields__}
        return Message(**fields) if self.expires_at is None else Personal(**fields, expires_at=self.expires_at)


class HttpAnswer(msgspec.Struct, array_like=True):
    """An HTTP answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Answer(msgspec.Struct, array_like=True, tag="answer"):
    """The answer to the request with this id."""

    id: int
    result: msgspec.Raw


class Refused(msgspec.Struct, array_like=True, tag="refused"):
    """The request with this id was refused."""

    id: int
    code: str
    message: str
    field: str | None


class Acks(msgspec.Struct, array_like=True, tag="acks"):
    """Answers to reports, by their ids."""

    replies: list[tuple[int, LocationAck | Error]]


class Close(msgspec.Struct, array_like=True, tag="close"):
    """A connection has to end: its user has newer ones."""

    connection_id: str


ToInstance = Answer | Refused | Acks | Close

encode = msgspec.msgpack.encode
decode_reports = msgspec.msgpack.Decoder(Reports).decode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_to_instance = msgspec.msgpack.Decoder(ToInstance).decode
decode_told = msgspec.msgpack.Decoder(Told).decode
decode_located = msgspec.msgpack.Decoder(list[Located]).decode
decode_http_answer = msgspec.msgpack.Decoder(HttpAnswer).decode


def encode_told(message: Message, seq: int, others: dict[str, int]) -> bytes:
    """A publication of a reliable message."""
    expires_at = message.expires_at if isinstance(message, Personal) else None
    parts = message.event_id, message.topic, message.body, message.created_at, message.priority
    return RELIABLE + encode(Told(seq, others, *parts, expires_at))


def encode_latest(located: list[Located]) -> bytes:
    """A publication of locations."""
    return LATEST + encode(located)
