"""The guard fails when it must, with one line that says so."""

import subprocess
import sys
from itertools import chain, count
from pathlib import Path

import pytest

from benchmarks import guard

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("measured", "holds"), [(10.0, True), (12.0, True), (8.01, True), (7.99, False), (0.1, False)])
def test_a_fall_of_more_than_a_fifth_is_told_in_one_line(measured: float, holds: bool) -> None:
    line = guard.verdict("tick", measured, {"tick": 10.0})
    assert (line is None) == holds
    assert holds or all(word in str(line) for word in ('"tick"', "fell by", "from 10", "--record"))
    assert "\n" not in str(line)


def test_what_was_never_recorded_is_no_success() -> None:
    assert "no recorded ratio" in str(guard.verdict("new", 10.0, {"tick": 10.0}))


def test_what_is_recorded_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    assert guard.read(path) == {}
    guard.record("tick of 100 fixes", 12.345, path)
    guard.record("decode", 3.0, path)
    guard.record("decode", 4.0, path)
    assert guard.read(path) == {"decode": 4.0, "tick of 100 fixes": 12.35}


def test_a_ratio_is_of_the_least_times_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = chain([0.0, 2.0, 2.0, 8.0, 8.0, 9.0, 9.0, 14.0], count(100))
    monkeypatch.setattr(guard.time, "process_time", lambda: next(ticks))
    turns: list[str] = []
    assert guard.ratio(lambda: turns.append("ours"), lambda: turns.append("other"), rounds=2) == 5.0
    assert turns == ["ours", "other", "ours", "other"]


def test_every_ratio_is_recorded() -> None:
    named = set(guard.read())
    source = (ROOT / "benchmarks" / "bench_guard.py").read_text()
    assert named
    assert all(f'"{name}"' in source for name in named)


def test_a_run_that_is_too_slow_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from benchmarks.conftest import *\n")
    (tmp_path / "bench_slow.py").write_text(
        "from benchmarks import guard\n"
        "guard.read = lambda *_: {'slow': 10.0, 'fast': 10.0}\n"
        "guard.ratio = lambda *_: 7.0\n"
        "def bench_slow(hold):\n    hold('slow', int, int)\n"
        "def bench_new(hold):\n    hold('new', int, int)\n"
    )
    options = ["-o", "python_files=bench_*.py", "-o", "python_functions=bench_*", "-p", "no:cacheprovider"]
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tmp_path), "--rootdir", str(tmp_path), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert 'guard: "slow" fell by 30%, from 10 to 7' in shown
    assert 'guard: "new" has no recorded ratio' in shown
    assert "Traceback" not in shown
    assert "2 failed" in shown
