"""Reading and writing the wire: time a fix, time a message.

python -m pytest benchmarks/bench_codec.py
"""

import json
from collections.abc import Callable

import pytest

from tracker.codec import Report, decode, encode, frame, iso
from tracker.intake import Frame, Intake
from tracker.messages import DriverLocation
from tracker.records import FixBatch

T0 = 1_760_000_000.0
FIXES = 10


def columns(n: int) -> dict[str, list[float]]:
    """n fixes one second apart, as a phone rounds them."""
    return {
        "timestamp": [T0 + i + 0.25 for i in range(n)],
        "latitude": [round(25.0330 + 7e-5 * i, 7) for i in range(n)],
        "longitude": [round(121.5654 + 9e-5 * i, 7) for i in range(n)],
        "speed": [round(8.3 + 0.1 * i, 1) for i in range(n)],
        "heading": [round(45.5 + i, 1) for i in range(n)],
        "accuracy": [round(5.0 + 0.5 * i, 1) for i in range(n)],
    }


def fixes(n: int) -> list[dict[str, float | str]]:
    """The same fixes, one object each, with times as text."""
    by_name = columns(n)
    rows = [dict(zip(by_name, row, strict=True)) for row in zip(*by_name.values(), strict=True)]
    return [row | {"timestamp": iso(row["timestamp"])} for row in rows]


MESSAGES = {
    "update": {"type": "location_update", **fixes(1)[0]},
    "fixes": {"type": "location_batch", "seq": 1, "fixes": fixes(FIXES)},
    "columns": {"type": "location_batch", "seq": 1, "columns": columns(FIXES)},
    "fixes, one bad": {"type": "location_batch", "seq": 1, "fixes": [*fixes(FIXES - 1), {"latitude": 25.0}]},
}


@pytest.mark.parametrize("form", MESSAGES)
def test_decode(benchmark: Callable[..., Report], told: Callable[..., None], form: str) -> None:
    data = json.dumps(MESSAGES[form], separators=(",", ":")).encode()
    report = benchmark(decode, data, T0)
    count = len(report) + len(report.rejected)
    assert count == (1 if form == "update" else FIXES)
    target = 0.5 if form in ("fixes", "columns") else None
    told(f"decode {form}, {len(data)} bytes", benchmark.stats.stats.min / count * 1e6, "us a fix", target)


def test_decode_to_columns(benchmark: Callable[..., FixBatch], told: Callable[..., None]) -> None:
    """From the bytes of 1,000 messages of ten fixes to the columns of a tick."""
    data = [json.dumps(MESSAGES["fixes"], separators=(",", ":")).encode()] * 1_000

    def run() -> FixBatch:
        intake = Intake()
        for driver, message in enumerate(data):
            report = decode(message, T0)
            assert isinstance(report, Report)
            intake.put(Frame(driver, report, T0, print))
        return intake.take()[0]

    count = len(benchmark(run))
    assert count == FIXES * len(data)
    told("decode and gather to a tick's columns", benchmark.stats.stats.min / count * 1e6, "us a fix", 0.5)


def test_encode_a_location(benchmark: Callable[..., bytes]) -> None:
    def location_frame() -> bytes:
        message = DriverLocation(
            driver_id="DRIVER789",
            latitude=25.0330123,
            longitude=121.5654321,
            speed=8.3,
            heading=45.5,
            accuracy=5.0,
            timestamp=iso(T0 + 0.25),
            age=0.4,
        )
        return frame(encode(message))

    assert benchmark(location_frame).startswith(b"\x81")
