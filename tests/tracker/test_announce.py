import msgspec

from tests.tracker.test_deliveries import order
from tracker.announce import amended_messages, delivery_messages, order_messages, route_messages, transition_messages
from tracker.mail import Personal
from tracker.messages import OrderCreated
from tracker.records import Delivery, Route, Transition


def delivery(**changes) -> Delivery:
    given = dict(
        event_id="e1",
        kind="driver_arrived",
        order_id="o1",
        customer_id="c1",
        driver_id="d",
        occurred_at=1737369900.0,
        detected_at=1737369904.5,
        confidence=0.98,
    )
    return Delivery(**(given | changes))


def test_an_arrival_reaches_the_office_the_driver_and_the_customer_in_chinese() -> None:
    messages = delivery_messages(delivery(), order(), "zh-TW")
    assert {m.topic for m in messages} == {
        "orders",
        "order:o1",
        "orders@driver:d",
        "orders@customer:c1",
        "order:o1@customer:c1",
        "order:o1@driver:d",
        "user:c1",
    }
    (waits,) = (m for m in messages if isinstance(m, Personal))
    assert (waits.topic, waits.expires_at) == ("user:c1", 1737369904.5 + 1800)
    assert {m.event_id for m in messages} == {"e1"}
    assert {m.priority for m in messages} == {"critical"}
    body = msgspec.json.decode(messages[0].body)
    assert body == {
        "type": "delivery.update",
        "status": "driver_arrived",
        "message": "司機已到達，請準備接收瓦斯",
        "order_id": "o1",
        "timestamp": "2025-01-20T10:45:04.500Z",
        "driver_id": "d",
        "occurred_at": "2025-01-20T10:45:00Z",
        "confidence": 0.98,
        "texts": {"en": {"message": "Your driver has arrived; please get ready to receive your gas"}},
    }


def test_one_found_late_is_never_announced_to_the_customer() -> None:
    messages = delivery_messages(delivery(late=True), order(), "en")
    assert messages
    assert not any("customer" in m.topic for m in messages)
    assert msgspec.json.decode(messages[0].body)["late"] is True


def test_a_withdrawn_eta_is_null_and_says_so() -> None:
    body = msgspec.json.decode(delivery_messages(delivery(kind="eta_changed"), order(), "en")[0].body)
    assert [body[name] for name in ("eta", "eta_low", "eta_high")] == [None, None, None]
    assert body["message"] == "The time of arrival cannot be predicted for the moment"


def test_an_eta_comes_with_its_interval() -> None:
    event = delivery(kind="eta_changed", eta=1737370000.0, eta_low=1737369950.0, eta_high=1737370100.0)
    body = msgspec.json.decode(delivery_messages(event, order(), "en")[0].body)
    assert (body["eta_low"], body["eta"], body["eta_high"]) == (
        "2025-01-20T10:45:50Z",
        "2025-01-20T10:46:40Z",
        "2025-01-20T10:48:20Z",
    )


def test_others_go_to_those_they_concern() -> None:
    crossing = Transition(event_id="t", driver_id="d", occurred_at=1.0, detected_at=2.0, kind="enter", geofence_id="g")
    assert [m.topic for m in transition_messages(crossing)] == ["geofence:g", "driver:d"]
    route = Route(route_id="r", driver_id="d", stops=[])
    assert [m.topic for m in route_messages(route, 1.0)] == ["routes", "routes@driver:d"]
    created = OrderCreated(order_id="o1", customer_id="c1")
    assert {m.created_at for m in order_messages(created, order(), event_id="x", now=3.0)} == {3.0}


def test_a_correction_says_so_and_reaches_no_customer() -> None:
    event = delivery(version=2, late=True)
    messages = amended_messages(event, {"o1": order()})
    assert {m.topic for m in messages} == {"orders", "order:o1", "orders@driver:d", "order:o1@driver:d"}
    body = msgspec.json.decode(messages[0].body)
    assert (body["type"], body["amends"], body["version"], body["order_id"]) == ("event.amended", "e1", 2, "o1")
    assert messages[0].event_id != "e1"
    fence = Transition(
        event_id="t1",
        kind="exit",
        driver_id="d",
        geofence_id="G",
        occurred_at=1737369900.0,
        detected_at=1737369904.5,
        version=3,
        withdrawn=True,
    )
    messages = amended_messages(fence, {})
    assert {m.topic for m in messages} == {"geofence:G", "driver:d"}
    assert msgspec.json.decode(messages[0].body)["withdrawn"] is True
