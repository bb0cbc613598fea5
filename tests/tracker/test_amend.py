"""A visit keeps its identity when late data moves it; what is new is late, what never happened is withdrawn."""

import pytest
from msgspec.structs import replace

from tests.fixes import T0
from tests.tracker.test_deliveries import order
from tracker.amend import compare, newest_versions, with_milestones
from tracker.records import Delivery, Event, Transition


def transition(event_id: str, kind: str, at: float, geofence_id: str = "G") -> Transition:
    return Transition(
        event_id=event_id,
        kind=kind,  # type: ignore[arg-type]
        driver_id="d",
        geofence_id=geofence_id,
        occurred_at=T0 + at,
        detected_at=T0 + at + 1,
    )


def milestone(kind: str, at: float, **changes: object) -> Delivery:
    event = Delivery(
        event_id=kind,
        kind=kind,  # type: ignore[arg-type]
        driver_id="d",
        order_id="o1",
        customer_id="c",
        occurred_at=T0 + at,
        detected_at=T0 + at,
    )
    return replace(event, **changes)


def amended(told: list[Event], stored: list[Event], first: float = 0.0, until: float = 1e6) -> list[Event]:
    return compare(told, stored, lambda event: True, T0 + first, T0 + until)


def test_what_is_as_it_was_told_changes_nothing() -> None:
    events = [transition("a", "enter", 100), transition("b", "exit", 200)]
    assert amended(events, events) == []
    moved = [replace(events[0], occurred_at=events[0].occurred_at + 0.0005)]
    assert amended(moved, events[:1]) == []


def test_a_visit_that_moved_is_the_same_visit_in_a_new_version() -> None:
    stored = transition("a", "enter", 100)
    told = replace(transition("new", "enter", 130), confidence=0.7)
    assert amended([told], [stored]) == [replace(told, event_id="a", version=2, late=False)]
    assert amended([told], [replace(stored, late=True, version=4)]) == [
        replace(told, event_id="a", version=5, late=True)
    ]


def test_a_visit_within_a_long_leg_is_new_and_late() -> None:
    stored = [transition("a", "enter", 100), transition("b", "exit", 400)]
    told = [stored[0], transition("c", "exit", 200), transition("d", "enter", 300), stored[1]]
    assert amended(told, stored) == [replace(told[1], late=True), replace(told[2], late=True)]


def test_a_visit_that_was_none_is_withdrawn_and_may_come_back() -> None:
    stored = transition("a", "enter", 100)
    gone = replace(stored, version=2, withdrawn=True)
    assert amended([], [stored]) == [gone]
    assert amended([], [gone]) == []
    assert amended([stored], [gone]) == [replace(stored, version=3)]


def test_events_of_other_kinds_and_places_are_others() -> None:
    told = [transition("x", "exit", 100), transition("y", "enter", 100, "H")]
    found = amended(told, [transition("a", "enter", 100)])
    assert {(event.event_id, event.version) for event in found} == {("x", 1), ("y", 1), ("a", 2)}


def test_only_what_was_detected_in_between_is_amended() -> None:
    told = [transition("new", "enter", t) for t in (10, 50, 90)]
    stored = [transition("old", "exit", t) for t in (10,)]
    assert [event.occurred_at - T0 for event in amended(told[1:2], stored, 40, 60)] == [50]
    assert amended(told[:1] + told[2:], stored, 40, 60) == []


def test_a_notice_is_recorded_once_and_left_as_it_was_told() -> None:
    told, before = milestone("approaching", 100), milestone("approaching", 80, event_id="before")
    assert amended([told], []) == [replace(told, late=True)]
    assert amended([told], [before]) == []
    assert amended([], [before]) == []


def test_of_each_event_the_newest_version_counts() -> None:
    one, two = transition("a", "enter", 1), replace(transition("a", "enter", 2), version=2)
    other = transition("b", "exit", 3)
    assert newest_versions([two, one, other]) == [two, other]


@pytest.mark.parametrize(
    ("status", "events", "expected"),
    [
        ("assigned", [milestone("driver_arrived", 5), milestone("departed", 9)], ("departed", T0 + 5, T0 + 9)),
        ("driver_arrived", [milestone("driver_arrived", 5, withdrawn=True)], ("assigned", None, None)),
        ("delivered", [milestone("driver_arrived", 5)], ("delivered", None, None)),
        ("en_route", [], ("en_route", None, None)),
        ("en_route", [milestone("driver_arrived", 5, order_id="other")], ("en_route", None, None)),
    ],
)
def test_an_order_learns_of_its_milestones_while_it_is_open(status, events, expected) -> None:
    after = with_milestones(order("o1", status=status), events)
    assert (after.status, after.arrived_at, after.departed_at) == expected
