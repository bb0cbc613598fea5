"""Numbers and times as JSON carries them, from bytes, correctly rounded; what is rare is not read.

Each function takes the position it reads at and returns the one after it, -1 where it cannot go on.
"""

import numpy as np

from geo.compiled import helper

MILLISECONDS_FROM = 1e11
"""A larger timestamp is in milliseconds: as seconds it would lie beyond the year 5000."""
INTEGER = 1.5 * 2.0**52
"""A float this large has no fraction: adding and subtracting it rounds to an integer, faster than round() does."""
_MOST_DIGITS = 18
"""So many always fit into 63 bits."""
_POWERS = np.array([float(f"1e{k}") for k in range(23)])
"""The powers of ten that a float holds exactly."""
_QUOTE, _COLON, _MINUS, _PLUS, _POINT, _T, _Z, _E, _LITTLE_E, _ZERO, _NINE = b'":-+.TZEe09'


@helper
def at(data: bytes, i: int) -> int:
    """The byte there; 0, which is none of JSON's, before and after the data."""
    return data[i] if 0 <= i < len(data) else 0


@helper
def seconds(stamp: float) -> float:
    """Unix seconds to the millisecond, from seconds or milliseconds."""
    milliseconds = stamp if stamp > MILLISECONDS_FROM else stamp * 1000.0
    return (milliseconds + INTEGER - INTEGER) / 1000.0


@helper
def _digits(data: bytes, i: int) -> tuple[int, int]:
    """Past the digits here; and the integer they are, if they are not too many."""
    value = 0
    while _ZERO <= at(data, i) <= _NINE:
        value = value * 10 + data[i] - _ZERO
        i += 1
    return i, value


@helper
def integer(data: bytes, i: int) -> tuple[int, int]:
    """An integer below 10**15."""
    end, value = _digits(data, i)
    plain = 0 < end - i <= 15 and (data[i] != _ZERO or end - i == 1) and at(data, end) not in (_POINT, _E, _LITTLE_E)
    return end if plain else -1, value


@helper
def number(data: bytes, i: int) -> tuple[int, float]:
    """A number, correctly rounded."""
    negative = at(data, i) == _MINUS
    start = i + negative
    i, digits = _digits(data, start)
    if i == start or (data[start] == _ZERO and i > start + 1):
        return -1, 0.0
    power = 0
    if at(data, i) == _POINT:
        point = i
        i += 1
        while _ZERO <= at(data, i) <= _NINE:
            digits = digits * 10 + data[i] - _ZERO
            i += 1
        power = point + 1 - i
        if not power:
            return -1, 0.0
    if i - start > _MOST_DIGITS:
        return -1, 0.0
    if at(data, i) in (_E, _LITTLE_E):
        sign = at(data, i + 1)
        first = i + 2 if sign in (_PLUS, _MINUS) else i + 1
        i, exponent = _digits(data, first)
        if not first < i < first + 4:
            return -1, 0.0
        power += -exponent if sign == _MINUS else exponent
    known, value = _scaled(digits, power)
    return i if known else -1, -value if negative else value


@helper
def _scaled(digits: int, power: int) -> tuple[bool, float]:
    """Whether it is certain, and digits * 10**power correctly rounded; digits below 10**18.

    Where both are exact as floats so is the rounding of their quotient or product (Clinger, How to read floating point
    numbers accurately, 1990). Else the quotient is taken to twice the precision, and must round the same a little
    above and a little below (Ziv's test).
    """
    if not -len(_POWERS) < power < len(_POWERS):
        return False, 0.0
    if digits <= 2**53:
        return True, digits / _POWERS[-power] if power < 0 else digits * _POWERS[power]
    if power >= 0:
        return power == 0, float(digits)
    divisor = _POWERS[-power]
    high = float(digits)
    low = float(digits - np.int64(high))
    quotient = high / divisor
    product, error = _product(quotient, divisor)
    rest = ((high - product) - error + low) / divisor
    value = quotient + rest
    return value == quotient + rest * (1 + 2.0**-40) and value == quotient + rest * (1 - 2.0**-40), value


@helper
def _product(a: float, b: float) -> tuple[float, float]:
    """a * b, and its rounding error (Dekker, A floating-point technique for extending precision, 1971)."""
    product = a * b
    c, d = a * (2.0**27 + 1.0), b * (2.0**27 + 1.0)
    a1, b1 = c - (c - a), d - (d - b)
    a2, b2 = a - a1, b - b1
    return product, a2 * b2 - (product - a1 * b1 - a2 * b1 - a1 * b2)


@helper
def _two(data: bytes, i: int, most: int) -> int:
    """A number of two digits; very negative where it is not, or is larger."""
    a, b = data[i] - _ZERO, data[i + 1] - _ZERO
    value = a * 10 + b
    return value if 0 <= a <= 9 and 0 <= b <= 9 and value <= most else -1_000_000


@helper
def time(data: bytes, i: int) -> tuple[int, float]:
    """A time after its opening quote, as 2025-01-20T10:30:00Z, with up to six decimals or an offset (RFC 3339)."""
    if i + 21 > len(data):
        return -1, 0.0
    year = _two(data, i, 99) * 100 + _two(data, i + 2, 99)
    month, day = _two(data, i + 5, 12), _two(data, i + 8, 31)
    second = _two(data, i + 11, 23) * 3600 + _two(data, i + 14, 59) * 60 + _two(data, i + 17, 59)
    dashes = data[i + 4] == _MINUS and data[i + 7] == _MINUS
    marks = dashes and data[i + 10] == _T and data[i + 13] == _COLON and data[i + 16] == _COLON
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 28 + leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31
    if not (marks and year >= 1970 and month >= 1 and 1 <= day <= longest and second >= 0):
        return -1, 0.0
    second += 86400 * _days(year, month, day)
    i += 19
    millionths = 0
    if at(data, i) == _POINT:
        end, millionths = _digits(data, i + 1)
        if not i + 1 < end < i + 8:
            return -1, 0.0
        for _ in range(i + 7 - end):
            millionths *= 10
        i = end
    sign = at(data, i)
    if sign != _Z:
        if i + 6 > len(data) or sign not in (_PLUS, _MINUS) or data[i + 3] != _COLON:
            return -1, 0.0
        offset = _two(data, i + 1, 23) * 3600 + _two(data, i + 4, 59) * 60
        if offset < 0:
            return -1, 0.0
        second -= offset if sign == _PLUS else -offset
        i += 5
    return i + 2 if at(data, i + 1) == _QUOTE else -1, seconds((second * 1_000_000 + millionths) / 1e6)


@helper
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970 (Hinnant, chrono-compatible low-level date algorithms, 2013); years begin in March here."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
