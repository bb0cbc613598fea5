"""What one instance writes the other reads."""

import msgspec
import numpy as np
import pytest

from api.cluster import wire
from tests.site import DRIVER
from tracker.codec import Report
from tracker.mail import Personal
from tracker.messages import DeliveryConfirmed, Error, LocationAck, Rejected
from tracker.records import Message


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_report_arrives_as_it_was(count: int) -> None:
    fixes = np.arange(7.0 * count).reshape(-1, 7)
    fixes[:, 3] = np.nan
    rejected = [Rejected(4, "not_a_number", "…")]
    report = Report(17, fixes, index=[0, 2, 3][:count], rejected=rejected)
    data = wire.encode(wire.Reports("i", [wire.SentReport.of(9, "D1", report, 5.5)]))
    (sent,) = wire.decode_reports(data).reports
    assert (sent.id, sent.driver_id, sent.received_at) == (9, "D1", 5.5)
    assert np.array_equal(sent.report.fixes, fixes, equal_nan=True)
    assert np.isnan(sent.report.sent_at)
    assert (sent.report.seq, sent.report.index, sent.report.rejected) == (17, report.index, rejected)


@pytest.mark.parametrize("kind", [Message, Personal])
def test_a_message_arrives_as_it_was(kind: type[Message]) -> None:
    more = {"expires_at": 9.0} if kind is Personal else {}
    message = kind(event_id="e", topic="user:U1", body=b'{"a":"\xe7\x93\xa6"}', created_at=1.5, priority="high", **more)
    data = wire.encode_told(message, 7, {"orders": 3})
    assert data[:1] == wire.RELIABLE
    told = wire.decode_told(data[1:])
    assert (told.message, told.seq, told.others) == (message, 7, {"orders": 3})
    assert type(told.message) is kind


@pytest.mark.parametrize(
    "wanted",
    [
        wire.Positions("drivers"),
        wire.Settle([("user:U1", 3)]),
        wire.UpdateOrder(DRIVER, "O1", "delivered", {"a": [1]}, 2.0),
        wire.ConfirmDelivery(DRIVER, DeliveryConfirmed("O1", confirmed_at=12.5), 2.0),
        wire.HttpRequest(DRIVER, "PUT", "/x", b"a=1", [(b"accept", b"*/*")], b"{}"),
    ],
    ids=lambda wanted: type(wanted).__name__,
)
def test_a_request_arrives_as_it_was(wanted: wire.Wanted) -> None:
    request = wire.Request("i", 3, wanted)
    assert wire.decode_request(wire.encode(request)) == request


@pytest.mark.parametrize(
    "message",
    [
        wire.Answer(1, msgspec.Raw(b"\xc0")),
        wire.Refused(1, "conflict", "no", "status"),
        wire.Acks([(1, LocationAck(seq=2, accepted=1, duplicates=0, rejected=[])), (2, Error(code="x", message="y"))]),
        wire.Close("conn-1"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_an_instance_is_told_arrives_as_it_was(message: wire.ToInstance) -> None:
    assert wire.decode_to_instance(wire.encode(message)) == message


def test_names_of_two_stores_never_meet() -> None:
    one, other = wire.Names("a"), wire.Names("b")
    assert one.topic("drivers") != other.topic("drivers")
    assert one.topic("drivers").startswith(one.topics)
