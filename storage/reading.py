"""What both stores answer in the same words of SQL; each only has to know how to fetch rows."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np

from storage import rows
from storage.rows import TABLES, Row, Statement
from storage.segments import REACH_S, assemble, believed, concatenate
from storage.store import D, Hour, Snapshot, Span, StoredModel
from storage.transaction import Dialect
from tracker.mail import Personal
from tracker.records import Delivery, Event, Flags, Geofence, Message, Order, Route, Track
from tracker.scores import Score

DRIVERS_SEEN = """
    SELECT driver_id, newest, last_time FROM (
        SELECT
            driver_id,
            (SELECT max(end_time) FROM {runs} AS run WHERE run.driver_id = drivers.driver_id) AS newest,
            (SELECT max(end_time) FROM {runs} AS run WHERE run.driver_id = drivers.driver_id AND kind = 0) AS last_time
        FROM drivers
    ) AS seen WHERE newest >= $1 ORDER BY driver_id"""
"""One look-up a driver at the end of the index: as fast after a year as on the first day."""

RUNS = f"""
    SELECT driver_id, path, speed, course, accuracy, source, kind FROM {{runs}}
    WHERE driver_id = $1 AND end_time >= $2 AND end_time < $3 + {REACH_S} AND start_time < $3
    ORDER BY connected, start_time"""  # noqa: S608 constants
"""Runs that reach into a time; the vertex that one begins with comes after the same vertex in the one before."""

_INSIDE = """
    SELECT driver_id, geofence_id, occurred_at FROM (
        SELECT driver_id, geofence_id, occurred_at, kind, row_number() OVER (
            PARTITION BY driver_id, geofence_id ORDER BY occurred_at DESC, detected_at DESC, kind
        ) AS newest
        FROM events WHERE kind IN ('enter', 'exit') AND geofence_id IS NOT NULL AND NOT withdrawn {which}
    ) AS membership WHERE newest = 1 AND kind = 'enter'"""
"""At the same instant an exit comes before an enter."""
INSIDE = _INSIDE.format(which="")
INSIDE_BEFORE = _INSIDE.format(which="AND driver_id = $1 AND detected_at < $2")

EVERY_VERSION = f"""(
    SELECT {", ".join(rows.EVENT_COLUMNS)} FROM events
    UNION ALL
    SELECT {", ".join(rows.EVENT_COLUMNS)} FROM former_events
) AS every_version"""  # noqa: S608


LAST_ANNOUNCED = """
    SELECT * FROM (
        SELECT events.*, row_number() OVER (
            PARTITION BY events.order_id ORDER BY events.detected_at DESC, events.event_id
        ) AS newest
        FROM orders JOIN events ON events.order_id = orders.order_id AND events.driver_id = orders.driver_id
        WHERE NOT orders.ended AND (events.eta IS NOT NULL OR events.kind = 'eta_changed')
    ) AS told WHERE newest = 1"""
"""Of each order that has not ended; a withdrawal has no ETA."""


class Reading(ABC):
    """The reading half of a Store."""

    dialect: Dialect

    @abstractmethod
    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """Run a statement that changes nothing. Raises StoreUnavailable."""

    async def load(self, *, tail_s: float, since: float) -> Snapshot:
        """As in Store."""
        orders = await self.fetch(Statement("SELECT document FROM orders WHERE NOT ended ORDER BY order_id", [()]))
        geofences = await self.fetch(Statement("SELECT document FROM geofences ORDER BY geofence_id", [()]))
        routes = await self.fetch(Statement("SELECT document FROM routes ORDER BY route_id", [()]))
        inside = await self.fetch(Statement(INSIDE, [()]))
        seen = await self.fetch(Statement(DRIVERS_SEEN.format(runs=self.dialect.runs), [(since,)]))
        tails = [
            (row["driver_id"], row["last_time"] - tail_s, np.nextafter(row["last_time"], np.inf))
            for row in seen
            if row["last_time"] is not None
        ]
        late = await self.fetch(Statement("SELECT * FROM late_spans ORDER BY driver_id, start_time", [()]))
        announced = await self.fetch(Statement(LAST_ANNOUNCED, [()]))
        return Snapshot(
            [rows.document(Order, row) for row in orders],
            [rows.document(Geofence, row) for row in geofences],
            [rows.document(Route, row) for row in routes],
            [_membership(row) for row in inside],
            concatenate([believed(*found) for found in await self._fixes(tails)]),
            [(row["driver_id"], row["newest"]) for row in seen],
            [(row["driver_id"], row["start_time"], row["end_time"]) for row in late],
            [event for event in map(rows.event, announced) if isinstance(event, Delivery) and event.eta is not None],
        )

    async def due(self, *, merged: bool, before: float, limit: int) -> list[Hour]:
        """As in Store."""
        which = "WHERE merged AND hour < $1" if merged else "WHERE NOT merged AND hour < $1"
        sql = f"SELECT driver_id, hour FROM driver_hours {which} ORDER BY hour, driver_id LIMIT $2"  # noqa: S608
        return [(row["driver_id"], row["hour"]) for row in await self.fetch(Statement(sql, [(before, limit)]))]

    async def track(self, driver_id: str, start: float, end: float) -> Track:
        """As in Store."""
        return believed(*await self.fixes(driver_id, start, end))

    async def fixes(self, driver_id: str, start: float, end: float) -> tuple[Track, Flags]:
        """As in Store."""
        found = await self._fixes([(driver_id, start, end)])
        return found[0]

    async def _fixes(self, wanted: Sequence[Span]) -> list[tuple[Track, Flags]]:
        """All fixes of each (driver_id, start, end) and their kinds."""
        sql = RUNS.format(runs=self.dialect.runs)
        found: dict[str, list[Row]] = {driver_id: [] for driver_id, _, _ in wanted}
        for row in await self.fetch(Statement(sql, list(wanted))):
            found[row["driver_id"]].append(row)
        judged = await self.fetch(Statement(rows.JUDGEMENTS, list(wanted)))
        results = []
        for driver_id, start, end in wanted:
            track, kind = assemble(driver_id, self.dialect.vertices(found[driver_id]), start, end)
            for row in judged:
                if row["driver_id"] == driver_id:
                    kind[track.fix_time == row["fix_time"]] = row["kind"]
            results.append((track, kind))
        return results

    async def inside(self, driver_id: str, before: float) -> list[tuple[str, str, float]]:
        """As in Store."""
        return [_membership(row) for row in await self.fetch(Statement(INSIDE_BEFORE, [(driver_id, before)]))]

    async def events(
        self,
        *,
        driver_id: str | None = None,
        order_id: str | None = None,
        geofence_id: str | None = None,
        start: float | None = None,
        end: float | None = None,
        after: tuple[float, str, int] | None = None,
        limit: int = 1000,
        versions: bool = False,
    ) -> list[Event]:
        """As in Store."""
        where = _Conditions()
        where.add("driver_id = {}", driver_id)
        where.add("order_id = {}", order_id)
        where.add("geofence_id = {}", geofence_id)
        where.add("occurred_at >= {}", start)
        where.add("occurred_at < {}", end)
        if after is not None:
            where.add("(occurred_at, event_id, version) > ({}, {}, {})", *after)
        if not versions:
            where.add("NOT withdrawn")
        table = EVERY_VERSION if versions else "events"
        found = await self.fetch(where.select("*", table, "occurred_at, event_id, version", limit))
        return [rows.event(row) for row in found]

    async def get(self, kind: type[D], key: str) -> D | None:
        """As in Store."""
        table = TABLES[kind]
        where = _Conditions()
        where.add(f"{table.key} = {{}}", key)
        found = await self.fetch(where.select("document", table.name, table.key, 1))
        return rows.document(kind, found[0]) if found else None

    async def find(
        self,
        kind: type[D],
        *,
        driver_id: str | None = None,
        customer_id: str | None = None,
        after: str | None = None,
        limit: int = 1000,
    ) -> list[D]:
        """As in Store."""
        table = TABLES[kind]
        where = _Conditions()
        for column, value in (("driver_id", driver_id), ("customer_id", customer_id)):
            if value is not None and column not in table.columns:
                return []
            where.add(f"{column} = {{}}", value)
        where.add(f"{table.key} > {{}}", after)
        found = await self.fetch(where.select("document", table.name, table.key, limit))
        return [rows.document(kind, row) for row in found]

    async def messages(self, topic: str, *, after: int, limit: int = 1000) -> list[tuple[int, Message]]:
        """As in Store."""
        where = _Conditions()
        where.add("topic = {}", topic)
        where.add("seq > {}", after)
        return [rows.message(row) for row in await self.fetch(where.select("*", "messages", "seq", limit))]

    async def waiting(self, topics: Sequence[str], now: float) -> list[tuple[int, Personal]]:
        """As in Store."""
        asked = Statement(rows.WAITING, [(topic, now) for topic in topics])
        return [rows.personal(row) for row in await self.fetch(asked)]

    async def scores(
        self, *, start: float | None = None, end: float | None = None, driver_id: str | None = None, limit: int = 10_000
    ) -> list[Score]:
        """As in Store."""
        where = _Conditions()
        where.add("arrived_at >= {}", start)
        where.add("arrived_at < {}", end)
        where.add("driver_id = {}", driver_id)
        found = await self.fetch(where.select("*", "eta_scores", "arrived_at DESC, event_id", limit))
        return [rows.score(row) for row in found]

    async def eta_model(self) -> StoredModel | None:
        """As in Store."""
        found = await self.fetch(_Conditions().select("*", "eta_models", "version DESC", 1))
        return None if not found else StoredModel(*(found[0][name] for name in StoredModel.__slots__))

    async def last_seq(self, topic: str) -> int:
        """As in Store."""
        return (await self.last_seqs([topic])).get(topic, 0)

    async def last_seqs(self, topics: Iterable[str]) -> dict[str, int]:
        """As in Store."""
        wanted = [(topic,) for topic in topics]
        found = await self.fetch(Statement("SELECT topic, seq FROM topics WHERE topic = $1", wanted))
        return {row["topic"]: row["seq"] for row in found}


def _membership(row: Row) -> tuple[str, str, float]:
    return row["driver_id"], row["geofence_id"], row["occurred_at"]


class _Conditions:
    """The WHERE of a query, from the filters that were given; names in it never come from outside."""

    def __init__(self) -> None:
        self._conditions: list[str] = []
        self._values: list[object] = []

    def add(self, condition: str, *values: object) -> None:
        """One more condition with `{}` for each value; a filter that is None is no condition."""
        if values == (None,):
            return
        places = [f"${len(self._values) + number}" for number in range(1, len(values) + 1)]
        self._conditions.append(condition.format(*places))
        self._values += values

    def select(self, columns: str, table: str, order: str, limit: int) -> Statement:
        """The whole query."""
        where = f"WHERE {' AND '.join(self._conditions)} " if self._conditions else ""
        limited = f"LIMIT ${len(self._values) + 1}"
        sql = f"SELECT {columns} FROM {table} {where}ORDER BY {order} {limited}"  # noqa: S608
        return Statement(sql, [(*self._values, limit)])
