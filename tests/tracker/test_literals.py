"""Numbers and times are those that Python reads from the same text, to the bit."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.literals import integer, number, seconds, time


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 17))
def test_a_number_is_correctly_rounded_or_not_read(value: float, digits: int) -> None:
    for text in (repr(value), f"{value:.{digits}f}", f"{value:.{digits}e}"):
        end, read = number(f"{text},".encode(), 0)
        assert end == -1 or (end, read) == (len(text), float(text))


@given(st.floats(-180, 180))
def test_coordinates_are_read_as_phones_write_them(value: float) -> None:
    for text in (f"{value:.14f}", f"{value:.7f}", repr(value) if abs(value) >= 0.1 else "0"):
        assert number(f"{text}}}".encode(), 0) == (len(text), float(text))


@pytest.mark.parametrize("text", ["", "00", "01.5", "1.", ".5", "+1", "-", "-.", "1e", "1e+", "NaN", '"1"', "1" * 19])
def test_what_is_no_number_is_not_read(text: str) -> None:
    assert number(text.encode(), 0)[0] == -1


@given(st.integers(0, 10**17))
def test_an_integer_has_at_most_15_digits(value: int) -> None:
    end, read = integer(b"%d}" % value, 0)
    assert (end, read) == (len(str(value)), value) if value < 10**15 else end == -1


@pytest.mark.parametrize("text", ["", "-1", "1.0", "1e3", "007", "null"])
def test_what_is_no_plain_integer_is_not_read(text: str) -> None:
    assert integer(text.encode(), 0)[0] == -1


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_a_time_is_what_python_reads(moment: datetime, zone: timezone, digits: str) -> None:
    text = moment.replace(tzinfo=UTC).astimezone(zone).isoformat(timespec=digits).replace("+00:00", "Z")
    end, read = time(f'{text}"'.encode(), 0)
    assert (end, read) == (len(text) + 1, round(datetime.fromisoformat(text).timestamp() * 1000) / 1000)


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-29T10:30:00Z",
        "2100-02-29T10:30:00Z",
        "2025-04-31T10:30:00Z",
        "2025-13-01T10:30:00Z",
        "2025-00-01T10:30:00Z",
        "2025-01-00T10:30:00Z",
        "2025-01-20T24:00:00Z",
        "2025-01-20T10:60:00Z",
        "2025-01-20T10:30:60Z",
        "2025-01-20T10:30:00",
        "2025-01-20T10:30:00.Z",
        "2025-01-20T10:30:00.1234567Z",
        "2025-01-20T10:30:00+24:00",
        "2025-01-20T10:30:00+0800",
        "2025-01-20T10:30:00Zx",
        "2025-1-020T10:30:00Z",
        "2025-01-20 10:30:00Z",
    ],
)
def test_what_is_no_time_is_not_read(text: str) -> None:
    assert time(f'{text}"'.encode(), 0)[0] == -1
    assert time(text.encode(), 0)[0] == -1


def test_a_leap_day_is_a_day() -> None:
    assert time(b'2024-02-29T10:30:00Z"', 0) == (21, 1_709_202_600.0)


@pytest.mark.parametrize("stamp", [1737369000.2504, 1737369000250.4])
def test_seconds_or_milliseconds_become_seconds_to_the_millisecond(stamp: float) -> None:
    assert seconds(stamp) == 1737369000.25
