"""Records: what they count, and that the documents among them survive being stored."""

import msgspec
import numpy as np
import pytest

from tracker.records import (
    ENDED,
    Delivery,
    Destination,
    Event,
    FixBatch,
    Geofence,
    Order,
    Route,
    Track,
    Transition,
    event_id,
)


def order(**fields) -> Order:
    return Order(order_id="X", customer_id="C", destination=Destination(latitude=25.0, longitude=121.5), **fields)


def test_a_batch_is_as_long_as_its_columns():
    column = np.zeros(3)
    assert len(FixBatch(np.zeros(3, np.int64), *([column] * 7))) == 3


def test_an_empty_track_has_no_runs_and_one_offset():
    track = Track.empty()
    assert len(track) == 0
    assert track.offset.tolist() == [0]
    assert all(len(column) == 0 for column in (track.kind, track.connected, track.fix_time, track.accuracy))


@pytest.mark.parametrize("status", ["assigned", "delivering", "driver_arrived", "departed"])
def test_an_order_goes_on_until_it_ends(status):
    assert not order(status=status).ended


@pytest.mark.parametrize("status", sorted(ENDED))
def test_an_ended_order_is_ended(status):
    assert order(status=status).ended


@pytest.mark.parametrize(
    "document",
    [
        order(products=[{"name": "20kg 瓦斯桶", "quantity": 1}], details={"notes": "路上"}, arrived_at=1.25),
        Geofence(geofence_id="G", type="Point", coordinates=[121.5, 25.0], radius=50.0),
        Route(route_id="R", driver_id="D", stops=["X"], path=[[121.5, 25.0], [121.6, 25.0]]),
        Transition(event_id="e", driver_id="D", occurred_at=1.5, detected_at=2.0, kind="enter", geofence_id="G"),
        Delivery(
            event_id="e", driver_id="D", occurred_at=1, detected_at=2, kind="departed", order_id="X", customer_id="C"
        ),
    ],
)
def test_what_is_stored_comes_back_equal(document):
    assert msgspec.json.decode(msgspec.json.encode(document), type=type(document)) == document


def test_an_event_is_certain_and_in_time_unless_it_says_otherwise():
    event = Event(event_id="e", driver_id="D", occurred_at=1.0, detected_at=1.0)
    assert (event.confidence, event.late, event.evidence) == (1.0, False, {})


def test_an_event_id_follows_from_what_happened():
    assert event_id("enter", "D", "G", 1500) == event_id("enter", "D", "G", "1500")
    assert len({event_id("enter", "D1", "G"), event_id("enter", "D", "1G"), event_id("exit", "D1", "G")}) == 3
