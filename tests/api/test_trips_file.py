import json
from pathlib import Path

import numpy as np
import pytest

from api.trips_file import read_trips
from tracker.errors import InvalidInput

EDGES = {"trip": "a", "weekday": 1, "minute": 30, "edges": [5, 7], "lengths": [100.0, 50.0], "travel_time": 20.0}
PATH = {"trip": 9, "departed_at": 0, "path": [[121.5, 25.0], [121.5, 25.01]]}


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_trips_by_edges(tmp_path: Path) -> None:
    more = EDGES | {"trip": 2, "classes": ["primary", 4], "planned": [9.0, 5.0], "delays": [0, 3], "travel_time": None}
    read = read_trips(write(tmp_path / "trips.jsonl", EDGES, "", more))

    assert read.names == ["a", "2"]
    assert read.trips.edge.tolist() == [5, 7, 5, 7]
    assert read.trips.minute.tolist() == [1470.0, 1470.0]
    assert [read.trips.classes[i] if i >= 0 else None for i in read.trips.road] == [None, None, "primary", "4"]
    assert read.trips.delay.tolist()[2:] == [0.0, 3.0]
    assert np.isnan(read.trips.planned[:2]).all()
    assert read.travel_time[0] == 20.0
    assert np.isnan(read.travel_time[1])


def test_steps_lie_between_the_vertices_of_the_path(tmp_path: Path) -> None:
    path = [[121.5, 25.0], [121.501, 25.0], [121.502, 25.0]]
    exact = {key: value for key, value in EDGES.items() if key != "lengths"} | {"path": path}
    other = EDGES | {"path": [*path, [121.5029, 25.0]], "lengths": [200.0, 100.0]}
    read = read_trips(write(tmp_path / "trips.jsonl", exact, other)).trips

    assert read.length[0] == pytest.approx(100.9, abs=0.1)
    assert read.longitude[1].tolist() == [121.501, 121.502]
    assert read.longitude[2, 1] == pytest.approx(121.5 + 0.0029 * 2 / 3, abs=1e-6)
    assert read.latitude[3].tolist() == [25.0, 25.0]


def test_without_edges_the_squares_of_the_path_stand_for_them(tmp_path: Path) -> None:
    read = read_trips(write(tmp_path / "trips.jsonl", PATH)).trips

    assert read.kind == "cells"
    assert read.metres[0] == pytest.approx(1107, abs=2)
    assert read.minute.tolist() == [3 * 1440.0]  # Thursday


def test_names_of_edges_are_the_same_number_each_time(tmp_path: Path) -> None:
    named = EDGES | {"edges": ["way/5", "way/7"]}
    first, second = (read_trips(write(tmp_path / name, named)).trips.edge.tolist() for name in ("a", "b"))

    assert first == second
    assert len(set(first)) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "truncated"),
        ({"weekday": 1, "minute": 0, "edges": []}, "trip"),
        (EDGES | {"weekday": None}, "departed_at"),
        (EDGES | {"lengths": [1.0]}, "lengths: has 1 values for 2 edges"),
        (EDGES | {"lengths": None}, "lengths: are required, or a path of 3 vertices"),
        (EDGES | {"travel_time": "soon"}, "travel_time"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: object, reason: str) -> None:
    with pytest.raises(InvalidInput, match=rf"trips\.jsonl:2: .*{reason}"):
        read_trips(write(tmp_path / "trips.jsonl", EDGES, line))


@pytest.mark.parametrize("text", ["", json.dumps(PATH | {"path": []})])
def test_a_file_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"has no trips|two vertices"):
        read_trips(write(tmp_path / "trips.jsonl", text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        read_trips(tmp_path / "none.jsonl")
