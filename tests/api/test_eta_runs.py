import csv
import json
from pathlib import Path

import numpy as np
import pytest

from api.eta_runs import Score, evaluate, live_part, read_model, train
from tests import towns
from tracker.errors import InvalidInput
from tracker.learned_bytes import from_bytes


def write(path: Path, n: int, seed: int, **changes: object) -> Path:
    """A file of trips in the made-up town, without their ways on the map."""
    trips, taken = towns.trips(n, seed)
    lines = []
    for i in range(n):
        steps = slice(trips.offset[i], trips.offset[i + 1])
        line = {
            "trip": f"t{i}",
            "weekday": int(trips.minute[i] // 1440),
            "minute": trips.minute[i] % 1440,
            "edges": trips.edge[steps].tolist(),
            "lengths": trips.length[steps].tolist(),
            "classes": [trips.classes[code] for code in trips.road[steps]],
            "travel_time": taken[i],
        }
        lines.append(json.dumps(line | changes))
    path.write_text("\n".join(lines))
    return path


def write_placed(path: Path, n: int, seed: int) -> Path:
    """The same trips, with only their ways."""
    trips, taken = towns.trips(n, seed)
    ends = np.stack([trips.longitude, trips.latitude], axis=2)
    lines = []
    for i in range(n):
        steps = ends[trips.offset[i] : trips.offset[i + 1]]
        way = [*steps[:, 0].tolist(), steps[-1, 1].tolist()]
        departure = {"weekday": int(trips.minute[i] // 1440), "minute": trips.minute[i] % 1440}
        lines.append(json.dumps({"trip": i, "path": way, "travel_time": taken[i], **departure}))
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eta")
    assert "learned from 400 trips" in train(write(folder / "train.jsonl", 400, 0), folder / "model")
    return folder / "model"


def test_what_was_learned_predicts_other_trips(model: Path, tmp_path: Path) -> None:
    told = evaluate(model, write(tmp_path / "test.jsonl", 200, 1), tmp_path / "pred.csv")
    rows = list(csv.DictReader((tmp_path / "pred.csv").read_text().splitlines()))

    assert list(rows[0]) == ["trip", "p10", "p50", "p90"]
    assert [row["trip"] for row in rows] == [f"t{i}" for i in range(200)]
    assert all(float(row["p10"]) < float(row["p50"]) < float(row["p90"]) for row in rows)
    assert told[1].startswith("MAPE ")
    assert "MAE" in told[1] and "bias" in told[1] and "p90" in told[1]


def test_predictions_do_not_depend_on_what_trips_took(model: Path, tmp_path: Path) -> None:
    told = evaluate(model, write(tmp_path / "known.jsonl", 50, 1), tmp_path / "known.csv")
    silent = evaluate(model, write(tmp_path / "unknown.jsonl", 50, 1, travel_time=None), tmp_path / "unknown.csv")

    assert (tmp_path / "known.csv").read_bytes() == (tmp_path / "unknown.csv").read_bytes()
    assert (len(told), len(silent)) == (2, 1)


def test_a_server_starts_from_trips_with_a_way_on_the_map(model: Path, tmp_path: Path) -> None:
    told = train(write_placed(tmp_path / "placed.jsonl", 200, 0), tmp_path / "placed", utc_offset_h=8.0)
    assert "no server" not in told
    learned = from_bytes(live_part(tmp_path / "placed"))
    assert learned.trips == 200
    early = learned.driven[1].sum(axis=0)
    train(tmp_path / "placed.jsonl", tmp_path / "utc")
    late = from_bytes(live_part(tmp_path / "utc")).driven[1].sum(axis=0)
    np.testing.assert_allclose(early, np.roll(late, -8), rtol=0.3)  # 8 h earlier where local time is 8 h ahead
    with pytest.raises(InvalidInput, match="train it on trips with a path"):
        live_part(model)


def test_progress_reaches_a_hundred(tmp_path: Path) -> None:
    done: list[int] = []
    train(write(tmp_path / "train.jsonl", 60, 0), tmp_path / "model", progress=done.append)

    assert sum(done) == 100


def test_trips_that_say_nothing_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="travel_time"):
        train(write(tmp_path / "train.jsonl", 5, 0, travel_time=None), tmp_path / "model")


def test_a_model_of_edges_does_not_predict_paths(model: Path, tmp_path: Path) -> None:
    trips = tmp_path / "paths.jsonl"
    trips.write_text('{"trip":1,"departed_at":0,"path":[[121.5,25.0],[121.5,25.01]]}')
    with pytest.raises(InvalidInput, match=r"model: the model knows edges, and the trips are made of cells"):
        evaluate(model, trips, tmp_path / "pred.csv")


def test_what_is_not_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"hello")
    with pytest.raises(InvalidInput, match="model: this is not an ETA model"):
        read_model(tmp_path / "model")
    with pytest.raises(InvalidInput, match="No such file"):
        read_model(tmp_path / "none")


def test_where_nothing_can_be_written(model: Path, tmp_path: Path) -> None:
    trips = write(tmp_path / "trips.jsonl", 5, 0)
    with pytest.raises(InvalidInput, match="cannot be written"):
        evaluate(model, trips, tmp_path / "none" / "pred.csv")
    with pytest.raises(InvalidInput, match="cannot be written"):
        train(trips, tmp_path / "none" / "model")


def test_a_score_is_what_it_says() -> None:
    score = Score.of(np.array([[50.0, 100.0, 150.0], [50.0, 100.0, 150.0]]), np.array([80.0, 200.0]))

    assert (score.mape, score.mae_s, score.bias_s) == (pytest.approx(0.375), 60.0, -40.0)
    assert (score.below_p10, score.below_p50, score.below_p90) == (0.0, 0.5, 0.5)


def test_a_picture_is_drawn_twice(model: Path, tmp_path: Path) -> None:
    told = evaluate(model, write(tmp_path / "t.jsonl", 60, 1), tmp_path / "pred.csv", tmp_path / "picture.png")

    assert (tmp_path / "picture.svg").read_text().startswith("<?xml")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert "picture.svg" in told[2]
