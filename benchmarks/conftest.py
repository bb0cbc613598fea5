"""`--record` writes the ratios of the guard down instead of holding them against the recorded ones."""

from collections.abc import Callable

import pytest

from benchmarks import guard


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="record the ratios of the guard")


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
