"""Columns of numbers and times as text, row by row after a template, by one compiled loop and no object a number."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled, helper
from tracker.records import Floats, Ints

Bytes = NDArray[np.uint8]

TIME = -1
"""In place of decimals: Unix seconds as ISO 8601 UTC, with milliseconds only where they are not zero."""
_WIDEST = 32
"""Bytes of one number or time at most."""
_COLUMN = re.compile(rb"\{(\d)\}")
_MOST = 9e17  # an integer has room for it
_POWERS = np.array([10**k for k in range(18)], np.int64)
_MINUS, _POINT, _ZERO, _T, _Z, _COLON = b"-.0TZ:"


@dataclass(frozen=True, slots=True)
class Templates:
    """Ways to write a row: bytes in which {2} stands for the third column. {} alone is nothing special."""

    text: Bytes  # all literals, one after the other
    ends: Ints  # (t, k + 1) where each literal ends; it begins where the one before it ends
    columns: Ints  # (t, k + 1) what follows each literal; -1: the row is over

    @classmethod
    def of(cls, templates: Sequence[bytes], prefix: bytes) -> "Templates":
        """From bytes, and what stands before each of them."""
        split = [_COLUMN.split(template) for template in templates]
        for parts in split:
            parts[0] = prefix + parts[0]
        most = max(len(parts) for parts in split) // 2 + 1
        ends, columns = np.zeros((len(split), most), np.int64), np.full((len(split), most), -1, np.int64)
        size = 0
        for row, parts in enumerate(split):
            literals, numbers = parts[::2], parts[1::2]
            ends[row] = size + sum(map(len, literals))
            ends[row, : len(literals)] = size + np.cumsum(list(map(len, literals)))
            columns[row, : len(numbers)] = list(map(int, numbers))
            size = int(ends[row, -1])
        text = np.frombuffer(b"".join(b"".join(parts[::2]) for parts in split), np.uint8)
        return cls(text, ends, columns)


def rows(
    templates: Sequence[bytes],
    which: Ints | None,
    columns: Sequence[Floats],
    decimals: Sequence[int],
    unknown: bytes = b"",
    prefix: bytes = b"",
) -> bytes:
    """Each row (n,) of the columns (n,) after the template that `which` (n,) says; NaN is written as `unknown`.

    `prefix` stands before each row, whatever is in it.

    A number has so many decimals at most, and at least one: zeros at its end are left out.
    """
    n = len(columns[0])
    made = Templates.of(templates, prefix)
    which = np.zeros(n, np.int64) if which is None else which
    longest = len(prefix) + max(map(len, templates)) + made.columns.shape[1] * (_WIDEST + len(unknown))
    out = np.empty(n * longest, np.uint8)
    values = np.stack(columns).astype(np.float64)
    missing = np.frombuffer(unknown, np.uint8)
    places = np.array(decimals, np.int64)
    size = _write(out, values, places, which, made.text, made.ends, made.columns, missing)
    return out[:size].tobytes()


@compiled
def _write(
    out: Bytes, values: Floats, decimals: Ints, which: Ints, text: Bytes, ends: Ints, columns: Ints, missing: Bytes
) -> int:
    at = 0
    for row in range(len(which)):
        t = which[row]
        place = ends[t - 1, -1] if t > 0 else 0
        for k in range(columns.shape[1]):
            while place < ends[t, k]:
                out[at] = text[place]
                at, place = at + 1, place + 1
            c = columns[t, k]
            if c < 0:
                break
            value = values[c, row]
            if isnan(value):
                for byte in missing:
                    out[at] = byte
                    at += 1
            elif decimals[c] == TIME:
                at = _time(out, at, value)
            else:
                at = _number(out, at, value, decimals[c])
    return at


@helper
def _digits(out: Bytes, at: int, value: int, width: int) -> int:
    """An integer with zeros before it, or more digits where it has them."""
    while width < 18 and value >= _POWERS[width]:
        width += 1
    for i in range(width - 1, -1, -1):
        out[at + i] = _ZERO + value % 10
        value //= 10
    return at + width


@helper
def _number(out: Bytes, at: int, value: float, decimals: int) -> int:
    scaled = int(np.rint(min(abs(value) * _POWERS[decimals], _MOST)))
    if value < 0.0 and scaled > 0:
        out[at] = _MINUS
        at += 1
    at = _digits(out, at, scaled // _POWERS[decimals], 1)
    out[at] = _POINT
    end = _digits(out, at + 1, scaled % _POWERS[decimals], decimals)
    while end > at + 2 and out[end - 1] == _ZERO:
        end -= 1
    return end


@helper
def _time(out: Bytes, at: int, value: float) -> int:
    """The date from the days since 1970 by Hinnant's civil_from_days."""
    ms = int(np.rint(value * 1000.0))
    days, ms = ms // 86_400_000, ms % 86_400_000
    z = days + 719_468
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    at = _digits(out, at, yoe + era * 400 + (1 if month <= 2 else 0), 4)
    at = _after(out, at, _MINUS, month, 2)
    at = _after(out, at, _MINUS, doy - (153 * mp + 2) // 5 + 1, 2)
    at = _after(out, at, _T, ms // 3_600_000, 2)
    at = _after(out, at, _COLON, ms // 60_000 % 60, 2)
    at = _after(out, at, _COLON, ms // 1000 % 60, 2)
    if ms % 1000:
        at = _after(out, at, _POINT, ms % 1000, 3)
    out[at] = _Z
    return at + 1


@helper
def _after(out: Bytes, at: int, sign: int, value: int, width: int) -> int:
    out[at] = sign
    return _digits(out, at + 1, value, width)
