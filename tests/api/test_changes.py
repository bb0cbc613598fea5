"""What a change makes of an order, and what people hear of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from api.changes import (
    created_messages,
    deleted_messages,
    deliveries,
    moved_on,
    replaced,
    reported_time,
    updated_messages,
)
from tracker.errors import Conflict, InvalidInput
from tracker.records import Destination, Order

HERE = Destination(latitude=25.0, longitude=121.5)
THERE = Destination(latitude=26.0, longitude=121.5)


def order(**changes: Any) -> Order:
    given: dict[str, Any] = dict(order_id="O1", customer_id="C1", driver_id="D1", destination=HERE, created_at=1.0)
    return Order(**given | changes)


UNDER_WAY = order(status="driver_arrived", approaching_at=10.0, arrived_at=20.0, details={"notes": "door"})
DELIVERED = order(status="delivered", approaching_at=10.0, arrived_at=20.0, departed_at=30.0)


def bodies(messages: list[Any]) -> dict[str, dict[str, Any]]:
    return {message.topic: msgspec.json.decode(message.body) for message in messages}


# A PUT


def test_a_put_that_says_less_undoes_nothing():
    after = replaced(UNDER_WAY, order(created_at=0.0), status_given=False, now=100.0)
    assert after == UNDER_WAY


def test_a_put_that_says_the_first_status_again_does_not_move_the_delivery_back():
    assert replaced(UNDER_WAY, order(), status_given=True, now=100.0) == UNDER_WAY
    assert replaced(order(status="en_route"), order(), status_given=True, now=100.0).status == "assigned"


@pytest.mark.parametrize("change", [{"driver_id": "D2"}, {"destination": THERE}])
def test_another_driver_or_destination_is_a_delivery_from_the_start(change):
    after = replaced(UNDER_WAY, order(**change), status_given=False, now=100.0)
    assert (after.status, after.approaching_at, after.arrived_at) == ("assigned", None, None)
    assert (after.created_at, after.assigned_at, after.details) == (1.0, 100.0, {"notes": "door"})


def test_a_pin_put_right_is_the_same_delivery():
    beside = Destination(latitude=HERE.latitude, longitude=HERE.longitude + 0.0003)
    after = replaced(UNDER_WAY, order(destination=beside), status_given=False, now=100.0)
    assert (after.destination, after.status, after.arrived_at) == (beside, "driver_arrived", 20.0)
    assert after.assigned_at is None


@pytest.mark.parametrize(("now", "goes_on"), [(200.0, True), (2000.0, False)])
def test_a_driver_who_gets_an_order_back_soon_goes_on_with_it(now: float, goes_on: bool):
    away = replaced(UNDER_WAY, order(driver_id="D2"), status_given=False, now=100.0)
    back = replaced(away, order(), status_given=False, now=now)
    assert (back.status, back.arrived_at) == (("driver_arrived", 20.0) if goes_on else ("assigned", None))
    assert back.assigned_at == (None if goes_on else now)
    left = msgspec.structs.replace(UNDER_WAY, departed_at=30.0)
    away = replaced(left, order(driver_id="D2"), status_given=False, now=100.0)
    assert replaced(away, order(), status_given=False, now=110.0).arrived_at is None  # he had left


def test_an_ended_order_opens_again_only_when_the_put_says_so():
    assert replaced(DELIVERED, order(address="x"), status_given=False, now=100.0).status == "delivered"
    assert replaced(DELIVERED, order(driver_id="D2"), status_given=False, now=100.0).status == "delivered"
    opened = replaced(DELIVERED, order(), status_given=True, now=100.0)
    assert (opened.status, opened.arrived_at, opened.departed_at) == ("assigned", None, None)


# A new status


def test_details_add_up():
    after = moved_on(UNDER_WAY, "loading", {"eta": "soon"})
    assert (after.status, after.details) == ("loading", {"notes": "door", "eta": "soon"})
    assert moved_on(order(), "loading", None).details is None


@pytest.mark.parametrize("status", ["assigned", "delivering", "en_route"])
def test_a_late_report_of_setting_out_does_not_undo_an_arrival(status):
    assert moved_on(UNDER_WAY, status, None) == UNDER_WAY


def test_an_ended_order_moves_on_no_more():
    assert moved_on(DELIVERED, "delivered", None) == DELIVERED
    for status in ("failed", "delivering"):
        with pytest.raises(Conflict, match="delivered"):
            moved_on(DELIVERED, status, None)


@pytest.mark.parametrize("status", ["", "x" * 129])
def test_a_status_is_a_short_text(status):
    with pytest.raises(InvalidInput) as caught:
        moved_on(order(), status, None)
    assert caught.value.field == "status"


# What customers hear


def kinds(before: Order | None, after: Order) -> list[str]:
    return [event.kind for event in deliveries(before, after, now=100.0, occurred_at=90.0, role="driver")]


@pytest.mark.parametrize(
    ("before", "after", "heard"),
    [
        (None, order(), ["assigned"]),
        (None, order(driver_id=None), []),
        (None, order(status="delivering"), ["assigned", "en_route"]),
        (None, DELIVERED, []),
        (order(driver_id=None), order(), ["assigned"]),
        (order(), order(driver_id="D2"), ["assigned"]),
        (order(), order(address="x"), []),
        (order(), order(status="delivering"), ["en_route"]),
        (order(status="delivering"), order(status="en_route"), []),
        (order(status="delivering"), order(status="delivered"), ["delivered"]),
        (order(), order(status="failed"), ["failed"]),
        (order(), order(status="cancelled"), []),
        (order(driver_id=None), order(driver_id=None, status="delivered"), []),
        (order(driver_id="D2"), order(status="delivered"), ["delivered"]),
    ],
)
def test_each_step_is_heard_once(before, after, heard):
    assert kinds(before, after) == heard


def test_a_delivery_says_who_reported_it_and_when():
    (event,) = deliveries(order(), order(status="delivered"), now=100.0, occurred_at=90.0, role="driver")
    assert (event.occurred_at, event.detected_at, event.evidence) == (90.0, 100.0, {"reported_by": "driver"})
    again = deliveries(order(), order(status="delivered"), now=100.0, occurred_at=90.0, role="driver")
    assert again == [event]


# Messages


def test_a_new_order_is_described_to_those_it_concerns():
    said = bodies(created_messages(order(customer_name="王小明", address="台北市"), 100.0))
    own = {"orders@driver:D1", "order:O1@driver:D1", "orders@customer:C1", "order:O1@customer:C1"}
    assert set(said) == {"orders", "order:O1"} | own
    assert said["orders"] == {
        "type": "order.created", "order_id": "O1", "customer_id": "C1", "customer_name": "王小明",
        "address": "台北市", "driver_id": "D1", "status": "assigned",
    }  # fmt: skip


def test_those_whom_an_order_concerns_no_longer_hear_so_without_its_details():
    said = bodies(updated_messages(order(), order(driver_id="D2", customer_id="C2", details={"door": "code"}), 100.0))
    assert said["orders@driver:D2"]["details"] == {"door": "code"}
    for topic in ("orders@driver:D1", "order:O1@driver:D1", "orders@customer:C1", "order:O1@customer:C1"):
        assert said[topic] == {"type": "order.updated", "order_id": "O1", "status": "assigned"}


def test_changes_at_different_times_are_different_events():
    first, second = (updated_messages(order(), order(status="x"), now)[0].event_id for now in (100.0, 100.001))
    assert first != second
    assert first == updated_messages(order(), order(status="x"), 100.0)[0].event_id


def test_a_deleted_order_is_updated_for_the_last_time():
    assert bodies(deleted_messages(order(), 100.0))["orders"]["status"] == "deleted"


@pytest.mark.parametrize(
    ("stamp", "meant"),
    [
        (None, 2000.0),
        (1500.0, 1500.0),
        (datetime.fromtimestamp(1500.25, UTC), 1500.25),
        (9e15, 2000.0),  # a clock ahead of ours
        (-1e300, 0.0),
    ],
)
def test_a_reported_time_is_never_ahead_of_now(stamp, meant):
    assert reported_time(stamp, now=2000.0) == meant
