"""`make accuracy`: every accuracy test, or those named, as one table; status 1 where a data set is missing."""

import importlib
import sys
import time

from rich.console import Console

from benchmarks.accuracy.data import NoData
from benchmarks.accuracy.report import Row, show

TESTS: dict[str, str] = {
    "eta_live": "when a bus reaches its later stops, predicted on the way",
    "positions": "live and smoothed positions, outliers, standing still, sigma",
    "arrivals": "who arrives where he stops, and nowhere else",
    "fences": "who enters and leaves circles, and when",
    "stays": "when drivers stop and go on",
    "eta": "how long trips take that were not learned from",
    "routes": "how far along his route a driver is",
    "storage": "how few vertices a stored track has",
    "duplicates": "what shuffled and repeated batches leave in the store",
}
"""Which module measures what. Each has `measure() -> Iterable[Row]`."""


def main(names: list[str]) -> int:
    """Run the modules named, or all."""
    console, rows, status = Console(width=130), list[Row](), 0
    for name in names or TESTS:
        if name not in TESTS:
            console.print(f"no accuracy test {name}; there are: {', '.join(TESTS)}")
            return 2
        started = time.perf_counter()
        try:
            rows += importlib.import_module(f"benchmarks.accuracy.{name}").measure()
        except NoData as error:
            console.print(f"{name} left out: {error}")
            status = 1
        else:
            console.print(f"[dim]{name}: {TESTS[name]} ({time.perf_counter() - started:.0f} s)")
    show(rows, console)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
