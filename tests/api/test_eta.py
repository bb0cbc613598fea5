import subprocess
import sys
from pathlib import Path

from tests.api.test_eta_runs import write
from tests.support import ROOT


def tracker(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", "eta", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
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
