"""A replay is the engine's own answer, a row for each fix in the order of the file, and the same every time."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from api.bodies import read_geofence, read_order
from api.files import Fixes
from api.replay import replay
from tests.fixes import T0, place
from tracker.errors import InvalidInput
from tracker.settings import EngineSettings


def drive(east, times, *, received_at=None, driver_id="A"):
    """Fixes so many metres east of the place, so many seconds after T0."""
    n = len(times)
    latitude, longitude = place(np.array(east, float), np.zeros(n))
    nothing = np.full(n, np.nan)
    arrived = None if received_at is None else T0 + np.array(received_at, float)
    ids = [driver_id] * n if isinstance(driver_id, str) else driver_id
    return Fixes(ids, T0 + np.array(times, float), latitude, longitude, nothing, nothing, np.full(n, 3.0), arrived)


def circle(east, radius=50.0):
    latitude, longitude = place(east)
    geometry = {"type": "Point", "coordinates": [float(longitude), float(latitude)]}
    return read_geofence("fence", {"type": "Feature", "geometry": geometry, "radius": radius})


def order_at(east):
    latitude, longitude = place(east)
    destination = {"latitude": float(latitude), "longitude": float(longitude)}
    return read_order("ORDER", {"customer_id": "C", "driver_id": "A", "destination": destination})


def run(fixes, out, **options):
    summary = replay(fixes, out, settings=EngineSettings(), **options)
    with (out / "positions.csv").open(newline="") as file:
        positions = list(csv.DictReader(file))
    events = [json.loads(line) for line in (out / "events.ndjson").read_text().splitlines()]
    assert json.loads((out / "summary.json").read_text()) == summary
    return positions, events, summary


def passing():
    """A drive of 600 m at 10 m/s past the 300th, then standing at its end."""
    return drive(np.minimum(np.arange(120) * 10.0, 600.0), np.arange(120))


def test_a_drive_through_a_geofence_to_an_order_gives_both_kinds_of_events(tmp_path):
    positions, events, summary = run(passing(), tmp_path, geofences=[circle(300.0)], orders=[order_at(600.0)])
    assert len(positions) == summary["fixes"] == 120
    assert {row["flag"] for row in positions} == {""}
    by_kind = {event["kind"]: event for event in events}
    assert {"enter", "exit", "approaching", "driver_arrived"} <= by_kind.keys()
    enter = by_kind["enter"]
    assert (enter["type"], enter["geofence_id"], enter["driver_id"]) == ("geofence.event", "fence", "A")
    assert enter["occurred_at"] == pytest.approx(T0 + 25.0, abs=1.0)
    assert enter["detected_at"] >= enter["occurred_at"]
    arrived = by_kind["driver_arrived"]
    assert (arrived["type"], arrived["order_id"], arrived["late"]) == ("delivery.update", "ORDER", False)
    assert summary["events"] == {kind: sum(e["kind"] == kind for e in events) for kind in summary["events"]}
    assert sum(summary["events"].values()) == len(events)


def test_stays_and_trips_are_written_also_those_that_go_on(tmp_path):
    _, _, summary = run(passing(), tmp_path)
    with (tmp_path / "stays.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == []
    (trip,) = csv.DictReader((tmp_path / "trips.csv").read_text().splitlines())
    assert (trip["driver_id"], float(trip["started_at"]), trip["ongoing"]) == ("A", T0, "1")
    assert (summary["stays"], summary["trips"]) == (0, 1)
    run(drive(np.minimum(np.arange(200) * 10.0, 600.0), np.arange(200)), tmp_path)
    (stay,) = csv.DictReader((tmp_path / "stays.csv").read_text().splitlines())
    assert float(stay["started_at"]) == pytest.approx(T0 + 60, abs=8) and stay["ongoing"] == "1"
    (trip,) = csv.DictReader((tmp_path / "trips.csv").read_text().splitlines())
    assert (trip["ended_at"], trip["ongoing"]) == (stay["started_at"], "0")
    assert float(trip["distance"]) == pytest.approx(600, abs=30)


def test_the_same_file_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        run(passing(), tmp_path / name, geofences=[circle(300.0)], orders=[order_at(600.0)])
    for file in ("positions.csv", "events.ndjson", "stays.csv", "trips.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_rows_come_in_the_order_of_the_file_whatever_the_order_of_time(tmp_path):
    times = np.random.default_rng(1).permutation(100)
    positions, _, summary = run(drive(times * 10.0, times), tmp_path)
    assert [float(row["timestamp"]) - T0 for row in positions] == times.tolist()
    assert summary["flags"] == {"accepted": 100}  # without received_at: taken in fix_time order
    in_order, _, _ = run(drive(np.arange(100) * 10.0, np.arange(100)), tmp_path)
    assert sorted(positions, key=lambda row: row["timestamp"]) == in_order


def test_fixes_are_taken_as_they_arrived(tmp_path):
    #        on time, then a batch that reveals two older fixes, one of them twice, then one of those again
    times = [0, 1, 10, 11, 5, 6, 5, 6]
    received = [0, 1, 10, 11, 12, 12, 12, 13]
    positions, _, summary = run(drive(np.array(times) * 10.0, times, received_at=received), tmp_path)
    assert [row["flag"] for row in positions] == ["", "", "", "", "late", "late", "duplicate", "duplicate"]
    assert summary["flags"] == {"accepted": 4, "late": 2, "duplicate": 2}


def test_a_batch_that_arrived_together_is_sorted_within(tmp_path):
    times = [3, 1, 2]
    positions, _, _ = run(drive(np.array(times) * 10.0, times, received_at=[5, 5, 5]), tmp_path)
    assert [row["flag"] for row in positions] == ["", "", ""]


def test_each_refusal_has_its_code_and_no_position(tmp_path):
    fixes = drive([0.0, 10.0, 20.0], [0, 1, 2])
    fixes.latitude[1] = 91.0
    fixes.longitude[2] = np.nan
    positions, _, _ = run(fixes, tmp_path)
    assert [row["flag"] for row in positions] == ["", "rejected:latitude_out_of_range", "rejected:not_a_number"]
    assert [row["latitude"] for row in positions[1:]] == ["", ""]
    assert float(positions[0]["latitude"]) == pytest.approx(fixes.latitude[0])


def test_an_outlier_is_flagged_and_again_it_is_a_duplicate(tmp_path):
    east = np.concatenate([np.arange(20) * 10.0, [5000.0, 5000.0]])
    times = np.concatenate([np.arange(20), [20, 20]])
    fixes = drive(east, times, received_at=np.concatenate([np.arange(20), [20, 21]]))
    positions, _, _ = run(fixes, tmp_path)
    assert [row["flag"] for row in positions[-2:]] == ["outlier", "duplicate"]


def test_a_fix_is_flagged_as_the_two_after_it_show(tmp_path):
    rng = np.random.default_rng(5)
    t = np.arange(0.0, 3000.0, 10.0)
    wrong = rng.random(300) < 0.1
    fixes = drive(9 * t + rng.normal(0, 3, 300) + wrong * rng.uniform(80, 400, 300) * rng.choice([-1, 1], 300), t)
    together, *_ = run(fixes, tmp_path / "a")
    one_by_one, *_ = run(replace(fixes, received_at=fixes.fix_time + 1), tmp_path / "b")
    assert together == one_by_one
    assert sum((row["flag"] == "outlier") != outlier for row, outlier in zip(together, wrong, strict=True)) < 6


def test_the_track_is_smooth_and_has_no_outliers(tmp_path):
    t = np.arange(30.0)
    run(drive(10 * t + 500 * (t == 12), t), tmp_path)
    rows = list(csv.DictReader((tmp_path / "track.csv").read_text().splitlines()))
    assert [float(row["timestamp"]) - T0 for row in rows] == [s for s in t if s != 12]
    assert float(rows[12]["longitude"]) == pytest.approx(float(place(130.0)[1]), abs=1e-5)
    assert float(rows[12]["speed"]) == pytest.approx(10, abs=0.5)


def test_any_driver_id_is_a_cell(tmp_path):
    names = ['a,"b"', "司機", "plain"]
    positions, _, _ = run(drive([0.0, 0.0, 0.0], [0, 0, 0], driver_id=names), tmp_path)
    assert [row["driver_id"] for row in positions] == names


def test_an_empty_file_gives_empty_files(tmp_path):
    positions, events, summary = run(drive([], []), tmp_path / "new" / "directory")
    assert (positions, events, summary["fixes"]) == ([], [], 0)


def test_progress_counts_every_fix(tmp_path):
    done = []
    replay(passing(), tmp_path, settings=EngineSettings(), progress=done.append)
    assert sum(done) == 120


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="file: cannot be written"):
        replay(passing(), tmp_path / "file", settings=EngineSettings())
