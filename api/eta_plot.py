"""Error and coverage of predictions by how far there was to go, as a picture."""

from pathlib import Path

import numpy as np

from tracker.errors import ConfigurationError, InvalidInput
from tracker.records import Floats

GROUPS = 10
"""Trips are grouped by distance into so many groups of the same number."""
LEAST = 20
"""Trips in a group, at least."""


def by_distance(metres: Floats, seconds: Floats, taken: Floats) -> Floats:
    """(g, 6) of groups from near to far: median km, MAPE, MAE s, shares below p10, p50, p90."""
    groups = np.array_split(np.argsort(metres), int(np.clip(len(metres) // LEAST, 1, GROUPS)))
    rows = []
    for group in groups:
        low, middle, high = seconds[group].T
        off, real = np.abs(middle - taken[group]), taken[group]
        below = np.mean(real < low), np.mean(real <= middle), np.mean(real <= high)
        rows.append((np.median(metres[group]) / 1000, np.mean(off / real), np.mean(off), *below))
    return np.array(rows)


def draw(path: Path, metres: Floats, seconds: Floats, taken: Floats) -> list[Path]:
    """Draw predictions (n, 3) of trips of `metres` (n,) against what they took (n,), as path's .svg and .png."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError("--plot: needs matplotlib: install tracker[plot]") from None
    if not len(taken):
        raise InvalidInput("--plot: no trip says what it took, so there is nothing to draw")
    km, mape, mae, p10, p50, p90 = by_distance(metres, seconds, taken).T
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    error, coverage = figure.subplots(1, 2)
    error.plot(km, 100 * mape, "o-", color="#1f5fa8", label="MAPE, %")
    error.set(xlabel="distance to go, km", ylabel="MAPE, %", title="Error", ylim=(0, None))
    beside = error.twinx()
    beside.plot(km, mae, "s--", color="#b3541e", label="MAE, s")
    beside.set(ylabel="MAE, s", ylim=(0, None))
    error.legend(handles=[*error.lines, *beside.lines], loc="lower right")
    for share, line, color in ((10, p10, "#5a8f29"), (50, p50, "#1f5fa8"), (90, p90, "#b3541e")):
        coverage.plot(km, 100 * line, "o-", color=color, label=f"below p{share}")
        coverage.axhline(share, color=color, linewidth=0.8, linestyle=":")
    coverage.set(xlabel="distance to go, km", ylabel="trips, %", title="Coverage", ylim=(0, 100))
    coverage.legend(loc="center right")
    files = [path.with_suffix(".svg"), path.with_suffix(".png")]
    try:
        for file in files:
            figure.savefig(file, dpi=150)
    except OSError as problem:
        raise InvalidInput(f"{problem.filename}: cannot be written: {problem.strerror}") from None
    return files
