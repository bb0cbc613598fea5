import msgspec
import pytest

from tracker.channels import order_topics
from tracker.errors import InvalidInput, MessageTooLarge, NotFound, UnknownChannel
from tracker.mail import Personal
from tracker.publications import MAX_EVENT, QueuePriority, publication, topics
from tracker.records import Destination, Order

NOW = 1_760_000_000.0
ORDER = Order(order_id="O1", customer_id="C1", driver_id="D1", destination=Destination())


def checked(priority: str = "normal", **event):
    return publication(event, priority, new_id="new", now=NOW, ttl_s=60.0)


def test_a_message_is_a_notification_where_it_does_not_say_and_gets_what_it_lacks():
    given = checked(message="您有新的配送任務", title="新訂單")
    assert (given.event_id, given.priority, given.expires_at) == ("new", QueuePriority.NORMAL, NOW + 60)
    assert given.body == {
        "type": "notification",
        "message": "您有新的配送任務",
        "title": "新訂單",
        "severity": "info",
        "timestamp": "2025-10-09T08:53:20Z",
    }


def test_it_keeps_fields_of_its_own_but_not_those_that_are_given_when_it_is_stored():
    given = checked("high", type="invoice.paid", amount=5, event_id="E7", channel="x", seq=9, expires_at=NOW + 5)
    assert (given.event_id, given.expires_at) == ("E7", NOW + 5)
    assert {"amount"} == given.body.keys() - {"type", "timestamp", "expires_at"}
    message = given.to("system")
    assert (message.topic, message.priority, type(message).__name__) == ("system", "high", "Message")
    assert msgspec.json.decode(message.body)["type"] == "invoice.paid"
    waits = given.to("user:U1")
    assert isinstance(waits, Personal)
    assert waits.expires_at == NOW + 5


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"type": "driver.location"}, "type"),
        ({"type": "error", "message": "m"}, "type"),
        ({"type": "subscribed"}, "type"),
        ({"type": "driver.status"}, "type"),
        ({"type": "nodot"}, "type"),
        ({"type": 5}, "type"),
        ({"type": "Invoice.Paid"}, "type"),
        ({}, None),
        ({"message": 5}, "message"),
        ({"message": "m", "severity": "loud"}, "severity"),
        ({"type": "order.updated", "order_id": "O1"}, None),
        ({"message": "m", "texts": {"de": {"message": "m"}}}, "texts"),
        ({"message": "m", "texts": {"en": {"message": 5}}}, "texts"),
        ({"message": "m", "event_id": ""}, "event_id"),
        ({"message": "m", "event_id": 5}, "event_id"),
        ({"message": "m", "expires_at": "soon"}, "expires_at"),
        ({"message": "a\0b"}, None),
        ({"message": "m", "action": object()}, "action"),
    ],
)
def test_what_is_wrong_is_named(event, field):
    with pytest.raises(InvalidInput) as caught:
        checked(**event)
    assert caught.value.field == field
    assert caught.value.message


def test_it_is_bounded_and_its_priority_is_one():
    checked(message="x" * (MAX_EVENT - 200))
    with pytest.raises(MessageTooLarge):
        checked(message="x" * MAX_EVENT)
    with pytest.raises(InvalidInput, match="critical, high, normal, low"):
        checked("urgent", message="m")


@pytest.mark.parametrize(
    ("channel", "event", "order", "told"),
    [
        ("system", {}, None, ["system"]),
        ("drivers", {}, None, ["drivers"]),
        ("driver:D1", {}, None, ["driver:D1"]),
        ("geofence:g", {}, None, ["geofence:g"]),
        ("user:U1", {}, None, ["user:U1"]),
        ("orders", {}, ORDER, order_topics(ORDER)),
        ("order:O1", {}, ORDER, order_topics(ORDER)),
        ("orders", {"driver_id": "D2"}, None, ["orders", "orders@driver:D2"]),
        (
            "orders",
            {"driver_id": "D2", "customer_id": "C2"},
            None,
            ["orders", "orders@driver:D2", "orders@customer:C2"],
        ),
        ("routes", {"driver_id": "D2", "customer_id": "C2"}, None, ["routes", "routes@driver:D2"]),
        ("customers", {"customer_id": "C2"}, None, ["customers", "customers@customer:C2"]),
        ("customers", {"customer_id": 5}, None, ["customers"]),
        ("customers", {"customer_id": "a@customer:b"}, None, ["customers"]),
    ],
)
def test_an_event_goes_to_the_office_and_to_those_it_names(channel, event, order, told):
    assert topics(channel, event, order) == told


@pytest.mark.parametrize(
    "channel", ["", "nonsense", "area:1,2,3,4", "user:", "driver:a@customer:b", "orders@driver:D1"]
)
def test_there_is_nothing_to_publish_on_elsewhere(channel):
    with pytest.raises(UnknownChannel):
        topics(channel, {}, ORDER)


def test_an_order_has_to_be_there():
    with pytest.raises(NotFound):
        topics("order:O9", {}, None)
