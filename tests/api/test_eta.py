import os
import subprocess
import sys
from pathlib import Path

from tests.api.test_eta_runs import write, write_placed
from tests.support import ROOT, running_server


def tracker(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    return subprocess.run(
        [sys.executable, "-m", "api", "eta", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_train_then_evaluate(tmp_path: Path) -> None:
    trips, model, out = write(tmp_path / "trips.jsonl", 60, 0), tmp_path / "model", tmp_path / "pred.csv"
    trained = tracker("train", "--trips", trips, "--out", model)
    evaluated = tracker("evaluate", "--model", model, "--trips", trips, "--out", out)

    assert (trained.returncode, trained.stderr) == (0, "")
    assert trained.stdout.startswith("learned from 60 trips")
    assert (evaluated.returncode, evaluated.stderr) == (0, "")
    assert "MAPE" in evaluated.stdout
    assert len(out.read_text().splitlines()) == 61


def test_bad_input_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "trips.jsonl").write_text("{")
    run = tracker("train", "--trips", tmp_path / "trips.jsonl", "--out", tmp_path / "model")

    assert run.returncode == 2
    assert run.stderr.startswith("tracker: ") and "trips.jsonl:1:" in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "model").exists()


async def test_a_server_loads_a_model_before_it_runs_and_while_it_does(tmp_path: Path, sqlite_url: str) -> None:
    trips, model = write_placed(tmp_path / "trips.jsonl", 60, 0), tmp_path / "model"
    assert tracker("train", "--trips", trips, "--out", model, "--utc-offset", 8).returncode == 0
    stored = tracker("load", model, "--store", sqlite_url)
    assert (stored.returncode, stored.stderr) == (0, "")
    assert stored.stdout.startswith("arrivals are predicted by version 1: 60 trips, ")
    async with running_server(sqlite_url, tmp_path) as server:
        admin, office = server.token("A1", "admin"), server.token("U1", "office")
        loaded = tracker("load", model, "--url", server.url, "--token", admin)
        assert loaded.stdout == stored.stdout.replace("version 1", "version 2")
        refused = tracker("load", model, "--url", server.url, "--token", office)
        assert (refused.returncode, "Only an admin may" in refused.stderr) == (2, True)
        assert "--token" in tracker("load", model, "--url", server.url).stderr
        assert "Another tracker server" in tracker("load", model, "--store", sqlite_url).stderr
    assert "send it again" in tracker("load", model, "--url", server.url, "--token", admin).stderr


def test_a_model_without_places_is_not_for_a_server(tmp_path: Path) -> None:
    trips, model = write(tmp_path / "trips.jsonl", 60, 0), tmp_path / "model"
    assert "no server can load it" in tracker("train", "--trips", trips, "--out", model).stdout
    run = tracker("load", model, "--store", f"sqlite:///{tmp_path}/tracker.gpkg")
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "train it on trips with a path" in run.stderr
