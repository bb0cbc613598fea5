import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.visits import LEFT, Visits, add, grown, remove

change = st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["put", "remove", "forget"]))


@settings(deadline=None)
@given(st.lists(change, max_size=600))
def test_each_driver_keeps_his_own_visits(changes) -> None:
    visits, expected = Visits(), {}
    for number, (driver, key, what) in enumerate(changes):
        if what == "put":
            visits.put(driver, key, float(number), np.inf)
            expected[driver, key] = float(number)
        elif what == "forget":
            visits.forget(key)
            expected = {pair: at for pair, at in expected.items() if pair[1] != key}
        elif visits.of(driver):
            place = visits.of(driver)[0]
            before, at = -1, int(visits.drivers["first"][driver])
            while at != place:
                before, at = at, int(visits.pool["next"][at])
            del expected[driver, int(visits.pool["key"][place])]
            remove(visits.pool, visits.drivers, visits.counters, driver, place, before)
    assert {
        (driver, int(visits.pool["key"][place])): float(visits.pool["entered_at"][place])
        for driver in range(6)
        for place in visits.of(driver)
    } == expected


def test_the_pool_grows_and_is_used_again() -> None:
    visits = Visits()
    visits.reserve(1, 1)
    for _ in range(3):
        for key in range(1_000):
            if not visits.counters[LEFT]:
                visits.pool = grown(visits.pool, visits.counters, 1)
            visits.pool["key"][add(visits.pool, visits.drivers, visits.counters, 0)] = key
        assert len(visits.of(0)) == 1_000
        for _ in range(1_000):
            remove(visits.pool, visits.drivers, visits.counters, 0, int(visits.drivers["first"][0]), -1)
    assert len(visits.pool) == 1_024
