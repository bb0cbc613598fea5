"""One commit as the steps of a transaction: both stores run exactly these, each in its own way."""

from collections import Counter
from collections.abc import Callable, Generator, Sequence, Set
from dataclasses import dataclass

import numpy as np

from storage import rows
from storage.compaction import compact
from storage.packing import unpack_times
from storage.rows import TABLES, Row, Statement
from storage.segments import REACH_S, Rows, Vertices, keep, repeated, spans
from storage.store import Commit, Committed, Hour, Span
from tracker.errors import Flag
from tracker.mail import Personal
from tracker.records import Delivery, Floats, Ints, Message
from tracker.scores import Score, scores

Steps = Generator[Statement | Rows, Sequence[Row], Committed]
"""Gives Rows to insert or a Statement to run, takes the rows that came of it, returns what was found out."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where a store has its runs of fixes, and how it reads them."""

    runs: str
    """The table."""
    paths: Callable[[Sequence[Row]], tuple[Floats, Ints]]
    """(k, 3) longitude, latitude and fix_time of the vertices of rows with a `path`, and how many each has; (m,)."""

    vertices: Callable[[Sequence[Row]], Vertices]
    """All that such rows hold."""

    def times(self, row: Row) -> Floats:
        """The times of all fixes of a row of `path` and `fix_times`."""
        return unpack_times(row["fix_times"]) if row["fix_times"] else self.paths([row])[0][:, 2]


MAILBOX = 500
"""So many personal messages of one user wait at most: the most urgent, and of these the newest."""
MODELS_KEPT = 5
"""The newest so many models of arrivals stay."""


def steps(commit: Commit, dialect: Dialect, noted: Set[Hour]) -> Steps:
    """Everything of `commit`, in order; the drivers' hours `noted` are in the store as such already."""
    for what in commit.compact:
        yield from compact(what, dialect.runs, dialect.vertices)
    noted = noted - {(what.driver_id, what.hour) for what in commit.compact}
    hours = set[Hour]()
    if len(commit.track):
        track = Rows.of(commit.track)
        yield track
        hours |= track.hours
    duplicate, late = np.zeros(len(commit.aside.fix_time), np.bool_), list[Span]()
    if len(commit.aside):
        stored = yield Statement(
            f"SELECT driver_id, path, fix_times FROM {dialect.runs} "  # noqa: S608 one of two constants
            f"WHERE driver_id = $1 AND end_time >= $2 AND end_time < $3 + {REACH_S} AND start_time <= $3",
            list(spans(commit.aside)),
        )
        duplicate = repeated(commit.aside, [(row["driver_id"], dialect.times(row)) for row in stored])
        fresh = keep(commit.aside, ~duplicate)
        if len(fresh):
            rows_aside = Rows.of(fresh)
            yield rows_aside
            hours |= rows_aside.hours
            late = spans(keep(fresh, np.repeat(fresh.kind == Flag.LATE, np.diff(fresh.offset))))
    hours -= noted
    if hours:
        yield Statement(rows.ADD_DRIVER, [(driver_id, start) for driver_id, start in sorted(hours)])
        yield Statement(rows.NOTE_HOUR, sorted(hours))
    yield from _history(commit, late)
    found = yield from _scores([e for e in commit.events if isinstance(e, Delivery) and e.kind == "driver_arrived"])
    yield from _documents(commit)
    for model in commit.eta_models:
        yield Statement(rows.INSERT_MODEL, [(model.version, model.created_at, model.trips, model.model)])
        yield Statement(rows.DROP_MODELS, [(model.version - MODELS_KEPT,)])
    seqs = (yield from _messages(commit.messages)) if commit.messages else []
    crowded_out = yield from _mailboxes(commit)
    erased = Counter[str]()
    for name, (sql, values) in commit.erase:
        erased[name] += len((yield Statement(sql.replace("{runs}", dialect.runs), values)))
    return Committed(duplicate, seqs, late, found, hours, crowded_out, erased)


def _history(commit: Commit, late: Sequence[Span]) -> Generator[Statement, Sequence[Row], None]:
    """Events, and what late fixes make of earlier ones."""
    first = [rows.event_values(event) for event in commit.events if event.version == 1]
    amended = [event for event in commit.events if event.version > 1]
    steps = [
        (rows.JUDGE, list(commit.judgements)),
        (rows.INSERT_EVENT, first),
        (rows.KEEP_FORMER, [(event.event_id, event.version) for event in amended]),
        (rows.AMEND_EVENT, [rows.event_values(event) for event in amended]),
        (rows.ADD_LATE, list(late)),
        (rows.DROP_LATE, list(commit.told)),
    ]
    for sql, values in steps:
        if values:
            yield Statement(sql, values)


def _scores(arrivals: Sequence[Delivery]) -> Generator[Statement, Sequence[Row], list[Score]]:
    """What the ETAs announced of these orders were worth, among them those announced by this commit."""
    found: list[Score] = []
    for arrival in arrivals:
        key = [(arrival.order_id, arrival.driver_id)]
        if arrival.version > 1:
            yield Statement(rows.DROP_SCORES, key)
        if not arrival.withdrawn:
            announced = yield Statement(rows.ANNOUNCED, key)
            found += scores((e for e in map(rows.event, announced) if isinstance(e, Delivery)), arrival)
    if found:
        yield Statement(rows.INSERT_SCORE, [rows.score_values(score) for score in found])
    return found


def _documents(commit: Commit) -> Generator[Statement, Sequence[Row], None]:
    for kind, table in TABLES.items():
        saved = [rows.document_values(document) for document in commit.save if type(document) is kind]
        if saved:
            yield Statement(table.upsert, saved)
        removed: list[tuple[str]] = [(key,) for removed_kind, key in commit.remove if removed_kind is kind]
        if removed:
            yield Statement(f"DELETE FROM {table.name} WHERE {table.key} = $1", list(removed))  # noqa: S608


def _messages(messages: Sequence[Message]) -> Generator[Statement, Sequence[Row], list[int]]:
    """The seq of each: the old one where the topic has the event already, else the next."""
    once: dict[tuple[str, str], Message] = {}
    for message in messages:
        once.setdefault((message.topic, message.event_id), message)
    known = yield Statement(rows.KNOWN_MESSAGE, list(once))
    seq = {(row["topic"], row["event_id"]): row["seq"] for row in known}
    fresh = [message for event, message in once.items() if event not in seq]
    if fresh:
        given = yield Statement(rows.NEXT_SEQ, [(message.topic,) for message in fresh])
        numbered = [(message, row["seq"]) for message, row in zip(fresh, given, strict=True)]
        yield Statement(rows.INSERT_MESSAGE, [rows.message_values(message, number) for message, number in numbered])
        seq |= {(message.topic, message.event_id): number for message, number in numbered}
    return [seq[message.topic, message.event_id] for message in messages]


def _mailboxes(commit: Commit) -> Generator[Statement, Sequence[Row], int]:
    """Settle personal messages, and see that not too many wait for anyone; how many were crowded out."""
    if commit.settled:
        yield Statement(rows.SETTLE, list(commit.settled))
    newest = {message.topic: message.created_at for message in commit.messages if isinstance(message, Personal)}
    if not newest:
        return 0
    yield Statement(rows.EXPIRE, list(newest.items()))
    return len((yield Statement(rows.CROWD_OUT, [(topic, MAILBOX) for topic in newest])))
