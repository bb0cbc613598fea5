import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracker.visits import KEYS, Visits

codes = st.integers(0, 5).flatmap(lambda driver: st.integers(0, 5).map(lambda key: driver * KEYS + key))


@given(st.lists(st.tuples(codes, st.booleans()), max_size=40))
def test_visits_stay_sorted_and_each_is_there_once(changes: list[tuple[int, bool]]) -> None:
    visits, expected = Visits.empty(), {}
    for entered_at, (code, stays) in enumerate(changes):
        if stays:
            visits.put(code, float(entered_at), np.inf)
            expected[code] = float(entered_at)
        else:
            visits.keep(visits.code != code)
            expected.pop(code, None)
    assert dict(zip(visits.code.tolist(), visits.entered_at.tolist(), strict=True)) == expected
    assert visits.code.tolist() == sorted(expected)
    place, there = visits.find(np.array([0, KEYS, 6 * KEYS]))
    assert there.tolist() == [0 in expected, KEYS in expected, False]
    assert (visits.code[place[there]] == np.array([0, KEYS, 6 * KEYS])[there]).all()


def test_drivers_are_matched_with_all_their_visits() -> None:
    visits = Visits.empty()
    for driver, key in [(2, 7), (0, 1), (2, 3)]:
        visits.put(driver * KEYS + key, 0.0, np.inf)
    index, place = visits.of_drivers(np.array([0, 1, 2, 2]))
    assert index.tolist() == [0, 2, 2, 3, 3]
    assert (visits.code[place] % KEYS).tolist() == [1, 3, 7, 3, 7]
