"""Compare what is told of a driver's past now with what was told of it before: new, amended and withdrawn events."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from tracker.records import Delivery, Event, Order, Transition, event_id

SAME_S = 0.001
"""An event that moved by no more is the same; times are kept to the millisecond."""
MILESTONE = {"approaching": "approaching_at", "driver_arrived": "arrived_at", "departed": "departed_at"}
"""Where an order keeps when its delivery reached a status, in the order in which it does."""
NOTICES = frozenset({"approaching"})
"""What is only worth telling when it is so: recorded where it never was, else left as it was told."""

_Key = tuple[str, str]


def compare(
    told: Iterable[Event], stored: Iterable[Event], comparable: Callable[[Event], bool], first: float, until: float
) -> list[Event]:
    """Versions to store, in order of time, of what was detected from `first` to `until`.

    An event found now is the same as the stored one next in time of its kind and geofence or order: so a visit keeps
    its identity when its times move, and nothing is told twice.
    """
    groups: dict[_Key, tuple[list[Event], list[Event]]] = defaultdict(lambda: ([], []))
    for side, events in enumerate((told, stored)):
        for event in events:
            if comparable(event):
                groups[_key(event)][side].append(event)
    changed = [event for found, known in groups.values() for event in _compare(found, known, first, until)]
    return sorted(changed, key=lambda event: (event.occurred_at, event.event_id))


def newest_versions(events: Iterable[Event]) -> list[Event]:
    """Of each event the newest version."""
    newest: dict[str, Event] = {}
    for event in events:
        if event.event_id not in newest or event.version > newest[event.event_id].version:
            newest[event.event_id] = event
    return list(newest.values())


def with_milestones(order: Order, events: Sequence[Event]) -> Order:
    """The order as these versions of its milestones leave it; an order that has ended stays as it is."""
    if order.ended:
        return order
    times = {
        MILESTONE[event.kind]: None if event.withdrawn else event.occurred_at
        for event in events
        if isinstance(event, Delivery) and event.order_id == order.order_id and event.kind in MILESTONE
    }
    after = replace(order, **times)
    status = next((kind for kind in reversed(MILESTONE) if getattr(after, MILESTONE[kind]) is not None), None)
    return replace(after, status=status or ("assigned" if order.status in MILESTONE else order.status))


def _key(event: Event) -> _Key:
    assert isinstance(event, Transition | Delivery)
    return event.kind, event.geofence_id if isinstance(event, Transition) else event.order_id


def _compare(told: list[Event], stored: list[Event], first: float, until: float) -> list[Event]:
    if stored and _key(stored[0])[0] in NOTICES:
        return []
    pairs = _pairs(told, stored)
    ids = {event.event_id for event in stored}
    changed = []
    for i, event in enumerate(told):
        before = pairs.get(i)
        if before is None:
            changed.append(replace(event, event_id=_unlike(event, ids), late=True))
        elif before.withdrawn or abs(before.occurred_at - event.occurred_at) > SAME_S:
            changed.append(replace(event, event_id=before.event_id, version=before.version + 1, late=before.late))
    paired = {before.event_id for before in pairs.values()}
    gone = (event for event in stored if event.event_id not in paired and not event.withdrawn)
    changed += [replace(event, version=event.version + 1, withdrawn=True) for event in gone]
    return [event for event in changed if first <= event.detected_at <= until]


def _pairs(told: list[Event], stored: list[Event]) -> dict[int, Event]:
    """By the place of what is told now, what was stored of it: the same moment first, then the next in time."""
    near = sorted(
        (abs(event.occurred_at - before.occurred_at), event.event_id != before.event_id, i, k)
        for i, event in enumerate(told)
        for k, before in enumerate(stored)
        if not before.withdrawn
    )
    pairs: dict[int, Event] = {}
    taken: set[int] = set()
    for _, _, i, k in near:
        if i not in pairs and k not in taken:
            pairs[i] = stored[k]
            taken.add(k)
    withdrawn = {before.event_id: before for before in stored if before.withdrawn}
    again = {i: withdrawn[event.event_id] for i, event in enumerate(told) if event.event_id in withdrawn}
    return again | pairs


def _unlike(event: Event, ids: set[str]) -> str:
    """The event's id; another where a visit that has moved bears it."""
    if event.event_id not in ids:
        return event.event_id
    return event_id(event.event_id, round(event.occurred_at * 1000))
