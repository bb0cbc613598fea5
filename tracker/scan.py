"""Plain location messages in one pass from bytes to rows of fixes; whatever is unusual is left to msgspec.

No object a fix, so a fix costs a third of what it does by way of one. What is read here msgspec reads as the same
fixes, to the bit (a property test). What is not JSON, not valid or only rare (escapes, nested unknown fields, more than
18 digits) gives no rows, and goes the way on which errors are found and told.

Each function takes the position it reads at and returns the one after it, -1 where it cannot go on.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled, helper
from tracker.literals import at, integer, number, seconds, time
from tracker.records import Source

Rows = NDArray[np.float64]

COLUMNS = 7
FIX_TIME, LATITUDE, LONGITUDE, SPEED, COURSE, ACCURACY, SOURCE = range(COLUMNS)
"""Columns of the rows; SOURCE is a `Source`, and NaN in others is what is not known."""
MAX_FIXES = 10_000
"""A batch holds no more fixes than this."""

BY_PROVIDER = {
    Source.GPS: ("gps", "gnss"),
    Source.NETWORK: ("network", "nlp", "cell", "wifi"),
    Source.FUSED: ("fused", "flp"),
}
"""What devices call their providers, in lower case."""


def _code(name: str) -> int:
    return functools.reduce(lambda code, c: code << 7 | c, name.encode(), 0)


_OF_FIX = ["timestamp", "latitude", "longitude", "speed", "heading", "accuracy", "provider", "mock"]
_OF_MESSAGE = ["type", "seq", "sent_at", "fixes", "columns"]
_PROVIDER, _MOCK, _TYPE, _SEQ, _SENT_AT, _FIXES, _COLUMNS, _OTHER = range(6, 14)
_LONGEST = 9
"""Characters of the longest of these; so many of 7 bits each fit into an integer."""
_CODES = tuple(_code(name) for name in (*_OF_FIX, *_OF_MESSAGE))
_PROVIDERS = tuple((_code(name), float(source)) for source, names in BY_PROVIDER.items() for name in names)
_MADE_UP = float(Source.MOCK)  # the highest of them
_KINDS = np.array([list(b'"location_batch"\0'), list(b'"location_update"')], np.uint8)
_BATCH, _UPDATE = range(2)
_QUOTE, _BACKSLASH, _BRACE, _END_BRACE, _BRACKET, _END_BRACKET, _COMMA, _COLON, _N, _T, _F = b'"\\{}[],:ntf'
_PLACE = 1 << LATITUDE | 1 << LONGITUDE


@compiled
def scan(data: bytes, received_at: float) -> tuple[int, float, Rows]:
    """The seq or -1, when it was sent, and the fixes (n, 7) of a location_update or _batch; none where it is not plain.

    Times are Unix seconds to the millisecond, of a fix without one `received_at`.
    """
    rows = np.empty((len(data) // 4 + 1, 7))
    update = np.empty((1, 7))
    _clear(update[0], received_at)
    n, seq, sent_at, kind, given = -1, -1, np.nan, -1, 0
    i, more = _open(data, _blank(data, 0), _BRACE, _END_BRACE)
    while more:
        i, name = _key(data, i)
        if name < _TYPE:
            i = _value(data, i, name, update[0], received_at)
            given |= 1 << name
        elif name == _TYPE and kind < 0:
            i, kind = _kind(data, i)
        elif name == _SEQ:
            i, seq = integer(data, i)
        elif name == _SENT_AT:
            i, sent_at = _moment(data, i, np.nan)
        elif name in (_FIXES, _COLUMNS) and n < 0:
            i, n = _fixes(data, i, rows, received_at) if name == _FIXES else _columns(data, i, rows, received_at)
        else:
            i = _skip(data, i) if name == _OTHER else -1
        i, more = _next(data, i, _END_BRACE)
    if i >= 0 and _blank(data, i) == len(data):
        if kind == _UPDATE and given & _PLACE == _PLACE and n < 0:
            return seq, sent_at, update
        if kind == _BATCH and seq >= 0 and 0 < n <= MAX_FIXES and not given:
            return seq, sent_at, rows[:n].copy()
    return -1, np.nan, rows[:0]


@helper
def _clear(row: Rows, received_at: float) -> None:
    row[:] = np.nan
    row[FIX_TIME] = seconds(received_at)
    row[SOURCE] = 0.0


@helper
def _fixes(data: bytes, i: int, rows: Rows, received_at: float) -> tuple[int, int]:
    """A list of objects into rows; and how many they are."""
    n = 0
    i, more = _open(data, i, _BRACKET, _END_BRACKET)
    while more:
        _clear(rows[n], received_at)
        given = 0
        i, member = _open(data, i, _BRACE, _END_BRACE)
        while member:
            i, name = _key(data, i)
            if name < _TYPE:
                i = _value(data, i, name, rows[n], received_at)
                given |= 1 << name
            else:
                i = _skip(data, i)
            i, member = _next(data, i, _END_BRACE)
        n += 1
        i, more = _next(data, i if given & _PLACE == _PLACE else -1, _END_BRACKET)
    return i, n


@helper
def _columns(data: bytes, i: int, rows: Rows, received_at: float) -> tuple[int, int]:
    """An object of lists into the columns of rows; and how many rows they are."""
    n, given = -1, 0
    i, more = _open(data, i, _BRACE, _END_BRACE)
    while more:
        i, name = _key(data, i)
        if name < _TYPE:
            k, most = 0, n if given else len(rows)
            i, item = _open(data, i, _BRACKET, _END_BRACKET)
            while item and k < most:
                if not given:
                    _clear(rows[k], received_at)
                i = _value(data, i, name, rows[k], received_at)
                i, item = _next(data, i, _END_BRACKET)
                k += 1
            given |= 1 << name
            i = -1 if item or n not in (-1, k) else i
            n = k
        else:
            i = _skip(data, i)
        i, more = _next(data, i, _END_BRACE)
    return i if given & _PLACE == _PLACE else -1, n


@helper
def _value(data: bytes, i: int, name: int, row: Rows, received_at: float) -> int:
    """A value of a fix into its row."""
    if name == FIX_TIME:
        i, row[FIX_TIME] = _moment(data, i, received_at)
        return i
    if name == _PROVIDER:
        i, provider = _provider(data, i)
        row[SOURCE] = provider + (_MADE_UP if row[SOURCE] >= _MADE_UP else 0.0)
        return i
    if name == _MOCK:
        row[SOURCE] = row[SOURCE] % _MADE_UP + (_MADE_UP if at(data, i) == _T else 0.0)
        return _literal(data, i)
    if at(data, i) == _N:
        row[name] = np.nan
        return _literal(data, i) if name > LONGITUDE else -1
    i, value = number(data, i)
    if name > LONGITUDE and value < 0.0:  # -1 is how phones say that they do not know
        value = np.nan
    row[name] = value % 360.0 if name == COURSE and value >= 360.0 else value
    return i


@helper
def _provider(data: bytes, i: int) -> tuple[int, float]:
    """A provider's name in any case, or null; one not known here is no error."""
    if at(data, i) == _N:
        return _literal(data, i), 0.0
    start = i + 1
    i = _string(data, i)[0]
    code = 0
    for k in range(start, min(i - 1, start + _LONGEST)):
        code = code << 7 | (data[k] | 32 if 65 <= data[k] <= 90 else data[k])
    if i - 1 - start <= _LONGEST:
        for k in range(len(_PROVIDERS)):
            if code == _PROVIDERS[k][0]:
                return i, _PROVIDERS[k][1]
    return i, 0.0


@helper
def _moment(data: bytes, i: int, otherwise: float) -> tuple[int, float]:
    """A time as text or number; null is the other one."""
    if at(data, i) == _QUOTE:
        return time(data, i + 1)
    if at(data, i) == _N:
        return _literal(data, i), seconds(otherwise)
    i, value = number(data, i)
    return i, seconds(value)


# JSON


@helper
def _blank(data: bytes, i: int) -> int:
    while at(data, i) in (32, 9, 10, 13):
        i += 1
    return i


@helper
def _open(data: bytes, i: int, opening: int, closing: int) -> tuple[int, bool]:
    """Into a list or an object; and whether there is anything in it."""
    if at(data, i) != opening:
        return -1, False
    i = _blank(data, i + 1)
    empty = at(data, i) == closing
    return i + empty, not empty


@helper
def _next(data: bytes, i: int, closing: int) -> tuple[int, bool]:
    """To the next of a list or an object; and whether there is one."""
    if i < 0:
        return -1, False
    i = _blank(data, i)
    if at(data, i) == closing:
        return i + 1, False
    comma = at(data, i) == _COMMA
    return _blank(data, i + 1) if comma else -1, comma


@helper
def _key(data: bytes, i: int) -> tuple[int, int]:
    """To a key's value; and which name the key is."""
    start = i + 1
    i, code = _string(data, i)
    name = _OTHER
    if i - 1 - start <= _LONGEST:
        for k in range(len(_CODES)):
            if code == _CODES[k]:
                name = k
    i = _blank(data, i)
    return _blank(data, i + 1) if i > 0 and at(data, i) == _COLON else -1, name


@helper
def _kind(data: bytes, i: int) -> tuple[int, int]:
    """A message's type; and which of the two it is."""
    end = _string(data, i)[0]
    for kind in range(len(_KINDS)):
        k = 0
        while i + k < end and data[i + k] == _KINDS[kind, k]:
            k += 1
        if i + k == end:
            return end, kind
    return -1, -1


@helper
def _string(data: bytes, i: int) -> tuple[int, int]:
    """Past a string of printable ASCII without escapes; and the 7 bits of each of its last 9 characters."""
    if at(data, i) != _QUOTE:
        return -1, 0
    i += 1
    code = 0
    c = at(data, i)
    while c != _QUOTE:
        if c < 32 or c > 126 or c == _BACKSLASH:
            return -1, 0
        code = code << 7 | c
        i += 1
        c = at(data, i)
    return i + 1, code


@helper
def _literal(data: bytes, i: int) -> int:
    """Past null, true or false."""
    for word in ((110, 117, 108, 108, 0), (116, 114, 117, 101, 0), (102, 97, 108, 115, 101)):
        k = 0
        while k < 5 and word[k] and at(data, i + k) == word[k]:
            k += 1
        if k == 5 or not word[k]:
            return i + k
    return -1


@helper
def _skip(data: bytes, i: int) -> int:
    """Past any value that holds no others."""
    if at(data, i) == _QUOTE:
        return _string(data, i)[0]
    if 97 <= at(data, i) <= 122:
        return _literal(data, i)
    return number(data, i)[0]
