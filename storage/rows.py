"""Documents, events and messages as rows, the same in both stores. Parameters are written $1, $2 in SQL."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from storage.store import D, Document
from tracker.mail import Personal
from tracker.records import Delivery, Event, Geofence, Message, Order, Route, Transition
from tracker.scores import Score

Row = Mapping[str, Any]
Values = tuple[Any, ...]


class Statement(NamedTuple):
    """SQL to run once for each tuple of values; its rows are all that it returned."""

    sql: str
    values: list[Values]


class Table(NamedTuple):
    """Where documents of a kind are: the key first, then what they are found by; the last column is the document."""

    name: str
    columns: tuple[str, ...]

    @property
    def key(self) -> str:
        """The column that identifies a document."""
        return self.columns[0]

    @property
    def upsert(self) -> str:
        """Insert or replace one document."""
        names = (*self.columns, "document")
        places = ", ".join(f"${place}" for place in range(1, len(names) + 1))
        replaced = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        return (
            f"INSERT INTO {self.name} ({', '.join(names)}) VALUES ({places}) "  # noqa: S608 names are from this file
            f"ON CONFLICT ({self.key}) DO UPDATE SET {replaced}"
        )


TABLES: dict[type[Document], Table] = {
    Order: Table("orders", ("order_id", "customer_id", "driver_id", "status", "ended")),
    Geofence: Table("geofences", ("geofence_id",)),
    Route: Table("routes", ("route_id", "driver_id")),
}

EVENT_COLUMNS = (
    *("event_id", "type", "kind", "driver_id", "geofence_id", "order_id", "customer_id", "occurred_at", "detected_at"),
    *("confidence", "late", "evidence", "eta", "eta_low", "eta_high", "version", "withdrawn"),
)
_EVENT = ", ".join(EVENT_COLUMNS)
_PLACES = ", ".join(f"${place}" for place in range(1, len(EVENT_COLUMNS) + 1))
INSERT_EVENT = f"INSERT INTO events ({_EVENT}) VALUES ({_PLACES}) ON CONFLICT (event_id) DO NOTHING"  # noqa: S608
KEEP_FORMER = f"""
    INSERT INTO former_events ({_EVENT}) SELECT {_EVENT} FROM events WHERE event_id = $1 AND version < $2
    ON CONFLICT DO NOTHING"""  # noqa: S608
_VERSION = f"${EVENT_COLUMNS.index('version') + 1}"
AMEND_EVENT = f"""
    UPDATE events SET ({_EVENT}) = ({_PLACES}) WHERE event_id = $1 AND version < {_VERSION}"""  # noqa: S608
JUDGE = """
    INSERT INTO judgements (driver_id, fix_time, kind) VALUES ($1, $2, $3)
    ON CONFLICT (driver_id, fix_time) DO UPDATE SET kind = excluded.kind"""
ADD_DRIVER = "INSERT INTO drivers (driver_id, since) VALUES ($1, $2) ON CONFLICT DO NOTHING"
NOTE_HOUR = """
    INSERT INTO driver_hours (driver_id, hour) VALUES ($1, $2)
    ON CONFLICT (driver_id, hour) DO UPDATE SET merged = false"""
JUDGEMENTS = "SELECT * FROM judgements WHERE driver_id = $1 AND fix_time >= $2 AND fix_time < $3"
ADD_LATE = """
    INSERT INTO late_spans (driver_id, start_time, end_time) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"""
DROP_LATE = "DELETE FROM late_spans WHERE driver_id = $1 AND start_time = $2 AND end_time = $3"
ANNOUNCED = "SELECT * FROM events WHERE order_id = $1 AND driver_id = $2 AND eta IS NOT NULL"
SCORE_COLUMNS = Score.__struct_fields__
INSERT_SCORE = f"""
    INSERT INTO eta_scores ({", ".join(SCORE_COLUMNS)})
    VALUES ({", ".join(f"${place}" for place in range(1, len(SCORE_COLUMNS) + 1))})
    ON CONFLICT (event_id) DO UPDATE SET arrived_at = excluded.arrived_at"""  # noqa: S608
DROP_SCORES = "DELETE FROM eta_scores WHERE order_id = $1 AND driver_id = $2"
INSERT_MODEL = """
    INSERT INTO eta_models (version, created_at, trips, model) VALUES ($1, $2, $3, $4)
    ON CONFLICT (version) DO NOTHING"""
DROP_MODELS = "DELETE FROM eta_models WHERE version <= $1"
KNOWN_MESSAGE = "SELECT topic, event_id, seq FROM messages WHERE topic = $1 AND event_id = $2"
NEXT_SEQ = """
    INSERT INTO topics (topic, seq) VALUES ($1, 1)
    ON CONFLICT (topic) DO UPDATE SET seq = topics.seq + 1 RETURNING seq"""
INSERT_MESSAGE = """
    INSERT INTO messages (topic, seq, event_id, priority, created_at, body, waits_until)
    VALUES ($1, $2, $3, $4, $5, $6, $7)"""
WAITING = "SELECT * FROM messages WHERE topic = $1 AND waits_until > $2 ORDER BY seq"
SETTLE = "UPDATE messages SET waits_until = NULL WHERE topic = $1 AND seq = $2"
EXPIRE = "UPDATE messages SET waits_until = NULL WHERE topic = $1 AND waits_until <= $2"
CROWD_OUT = """
    UPDATE messages SET waits_until = NULL WHERE topic = $1 AND seq IN (
        SELECT seq FROM messages WHERE topic = $1 AND waits_until IS NOT NULL
        ORDER BY CASE priority WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 ELSE 3 END, seq DESC
        LIMIT 1000000 OFFSET $2
    ) RETURNING seq"""


def key(document: Document) -> str:
    """The id of a document."""
    found: str = getattr(document, TABLES[type(document)].key)
    return found


def document_values(document: Document) -> Values:
    """For `Table.upsert`."""
    table = TABLES[type(document)]
    return (*(getattr(document, column) for column in table.columns), msgspec.json.encode(document).decode())


def document(kind: type[D], row: Row) -> D:
    """The document of a row."""
    return msgspec.json.decode(row["document"], type=kind)


def event_values(event: Event) -> Values:
    """For `INSERT_EVENT`."""
    fence = event if isinstance(event, Transition) else None
    delivery = event if isinstance(event, Delivery) else None
    return (
        event.event_id,
        "transition" if fence else "delivery",
        fence.kind if fence else delivery and delivery.kind,
        event.driver_id,
        fence and fence.geofence_id,
        delivery and delivery.order_id,
        delivery and delivery.customer_id,
        event.occurred_at,
        event.detected_at,
        event.confidence,
        event.late,
        msgspec.json.encode(event.evidence).decode(),
        delivery and delivery.eta,
        delivery and delivery.eta_low,
        delivery and delivery.eta_high,
        event.version,
        event.withdrawn,
    )


def event(row: Row) -> Event:
    """The event of a row."""
    common = {name: row[name] for name in ("event_id", "kind", "driver_id", "occurred_at", "detected_at", "confidence")}
    common |= {"late": bool(row["late"]), "evidence": msgspec.json.decode(row["evidence"])}
    common |= {"version": row["version"], "withdrawn": bool(row["withdrawn"])}
    if row["type"] == "transition":
        return Transition(geofence_id=row["geofence_id"], **common)
    names = ("order_id", "customer_id", "eta", "eta_low", "eta_high")
    return Delivery(**{name: row[name] for name in names}, **common)


def score_values(score: Score) -> Values:
    """For `INSERT_SCORE`."""
    return tuple(getattr(score, name) for name in SCORE_COLUMNS)


def score(row: Row) -> Score:
    """The score of a row."""
    return Score(**{name: row[name] for name in SCORE_COLUMNS})


def message_values(message: Message, seq: int) -> Values:
    """For `INSERT_MESSAGE`."""
    waits_until = message.expires_at if isinstance(message, Personal) else None
    body = message.body.decode()
    return (message.topic, seq, message.event_id, message.priority, message.created_at, body, waits_until)


def message(row: Row) -> tuple[int, Message]:
    """The seq and message of a row."""
    return row["seq"], Message(**_of_message(row))


def personal(row: Row) -> tuple[int, Personal]:
    """The seq and message of a row that waits."""
    return row["seq"], Personal(**_of_message(row), expires_at=row["waits_until"])


def _of_message(row: Row) -> dict[str, Any]:
    fields = {name: row[name] for name in ("event_id", "topic", "created_at", "priority")}
    return fields | {"body": row["body"].encode()}
