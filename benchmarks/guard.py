"""Figures that do not depend on the machine: how many times faster than something else in the same run."""

import time
import tomllib
from collections.abc import Callable
from pathlib import Path

RECORDED = Path(__file__).with_name("guard.toml")
FALL = 0.2
"""A ratio may fall by this share below the recorded one; on a busy machine runs differ by more: record the least."""
_HEAD = "# How many times faster than what it is compared with; make bench ARGS='-k guard --record' writes it anew.\n"


def ratio(ours: Callable[[], object], other: Callable[[], object], rounds: int = 7) -> float:
    """CPU time of `other` over that of `ours`, each the least of so many rounds, in turn."""
    pairs = [(_seconds(ours), _seconds(other)) for _ in range(rounds)]
    fast, slow = (min(column) for column in zip(*pairs, strict=True))
    return slow / fast


def verdict(name: str, measured: float, recorded: dict[str, float]) -> str | None:
    """One line on what is wrong, if anything is."""
    if name not in recorded:
        return f'guard: "{name}" has no recorded ratio; record {measured:.3g}: make bench ARGS="-k guard --record"'
    if measured >= (1.0 - FALL) * recorded[name]:
        return None
    return (
        f'guard: "{name}" fell by {1 - measured / recorded[name]:.0%}, from {recorded[name]:.3g} to {measured:.3g}; '
        'if that is meant, record it: make bench ARGS="-k guard --record"'
    )


def read(path: Path = RECORDED) -> dict[str, float]:
    """The recorded ratios."""
    return tomllib.loads(path.read_text()) if path.exists() else {}


def record(name: str, measured: float, path: Path = RECORDED) -> None:
    """Write a ratio down, in place of what is there of it."""
    ratios = sorted((read(path) | {name: measured}).items())
    path.write_text(_HEAD + "".join(f'"{name}" = {value:.4g}\n' for name, value in ratios))


def _seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started
