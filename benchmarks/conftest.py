"""A table of figures beside their targets; `--record` writes the ratios of the guard down."""

from collections.abc import Callable

import pytest

from benchmarks import guard


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="record the ratios of the guard")


_TOLD: list[tuple[str, float, str, float | None]] = []


@pytest.fixture
def told() -> Callable[..., None]:
    """Put a figure into the table at the end: what, how much, unit, target."""
    return lambda *row: _TOLD.append(row)


_COMPARED: list[tuple[str, float, float, float | None]] = []


@pytest.fixture
def compared() -> Callable[..., None]:
    """Put a figure beside another in the table at the end, both the better the less: what, ours, other, target."""
    return lambda what, ours, other, target=None: _COMPARED.append((what, ours, other, target))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for what, figure, unit, target in _TOLD:
        beside = "" if target is None else f"target {target:g}: {'met' if figure <= target else 'MISSED'}"
        terminalreporter.write_line(f"{what:45} {figure:9.3f} {unit:10} {beside}")
    for what, ours, other, target in _COMPARED:
        times = "" if other != other else f"{other:9.3f}  {other / ours:6.1f} times less"
        beside = "" if target is None else f"target {target:.3g}: {'met' if ours <= target else 'MISSED'}"
        terminalreporter.write_line(f"{what:45} {ours:9.3f} {times:28} {beside}")


@pytest.fixture
def hold(request: pytest.FixtureRequest, benchmark) -> Callable[..., None]:
    """Measure a ratio of the guard; fail with one line where it has fallen."""

    def hold(name: str, ours: Callable[[], object], other: Callable[[], object], *, rounds: int = 7) -> None:
        ours()
        measured = guard.ratio(ours, other, rounds)
        benchmark.extra_info |= {"ratio": round(measured, 2), "recorded": guard.read().get(name)}
        benchmark.pedantic(ours, rounds=3)
        if request.config.getoption("--record"):
            guard.record(name, measured)
        elif wrong := guard.verdict(name, measured, guard.read()):
            pytest.fail(wrong, pytrace=False)

    return hold
