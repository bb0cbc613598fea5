import sys
from pathlib import Path

import numpy as np
import pytest

from api.eta_plot import by_distance, draw
from tracker.errors import ConfigurationError, InvalidInput


def test_groups_go_from_near_to_far() -> None:
    metres = np.linspace(100, 10_000, 400)[::-1]
    taken = metres / 10
    seconds = taken[:, None] * np.array([0.8, 1.1, 1.2])
    rows = by_distance(metres, seconds, taken)

    assert len(rows) == 10
    assert (np.diff(rows[:, 0]) > 0).all()
    np.testing.assert_allclose(rows[:, 1], 0.1)
    assert rows[0].tolist()[3:] == [0.0, 1.0, 1.0]


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing to draw"):
        draw(tmp_path / "picture", np.empty(0), np.empty((0, 3)), np.empty(0))


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigurationError, match=r"install tracker\[plot\]"):
        draw(tmp_path / "picture", np.ones(1), np.ones((1, 3)), np.ones(1))
