"""Who passed where, asked of both stores and held against a dense sampling of the whole tracks."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo.earth import distance, offset
from geo.fences import Area, Circle
from storage import Commit, Store
from tests.fixes import LATITUDE, LONGITUDE, place
from tests.tracks import T0, run, runs
from tracker.errors import Flag, InvalidInput
from tracker.records import Track

HERE = Circle(LATITUDE, LONGITUDE, 50.0)


def drive(driver_id: str, t, east, north=0.0, *, kind: Flag = Flag.ACCEPTED, connected: bool = False) -> Track:
    """A run through places metres from the place, `t` seconds after T0."""
    latitude, longitude = place(np.broadcast_to(east, len(t)), np.broadcast_to(north, len(t)))
    found = run(driver_id, t, kind=kind, connected=connected)
    return dataclasses.replace(found, latitude=latitude, longitude=longitude)


def told(passes) -> list[tuple[str, float, float]]:
    return [(p.driver_id, round(p.entered_at - T0, 2), round(p.left_at - T0, 2)) for p in passes]


async def test_a_pass_between_two_fixes_has_time_and_distance_of_the_closest_approach(store: Store):
    await store.commit(
        Commit(track=runs([drive("a", [0, 100], [-500, 500], 30), drive("b", [0, 100], [-500, 500], 51)]))
    )
    (found,) = await store.passes(HERE, T0, T0 + 100)
    assert (found.driver_id, found.entered, found.left, found.gap_s) == ("a", True, True, 100)
    assert found.closest_at == pytest.approx(T0 + 50, abs=0.01)
    assert found.distance == pytest.approx(30, abs=0.01)
    assert (found.entered_at - T0, found.left_at - T0) == pytest.approx((46, 54), abs=0.01)
    assert distance(found.latitude, found.longitude, *place(0, 30)) < 0.01


async def test_one_visit_over_many_rows_is_one_and_two_visits_are_two(store: Store):
    await store.commit(Commit(track=drive("a", [0, 10], [-100, -20])))
    for t in range(10, 60, 10):
        await store.commit(Commit(track=drive("a", [t, t + 10], [-20, -20], connected=True)))
    await store.commit(Commit(track=drive("a", [60, 70, 80, 90], [-20, 100, 0, -100], connected=True)))
    assert told(await store.passes(HERE, T0, T0 + 1000)) == [("a", 6.25, 65.83), ("a", 75, 85)]


async def test_only_what_lies_in_the_time_asked_for_counts(store: Store):
    await store.commit(Commit(track=drive("a", [0, 100], [-500, 500])))
    (found,) = await store.passes(HERE, T0 + 47, T0 + 49)
    assert (found.entered, found.left, found.entered_at, found.left_at) == (False, False, T0 + 47, T0 + 49)
    assert found.gap_s == 100
    assert found.distance == pytest.approx(10, abs=0.01)
    assert await store.passes(HERE, T0 + 40, T0 + 45) == []
    assert await store.passes(HERE, T0 + 49, T0 + 49) == []


async def test_a_late_fix_changes_the_way(store: Store):
    """It lies far off, so the ways to it and from it, past the place, are in no row."""
    await store.commit(Commit(track=drive("a", [0, 100, 200], [-300, -300, -300], 0)))
    assert await store.passes(HERE, T0, T0 + 200) == []
    await store.commit(Commit(aside=drive("a", [50], [300], 0, kind=Flag.LATE)))
    assert [round(p.closest_at - T0) for p in await store.passes(HERE, T0, T0 + 200)] == [25, 75]


async def test_an_outlier_is_passed_by_and_a_judgement_decides(store: Store):
    await store.commit(
        Commit(track=drive("a", [0, 100], [-300, -300]), aside=drive("a", [50], [300], kind=Flag.OUTLIER))
    )
    assert await store.passes(HERE, T0, T0 + 200) == []
    await store.commit(Commit(judgements=[("a", T0 + 50, Flag.ACCEPTED)]))
    assert len(await store.passes(HERE, T0, T0 + 200)) == 2
    await store.commit(Commit(judgements=[("a", T0 + 50, Flag.OUTLIER)]))
    assert await store.passes(HERE, T0, T0 + 200) == []


async def test_a_silence_is_no_way_but_who_is_there_before_and_after_it_was_there(store: Store):
    far = drive("through", [0, 1000], [-500, 500])
    parked = [drive("parked", [0, 5], [-10, 0]), drive("parked", [5000, 5100], [0, 500])]
    left = [drive("left", [0, 5], [-10, 0]), drive("left", [2000], [900]), drive("left", [5000, 5100], [0, 500])]
    await store.commit(Commit(track=runs([far, *parked, *left])))
    found = await store.passes(HERE, T0, T0 + 6000)
    assert told(found) == [("left", 0, 5), ("parked", 0, 5010), ("left", 5000, 5010)]
    assert [p.gap_s for p in found] == [5, 4995, 100]


async def test_who_was_inside_a_polygon_with_a_hole(store: Store):
    def ring(metres):
        east, north = np.array([-1, 1, 1, -1, -1]) * metres, np.array([-1, -1, 1, 1, -1]) * metres
        latitude, longitude = place(east, north)
        return np.stack([longitude, latitude], axis=1).tolist()

    await store.commit(Commit(track=drive("a", [0, 100, 200], [-500, 500, 500])))
    found = await store.passes(Area([[ring(200), ring(100)]]), T0, T0 + 300)
    assert told(found) == [("a", 30, 40), ("a", 60, 70)]
    assert np.isnan(found[0].distance)
    assert distance(found[0].latitude, found[0].longitude, *place(-200)) < 0.5


@pytest.mark.parametrize("longitude", [179.9995, -179.9995])
async def test_a_place_at_the_antimeridian_is_passed_like_others(store: Store, longitude: float):
    found = run("a", [0, 10])
    line = dataclasses.replace(found, latitude=np.zeros(2), longitude=np.array([179.998, -179.998]))
    await store.commit(Commit(track=line))
    (visit,) = await store.passes(Circle(0.0, longitude, 20.0), T0, T0 + 10)
    assert visit.distance < 0.01


async def test_more_rows_than_are_read_at_once_give_each_visit_whole(store: Store, monkeypatch):
    monkeypatch.setattr("storage.passes.MOST_ROWS", 5)
    for t in range(0, 4000, 100):
        await store.commit(Commit(track=drive("a", [t, t + 100], [0, 0], connected=True)))
    assert told(await store.passes(HERE, T0, T0 + 10_000)) == [("a", 0, 4000)]
    monkeypatch.setattr("storage.passes.MOST_ROUNDS", 3)
    with pytest.raises(InvalidInput, match="shorter"):
        await store.passes(HERE, T0, T0 + 10_000)


_numbers = iter(range(10**6))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_the_rows_the_answer_is_that_of_the_whole_track(store: Store, data: st.DataObject):
    """Fixes come in runs, late and aside, at a place of their own; the truth is the merged track each 0.1 s."""
    number = next(_numbers)
    latitude, longitude = (float(x) for x in offset(10.0 + number % 60, 20.0, 0.0, 0.0))
    n = data.draw(st.integers(2, 12))
    times = sorted(data.draw(st.sets(st.integers(0, 300), min_size=n, max_size=n)))
    east = data.draw(st.lists(st.integers(-200, 200), min_size=n, max_size=n))
    late = set(data.draw(st.lists(st.sampled_from(range(1, n)), max_size=3)))
    where = dict(zip(times, east, strict=True))

    def part(t, **options):
        lat, lon = offset(latitude, longitude, np.array([where[s] for s in t], float), np.zeros(len(t)))
        return dataclasses.replace(run(f"d{number}", t, **options), latitude=np.asarray(lat), longitude=np.asarray(lon))

    live = [t for i, t in enumerate(times) if i not in late]
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(live)), max_size=3)) | {len(live)})]
    for a, b in itertools.pairwise(cuts):
        await store.commit(Commit(track=part(live[max(a - 1, 0) : b], connected=a > 0)))
    for i in sorted(late):
        await store.commit(Commit(aside=part([times[i]], kind=Flag.LATE)))
    start, end = sorted(data.draw(st.tuples(st.integers(0, 300), st.integers(0, 300))))
    found = await store.passes(Circle(latitude, longitude, 50.0), T0 + start, T0 + end)
    sample = np.arange(start, end, 0.05)
    truth = np.abs(np.interp(sample, times, east)) < 50.0
    truth &= (sample >= times[0]) & (sample <= times[-1])
    inside = np.zeros(len(sample), np.bool_)
    for visit in found:
        inside |= (sample >= visit.entered_at - T0) & (sample <= visit.left_at - T0)
    assert (inside != truth).sum() <= 2 * (len(found) + 1)
    if truth.any():
        nearest = np.abs(np.interp(sample[truth], times, east)).min()
        assert min(visit.distance for visit in found) <= nearest + 0.1
