from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.stays import STAY, TRIP, Floats, Rule, Spans, advance, empty, finish, place, staying
from tests.fixes import place as at

DELIVERY = Rule(radius_m=60.0, still_mps=0.8, shortest_s=60.0, merge_s=60.0)
TRAFFIC = Rule(radius_m=4.0, still_mps=0.8, shortest_s=30.0, merge_s=0.01)


def drive(*parts: tuple[float, float]) -> tuple[Floats, Floats]:
    """Time and metres east, each second, of one who in turn goes on (seconds, at m/s), braking at 1 m/s²."""
    speed = np.concatenate([np.full(int(seconds), mps) for seconds, mps in parts])
    for i in range(1, len(speed)):
        speed[i] = min(speed[i], speed[i - 1] + 1.0)
    for i in range(len(speed) - 2, -1, -1):
        speed[i] = min(speed[i], speed[i + 1] + 1.0)
    return np.arange(len(speed), dtype=float), np.cumsum(speed) - speed[0]


def follow(
    state: Floats, time: Floats, east: Floats, rule: Rule = DELIVERY, north: Floats | float = 0.0, sigma: float = 1.0
) -> Spans:
    n = len(time)
    unknown = np.full(n, np.nan)
    return advance(state, np.zeros(n, np.int64), time, *at(east, north), unknown, np.full(n, sigma), rule)


def spans(found: Spans, kind: int) -> list[tuple[float, float]]:
    chosen = found.kind == kind
    return list(zip(found.start[chosen].tolist(), found.end[chosen].tolist(), strict=True))


@pytest.mark.parametrize("step", [1, 5, 10])
def test_a_stay_is_dated_back_to_when_the_driver_stopped_and_ends_when_he_goes(step: int) -> None:
    time, east = drive((120, 10), (200, 0), (120, 10))
    state = empty(1)
    found = follow(state, time[::step], east[::step])
    ((start, end),) = spans(found, STAY)
    assert start == pytest.approx(120, abs=3)
    assert end == pytest.approx(320, abs=max(3.0, 0.7 * step))
    ((left, stopped),) = spans(found, TRIP)
    assert (left, stopped) == (0.0, start)
    assert found.metres[found.kind == TRIP][0] == pytest.approx(1150, abs=40)
    last = finish(state)
    assert spans(last, TRIP) == [(end, time[::step][-1])] and last.ongoing.all()


def test_who_stays_now_is_known_after_a_while_with_the_start_dated_back() -> None:
    time, east = drive((60, 10), (100, 0))
    state = empty(2)
    follow(state, time[:110], east[:110])
    assert np.isnan(staying(state)).all()
    follow(state, time[110:], east[110:])
    assert staying(state)[0] == pytest.approx(60, abs=2) and np.isnan(staying(state)[1])
    np.testing.assert_allclose(place(state)[1][0], at(east[-1])[1], atol=1e-6)
    assert spans(finish(state), STAY) == [(staying(state)[0], 159.0)]


def test_a_red_light_is_no_stay_for_deliveries_but_is_one_in_traffic() -> None:
    time, east = drive((60, 10), (40, 0), (60, 10))
    assert spans(follow(empty(1), time, east), STAY) == []
    ((start, end),) = spans(follow(empty(1), time, east, TRAFFIC), STAY)
    assert (start, end) == (pytest.approx(60, abs=2), pytest.approx(100, abs=2))


def test_creeping_on_in_a_queue_ends_a_halt_in_traffic() -> None:
    time, east = drive((60, 10), (40, 0), (6, 2), (40, 0), (60, 10))
    assert len(spans(follow(empty(1), time, east, TRAFFIC), STAY)) == 2


def test_a_short_absence_does_not_cut_a_stay_in_two_and_a_new_place_does() -> None:
    time, east = drive((60, 10), (200, 0), (10, 3), (10, -3), (200, 0), (60, 10))
    ((start, end),) = spans(follow(empty(1), time, np.abs(east)), STAY)
    assert (start, end) == (pytest.approx(60, abs=3), pytest.approx(480, abs=15))
    time, east = drive((60, 10), (200, 0), (30, 10), (200, 0), (60, 10))
    assert len(spans(follow(empty(1), time, east), STAY)) == 2


def test_noise_is_no_movement_where_the_device_is_that_bad() -> None:
    time = np.arange(0.0, 900.0, 5.0)
    east, north = np.random.default_rng(2).normal(0, 5, (2, len(time)))
    state = empty(1)
    follow(state, time, east, north=north, sigma=12.0)
    assert staying(state)[0] == pytest.approx(0, abs=60)


def test_a_parked_phone_that_falls_silent_stays() -> None:
    time, east = drive((60, 10), (100, 0))
    time, east = np.append(time, 40_000.0), np.append(east, east[-1] + 5.0)
    state = empty(1)
    follow(state, time, east)
    assert staying(state)[0] == pytest.approx(60, abs=2)


def test_speed_of_the_device_is_believed() -> None:
    time = np.arange(0.0, 200.0, 10.0)
    n = len(time)
    state = empty(1)
    row, unknown = np.zeros(n, np.int64), np.zeros(n)
    latitude, longitude = at(np.where(np.arange(n) % 2, 9.0, 0.0), 0.0)  # jitter that looks like 0.9 m/s
    advance(state, row, time, latitude, longitude, unknown, np.full(n, 1.0), DELIVERY)
    assert staying(state)[0] == pytest.approx(0, abs=10)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 200), st.sampled_from([0.0, 0.5, 1.4, 10.0])), min_size=1, max_size=8),
    st.lists(st.integers(0, 1000), max_size=4),
    st.integers(0, 5),
    st.sampled_from([DELIVERY, TRAFFIC]),
)
def test_any_batching_gives_the_same_and_spans_follow_each_other(
    parts: list[tuple[int, float]], cuts: list[int], noise: int, rule: Rule
) -> None:
    time, east = drive(*parts)
    east = east + np.random.default_rng(noise).normal(0, noise, len(east))
    state = empty(1)
    whole = follow(state, time, east, rule)
    again, found = empty(1), []
    edges = [0, *sorted(min(cut, len(time)) for cut in cuts), len(time)]
    for a, b in pairwise(edges):
        found.append(follow(again, time[a:b], east[a:b], rule))
    for name in Spans.__slots__:
        np.testing.assert_array_equal(np.concatenate([getattr(f, name) for f in found]), getattr(whole, name))
    assert again.tobytes() == state.tobytes()

    last = finish(state)
    every = sorted([*spans(whole, STAY), *spans(last, STAY)])
    trips = sorted([*spans(whole, TRIP), *spans(last, TRIP)])
    assert all(end - start >= rule.shortest_s - 1e-6 for start, end in spans(whole, STAY))
    both = sorted(every + trips)
    assert all(end <= start for (_, end), (start, _) in pairwise(both))
    assert all(0 <= start <= end <= time[-1] for start, end in both)


def test_drivers_do_not_mix() -> None:
    time, east = drive((60, 10), (100, 0), (60, 10))
    n = len(time)
    state, alone = empty(2), empty(1)
    expected = follow(alone, time, east)
    columns = [np.tile(column, 2) for column in (time, *at(east), np.full(n, np.nan), np.ones(n))]
    found = advance(state, np.repeat([0, 1], n), *columns, DELIVERY)
    assert found.row.tolist() == [0] * len(expected.row) + [1] * len(expected.row)
    assert state.tobytes() == 2 * alone.tobytes()
