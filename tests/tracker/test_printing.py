"""Numbers and times are written as Python would, row by row."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracker.codec import iso
from tracker.printing import TIME, rows


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=30), st.integers(1, 8))
def test_a_number_is_what_rounding_makes_of_it(values, decimals):
    text = rows([b",{0}"], None, [np.array(values)], [decimals], b"null")
    read = json.loads(b"[" + text[1:] + b"]")
    expected = [None if x != x else x for x in values]
    assert len(read) == len(expected)
    for found, x in zip(read, expected, strict=True):
        assert (found is None) == (x is None)
        assert x is None or abs(found - x) <= 0.5 * 10**-decimals + 1e-15 * max(abs(x), 1.0)


@given(st.lists(st.integers(0, 4_000_000_000_000), min_size=1, max_size=30))
def test_a_time_is_iso_8601(milliseconds):
    times = np.array(milliseconds) / 1000
    text = rows([b"{0}\n"], None, [times], [TIME], b"")
    assert text.decode().splitlines() == [iso(t) for t in times.tolist()]


def test_zeros_at_the_end_are_left_out_and_nothing_is_minus_zero():
    text = rows([b" {0}"], None, [np.array([45.0, 8.30, -0.0001, 0.125, 1e5, -7.5])], [3], b"?")
    assert text == b" 45.0 8.3 0.0 0.125 100000.0 -7.5"


def test_each_row_has_its_template():
    columns = [np.array([1.0, 2.0, np.nan]), np.array([4.0, 5.0, 6.0])]
    templates = [b"<a>{0}</a>\n", b"nothing {}\n", b"{1}{0}|"]
    assert rows(templates, np.array([0, 1, 2]), columns, [1, 1], b"?") == b"<a>1.0</a>\nnothing {}\n6.0?|"
    assert rows(templates, np.array([2, 2, 0]), columns, [1, 1], b"") == b"4.01.0|5.02.0|<a></a>\n"


def test_no_rows_are_no_bytes():
    assert rows([b"{0}"], None, [np.empty(0)], [1], b"") == b""
