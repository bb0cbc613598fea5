"""A replay keeps what a store would: each fix once, each event in its newest version, late ones placed in time."""

import json

import numpy as np

from api.replay import replay
from tests.tracker.test_history import alike, dead_zone, fence, fences_of, run, told, wander
from tracker.records import Event
from tracker.settings import EngineSettings


def test_fixes_sent_again_are_there_once_and_late_ones_in_their_place() -> None:
    fixes = wander(3)
    arrivals = [[i] for i in range(len(fixes)) if not 40 <= i < 60] + [list(range(30, 70)), [5, 50, 119]]
    _, stored, _ = run(fixes, arrivals, [])
    assert [time for time, _ in stored] == fixes.fix_time.tolist()


def test_a_replay_writes_versions_and_places_late_fixes(tmp_path) -> None:
    fixes, arrivals = dead_zone()
    late = np.array(arrivals[-1])
    fixes.received_at[late] = fixes.received_at.max() + 1
    circle = fence("f1", 1490.0, 0.0, 100.0)
    summary = replay(fixes, tmp_path, settings=EngineSettings(), geofences=[circle])
    lines = [json.loads(line) for line in (tmp_path / "events.ndjson").read_text().splitlines()]
    assert [(line["kind"], line["version"], line.get("amends")) for line in lines] == [
        ("enter", 1, None),
        ("exit", 1, None),
        ("exit", 2, lines[1]["event_id"]),
    ]
    assert lines[2]["event_id"] == lines[1]["event_id"]
    assert summary["events"] == {"amended": 1, "enter": 1, "exit": 1}
    assert summary["flags"] == {"accepted": len(fixes) - len(late), "late": len(late)}


def test_the_end_of_a_file_is_the_end_of_waiting() -> None:
    fixes = wander(5)
    in_order: list[Event] = run(fixes, [list(range(len(fixes)))], fences_of(fixes, 5))[0]
    last_comes_late = [list(range(100)), [119], list(range(100, 119))]
    events, stored, _ = run(fixes, last_comes_late, fences_of(fixes, 5))
    assert alike(told(events), told(in_order))
    assert len(stored) == len(fixes)
