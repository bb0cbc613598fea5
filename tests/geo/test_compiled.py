import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import geo.compiled
from geo.compiled import compiled


@compiled
def running_ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    result = np.empty(len(a))
    total = 0.0
    for i in range(len(a)):
        total += a[i] / b[i]
        result[i] = total
    return result


def test_compiled_and_plain_python_agree_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1000))

    np.testing.assert_array_equal(running_ratio(a, b), running_ratio.py_func(a, b))  # type: ignore[attr-defined]


def test_a_division_by_zero_is_as_in_numpy() -> None:
    assert np.isinf(running_ratio(np.array([1.0]), np.array([0.0])))[0]
    assert np.isnan(running_ratio(np.array([0.0]), np.array([0.0])))[0]


KERNEL = """\
from geo.compiled import compiled
from tracker.steps import STEP


@compiled
def up(x):
    return x + STEP
"""


def run(directory: Path, **environment: str) -> tuple[str, int]:
    """What `up(1)` gives in a new process, and how much of it came out of the cache."""
    code = "from tracker.kernel import up; print(up(1), sum(up.stats.cache_hits.values()))"
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory / "home")} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    result, hits = shown.stdout.split()
    return result, int(hits)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree like ours with one kernel that uses a number of another module."""
    for package in ("geo", "tracker"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    shutil.copy(geo.compiled.__file__, tmp_path / "geo")
    (tmp_path / "tracker" / "kernel.py").write_text(KERNEL)
    (tmp_path / "tracker" / "steps.py").write_text("STEP = 1\n")
    return tmp_path


def test_code_is_kept_until_a_source_changes_that_it_was_made_from(tree: Path) -> None:
    assert run(tree) == ("2", 0)
    assert run(tree) == ("2", 1)
    (tree / "tracker" / "steps.py").write_text("STEP = 90\n")  # of another size: Python looks at it and at the second
    assert run(tree) == ("91", 0)


def test_an_install_that_cannot_be_written_uses_the_cache_of_the_user_or_none(tree: Path) -> None:
    (tree / "tracker" / "__pycache__").touch()  # a file where the directory would be: not even root can write there
    assert run(tree) == ("2", 0)
    assert run(tree) == ("2", 1)
    shutil.rmtree(tree / "home")
    (tree / "home").touch()
    assert run(tree) == ("2", 0)
    assert run(tree) == ("2", 0)
    assert run(tree, NUMBA_CACHE_DIR=str(tree / "cache")) == ("2", 0)
    assert run(tree, NUMBA_CACHE_DIR=str(tree / "cache")) == ("2", 1)
