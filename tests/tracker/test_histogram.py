import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracker.histogram import Histogram

values = st.lists(st.floats(0, 20))


@given(values)
def test_each_bound_counts_what_is_at_most_that(seen: list[float]) -> None:
    histogram = Histogram((0.1, 1.0, 10.0))
    for value in seen:
        histogram.add(value)
    expected = [sum(value <= bound for value in seen) for bound in (0.1, 1.0, 10.0, float("inf"))]
    assert [count for _, count in histogram.cumulated()] == expected
    assert (histogram.count, histogram.sum) == (len(seen), sum(seen))


@given(values)
def test_many_at_once_count_as_one_by_one(seen: list[float]) -> None:
    one_by_one, at_once = Histogram(), Histogram()
    for value in seen:
        one_by_one.add(value)
    at_once.add_all(np.array(seen))
    assert list(one_by_one.cumulated()) == list(at_once.cumulated())
    assert np.isclose(one_by_one.sum, at_once.sum)
