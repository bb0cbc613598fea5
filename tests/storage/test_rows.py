"""What goes into a row comes out of it."""

from typing import Any

import pytest

from storage import rows
from storage.store import Document
from tracker.records import Delivery, Destination, Event, Geofence, Message, Order, Route, Transition

ORDER = Order(
    order_id="O1",
    customer_id="C1",
    driver_id="D1",
    customer_name="王小明",
    destination=Destination(latitude=25.0, longitude=121.5, radius=40.0),
    products=[{"name": "20kg 瓦斯桶", "quantity": 1}],
    arrived_at=1_760_000_000.125,
)
GEOFENCE = Geofence(geofence_id="G1", type="Point", coordinates=[121.5, 25.0], radius=50.0, properties={"name": "倉庫"})
ROUTE = Route(route_id="R1", driver_id="D1", stops=["O1", "O2"], path=[[121.5, 25.0], [121.6, 25.1]])
EVENTS: list[Event] = [
    Transition(
        event_id="e1",
        driver_id="D1",
        occurred_at=1_760_000_000.123,
        detected_at=1_760_000_005.0,
        kind="enter",
        geofence_id="G1",
        confidence=0.75,
        late=True,
        evidence={"fixes": 3, "accuracy": 4.5},
    ),
    Delivery(
        event_id="e2",
        driver_id="D1",
        occurred_at=1_760_000_001.0,
        detected_at=1_760_000_001.0,
        kind="eta_changed",
        order_id="O1",
        customer_id="C1",
        eta=1_760_000_600.0,
        eta_low=1_760_000_500.0,
    ),
]
EVENT_COLUMNS = rows.INSERT_EVENT.partition("(")[2].partition(")")[0].replace("\n", "").replace(" ", "").split(",")


@pytest.mark.parametrize("document", [ORDER, GEOFENCE, ROUTE])
def test_a_document_comes_back_from_its_row(document: Document):
    values = rows.document_values(document)
    columns = (*rows.TABLES[type(document)].columns, "document")
    row = dict(zip(columns, values, strict=True))
    assert rows.document(type(document), row) == document
    assert rows.key(document) == values[0]


def test_an_order_is_found_by_its_columns():
    assert rows.document_values(ORDER)[:5] == ("O1", "C1", "D1", "assigned", False)


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_comes_back_from_its_row(event: Event):
    row: dict[str, Any] = dict(zip(EVENT_COLUMNS, rows.event_values(event), strict=True))
    assert rows.event(row) == event


def test_a_message_comes_back_byte_for_byte():
    message = Message(event_id="e1", topic="order:O1", body=b'{"b":1, "a":"\\u0000"}', created_at=1.5, priority="high")
    columns = ("topic", "seq", "event_id", "priority", "created_at", "body", "waits_until")
    assert rows.message(dict(zip(columns, rows.message_values(message, 7), strict=True))) == (7, message)


def test_upsert_replaces_everything_but_the_key():
    assert rows.TABLES[Route].upsert == (
        "INSERT INTO routes (route_id, driver_id, document) VALUES ($1, $2, $3) "
        "ON CONFLICT (route_id) DO UPDATE SET driver_id = excluded.driver_id, document = excluded.document"
    )
