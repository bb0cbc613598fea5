"""The table that `make accuracy` prints: a row a figure, ours beside the raw input's, the best known and the target."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; numbers of one row in the same unit."""

    test: str  # as in the list of tests: A1, C2, ...
    metric: str  # with its unit
    ours: float
    target: str = ""  # as "<= 8.1"; empty where there is none
    raw: float | None = None  # the input's own figure
    baseline: float | None = None  # the best known of others, or a plain method run here
    digits: int = 2

    @property
    def met(self) -> bool | None:
        """Whether the figure reaches its target, unrounded; None where there is none. Two bounds are "a .. b"."""
        if not self.target:
            return None
        if ".." in self.target:
            low, high = map(float, self.target.split(".."))
            return low <= self.ours <= high
        sign, bound = self.target.split()
        return self.ours <= float(bound) if sign == "<=" else self.ours >= float(bound)


def show(rows: Iterable[Row], console: Console) -> None:
    """Print the rows as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("test", "metric"):
        table.add_column(name)
    for name in ("raw", "baseline", "ours", "target", ""):
        table.add_column(name, justify="right")
    for row in rows:
        raw, baseline, ours = (
            "" if value is None else f"{value:.{row.digits}f}" for value in (row.raw, row.baseline, row.ours)
        )
        verdict = {None: "", True: "[green]met", False: "[red]missed"}[row.met]
        table.add_row(row.test, row.metric, raw, baseline, ours, row.target, verdict)
    console.print(table)
