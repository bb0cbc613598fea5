"""The steps of a commit, driven by hand instead of by a database."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from storage import Commit, Committed
from storage.packing import pack_times
from storage.rows import Row, Statement
from storage.segments import Rows, Vertices, vertices
from storage.transaction import Dialect, steps
from tests.storage.test_rows import EVENTS, GEOFENCE, ORDER
from tests.storage.test_segments import wkb
from tests.tracks import T0, run, runs, same
from tracker.errors import Flag
from tracker.records import Geofence, Message, Order

NO_VERTICES = Vertices(np.empty((0, 3)), np.empty((3, 0)), *np.empty((2, 0), np.uint8))
HOUR = T0 // 3600 * 3600


def drive(commit: Commit, answers: dict[str, Sequence[Row]]) -> tuple[list[Rows | Statement], Committed]:
    """All steps and the result; a statement gets the answer whose key it begins with."""
    dialect = Dialect("tracks", lambda found: (vertices(found[0]["path"]), np.array([])), lambda found: NO_VERTICES)
    transaction, rows, seen = steps(commit, dialect, {("known", HOUR)}), None, []
    sent: Any = rows
    while True:
        try:
            step = transaction.send(sent)
        except StopIteration as end:
            return seen, end.value
        seen.append(step)
        sql = "" if isinstance(step, Rows) else step.sql.strip()
        sent = next((answer for start, answer in answers.items() if sql.startswith(start)), ())


def message(event_id: str, topic: str = "orders") -> Message:
    return Message(event_id=event_id, topic=topic, body=b"{}", created_at=T0)


def test_nothing_to_do_takes_no_step():
    seen, committed = drive(Commit(), {})
    assert seen == []
    assert len(committed.duplicate) == 0
    assert committed.seqs == []


def test_the_track_is_inserted_before_what_is_aside_is_compared():
    track, aside = run("a", [1, 2, 3]), run("a", [2, 2.5], kind=Flag.LATE)
    stored = {"driver_id": "a", "path": wkb(*((0, 0, T0 + t) for t in (1, 2, 3))), "fix_times": b""}
    seen, committed = drive(Commit(track=track, aside=aside), {"SELECT driver_id": [stored]})
    assert isinstance(seen[0], Rows)
    assert same(seen[0].track, track)
    assert isinstance(seen[1], Statement)
    assert seen[1].values == [("a", T0 + 2, T0 + 2.5)]
    assert isinstance(seen[2], Rows)
    assert same(seen[2].track, run("a", [2.5], kind=Flag.LATE))
    assert committed.duplicate.tolist() == [True, False]


def test_drivers_and_hours_are_noted_once():
    seen, committed = drive(Commit(track=runs([run("a", [1]), run("known", [1]), run("a", [401])])), {})
    noted = {step.sql.split()[2]: step.values for step in seen if isinstance(step, Statement)}
    assert noted == {"drivers": [("a", HOUR), ("a", HOUR + 3600)], "driver_hours": [("a", HOUR), ("a", HOUR + 3600)]}
    assert committed.hours == {("a", HOUR), ("a", HOUR + 3600)}


def test_what_is_all_stored_is_not_inserted():
    stored = {"driver_id": "a", "path": b"", "fix_times": pack_times(np.array([T0 + 1]))}
    seen, committed = drive(Commit(aside=run("a", [1], kind=Flag.LATE)), {"SELECT driver_id": [stored]})
    assert len(seen) == 1
    assert committed.duplicate.tolist() == [True]


def test_documents_are_saved_before_others_are_removed():
    commit = Commit(events=EVENTS, save=[ORDER, GEOFENCE], remove=[(Order, "O2"), (Geofence, "G2")])
    seen, _ = drive(commit, {})
    verbs = [" ".join(step.sql.split()[:3]) for step in seen if isinstance(step, Statement)]
    assert verbs == [
        "INSERT INTO events",
        "INSERT INTO orders",
        "DELETE FROM orders",
        "INSERT INTO geofences",
        "DELETE FROM geofences",
    ]


def test_a_message_is_numbered_once_for_each_topic():
    messages = [message("e1"), message("e2"), message("e1"), message("e1", "order:O1"), message("known")]
    answers = {
        "SELECT topic": [{"topic": "orders", "event_id": "known", "seq": 3}],
        "INSERT INTO topics": [{"seq": 8}, {"seq": 9}, {"seq": 1}],
    }
    seen, committed = drive(Commit(messages=messages), answers)
    assert committed.seqs == [8, 9, 8, 1, 3]
    assert isinstance(seen[1], Statement)
    assert seen[1].values == [("orders",), ("orders",), ("order:O1",)]
    assert isinstance(seen[2], Statement)
    assert [values[:3] for values in seen[2].values] == [
        ("orders", 8, "e1"),
        ("orders", 9, "e2"),
        ("order:O1", 1, "e1"),
    ]


@pytest.mark.parametrize("known", [[{"topic": "orders", "event_id": "e1", "seq": 3}]])
def test_known_messages_take_no_number(known: list[Row]):
    seen, committed = drive(Commit(messages=[message("e1")]), {"SELECT topic": known})
    assert len(seen) == 1
    assert committed.seqs == [3]
