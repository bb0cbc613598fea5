"""What is deleted: what is old, and what is about one person. Each statement has a name and returns what it deletes."""

from collections.abc import Sequence

from storage.rows import Statement

Erasure = tuple[str, Statement]

SLICE_ROWS = 1000
"""Of a table, deleted at once."""
_PAST = """
    DELETE FROM {table} WHERE ({key}) IN (
        SELECT {key} FROM {table} WHERE {time} < $1 {unless} LIMIT $2
    ) RETURNING 1"""
_STILL_INSIDE = """
    AND NOT (kind = 'enter' AND NOT EXISTS (
        SELECT 1 FROM events AS later
        WHERE later.driver_id = events.driver_id AND later.geofence_id = events.geofence_id
          AND later.occurred_at > events.occurred_at AND later.kind IN ('enter', 'exit')
    ))"""
"""A driver who is inside stays so."""
_OLD = (
    ("events", "event_id", "occurred_at", _STILL_INSIDE),
    ("former_events", "event_id, version", "occurred_at", ""),
    ("eta_scores", "event_id", "arrived_at", ""),
    ("judgements", "driver_id, fix_time", "fix_time", ""),
    ("late_spans", "driver_id, start_time, end_time", "end_time", ""),
    ("driver_hours", "driver_id, hour", "hour", ""),
)
_OLD_MESSAGES = ("messages", "topic, seq", "created_at", "")

_OF_DRIVER = ("drivers", "driver_hours", "judgements", "late_spans", "events", "former_events", "eta_scores", "routes")
_MESSAGES_OF_DRIVER = """
    DELETE FROM messages WHERE topic = 'driver:' || $1 OR body ->> 'driver_id' = $1 RETURNING 1"""
_MESSAGES_OF_CUSTOMER = """
    DELETE FROM messages
    WHERE topic = 'user:' || $1 OR substr(topic, length(topic) - length($2) + 1) = $2 RETURNING 1"""
_MESSAGES_OF_ORDER = "DELETE FROM messages WHERE body ->> 'order_id' = $1 RETURNING 1"


def older(before: float) -> list[Erasure]:
    """Some of what is from before a time, beside tracks and messages."""
    return [_past(*table, before) for table in _OLD]


def older_messages(before: float) -> list[Erasure]:
    """Some of the messages from before a time."""
    return [_past(*_OLD_MESSAGES, before)]


def of_driver(driver_id: str) -> list[Erasure]:
    """All about a driver but orders."""
    names = {"{runs}": "tracks"} | {table: table for table in _OF_DRIVER}
    found = [
        (name, Statement(f"DELETE FROM {table} WHERE driver_id = $1 RETURNING 1", [(driver_id,)]))  # noqa: S608
        for table, name in names.items()
    ]
    return [("messages", Statement(_MESSAGES_OF_DRIVER, [(driver_id,)])), *found]


def of_models(version: int) -> list[Erasure]:
    """The ETA models up to a version."""
    return [("eta_models", Statement("DELETE FROM eta_models WHERE version <= $1 RETURNING 1", [(version,)]))]


def of_customer(customer_id: str, order_ids: Sequence[str]) -> list[Erasure]:
    """All about a customer, whose orders these are, but the orders."""
    orders = [(order_id,) for order_id in order_ids]
    found = [("messages", Statement(_MESSAGES_OF_CUSTOMER, [(customer_id, f"@customer:{customer_id}")]))]
    for table in ("events", "former_events"):
        sql = f"DELETE FROM {table} WHERE customer_id = $1 RETURNING 1"  # noqa: S608
        found.append((table, Statement(sql, [(customer_id,)])))
    if orders:
        scores = "DELETE FROM eta_scores WHERE order_id = $1 RETURNING 1"
        found += [
            ("messages", Statement(_MESSAGES_OF_ORDER, list(orders))),
            ("eta_scores", Statement(scores, list(orders))),
        ]
    return found


def _past(table: str, key: str, time: str, unless: str, before: float) -> Erasure:
    return table, Statement(_PAST.format(table=table, key=key, time=time, unless=unless), [(before, SLICE_ROWS)])
