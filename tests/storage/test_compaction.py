"""Compaction changes how fixes are stored, and nothing that a store answers but what the bound allows."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from geo.earth import distance
from storage import Commit, Store
from storage.rows import Statement
from storage.segments import HOUR_S
from storage.store import Compaction
from tests.storage.test_reading import transition
from tests.storage.test_store import message
from tests.tracks import T0, fixes, run, runs, same, times
from tracker.errors import Flag
from tracker.records import Floats, Track

HOUR = T0 // HOUR_S * HOUR_S
FIRST = HOUR - T0  # seconds after T0
_driver = itertools.count()


def drive(driver_id: str, start: float, end: float, step: float = 5.0) -> Track:
    """Through town, in batches that connect: 8 m/s with turns, noise, and a stop."""
    rng = np.random.default_rng(7)
    track = run(driver_id, np.arange(start, end, step))
    n = len(track.fix_time)
    moving = np.where((np.arange(n) // 60) % 4 == 3, 0.0, 8.0)
    course = np.cumsum(rng.normal(0, 0.05, n))
    east, north = np.cumsum(moving * step * np.sin(course)), np.cumsum(moving * step * np.cos(course))
    latitude = np.round(25 + (north + rng.normal(0, 2, n)) / 110_770, 7)
    longitude = np.round(121.5 + (east + rng.normal(0, 2, n)) / 100_950, 7)
    return dataclasses.replace(track, latitude=latitude, longitude=longitude, speed=moving, accuracy=np.full(n, 5.0))


def batches(track: Track, length: int) -> list[Track]:
    """As a driver sends it."""
    found = []
    for start in range(0, len(track.fix_time), length):
        part = slice(max(start - 1, 0), start + length)
        columns = {name: getattr(track, name)[part] for name in ("fix_time", "latitude", "longitude")}
        columns |= {name: getattr(track, name)[part] for name in ("speed", "course", "accuracy", "source")}
        count = len(columns["fix_time"])
        connected = np.array([start > 0])
        found.append(dataclasses.replace(track, offset=np.array([0, count]), connected=connected, **columns))
    return found


async def rows_of(store: Store, driver_id: str) -> int:
    counted = await store.fetch(  # type: ignore[attr-defined]
        Statement("SELECT count(*) AS rows FROM tracks WHERE driver_id = $1", [(driver_id,)])
    )
    return int(counted[0]["rows"])


async def compact(store: Store, before: float, bound_m: float | None = None) -> int:
    """All that is due."""
    due = await store.due(merged=bound_m is not None, before=before, limit=1000)
    await store.commit(Commit(compact=[Compaction(driver_id, hour, bound_m) for driver_id, hour in due]))
    return len(due)


def off(track: Track, simplified: Track) -> Floats:
    """Metres of each fix from where a simplified track says the driver was then."""
    latitude = np.interp(track.fix_time, simplified.fix_time, simplified.latitude)
    longitude = np.interp(track.fix_time, simplified.fix_time, simplified.longitude)
    return distance(track.latitude, track.longitude, latitude, longitude)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_merging_keeps_every_fix_and_knows_every_repeat(store: Store, data: st.DataObject):
    """Whatever came in whatever order, over two hours, judged anew in part; and again with what comes after."""
    driver_id = f"driver-{next(_driver)}"
    newest, sent = -np.inf, set()
    for _ in range(2):
        for _ in range(data.draw(st.integers(1, 5))):
            drawn = data.draw(st.sets(st.integers(0, 80).map(lambda n: FIRST + 90 * n), min_size=1, max_size=8))
            ahead, aside = sorted(t for t in drawn if t > newest), sorted(t for t in drawn if t <= newest)
            kinds = [data.draw(st.sampled_from([Flag.LATE, Flag.OUTLIER])) for _ in aside]
            late = [run(driver_id, [t], kind=kind) for t, kind in zip(aside, kinds, strict=True)]
            track = run(driver_id, ahead) if ahead else Track.empty()
            await store.commit(Commit(track=track, aside=runs(late)))
            newest, sent = max(newest, *drawn), sent | drawn
        judged = data.draw(st.sampled_from(sorted(sent)))
        await store.commit(Commit(judgements=[(driver_id, T0 + judged, Flag.OUTLIER)]))
        track, kind = await store.fixes(driver_id, 0, 2e9)
        await compact(store, 2e9)
        assert await compact(store, 2e9) == 0
        after, kinds_after = await store.fixes(driver_id, 0, 2e9)
        assert same(after, track)
        assert np.array_equal(kinds_after, np.where(kind == Flag.LATE, Flag.ACCEPTED, kind))
        again = await store.commit(Commit(aside=run(driver_id, sorted(sent), kind=Flag.LATE)))
        assert again.duplicate.all()


async def test_runs_of_an_hour_become_one_and_hours_connect(store: Store):
    whole = drive("a", FIRST, FIRST + 7200)
    for part in batches(whole, 10):
        await store.commit(Commit(track=part))
    assert await rows_of(store, "a") == 144
    assert await compact(store, HOUR + 3600) == 1
    assert await compact(store, HOUR + 7200) == 1
    assert await rows_of(store, "a") == 2
    assert same(await store.track("a", HOUR, HOUR + 7200), whole)
    (row,) = await store.fetch(  # type: ignore[attr-defined]
        Statement("SELECT connected, start_time FROM tracks WHERE end_time > $1", [(HOUR + 3600,)])
    )
    assert (bool(row["connected"]), row["start_time"]) == (True, HOUR + 3595)


@pytest.fixture
async def simplified(store: Store) -> tuple[Store, Track]:
    """Two hours at a bound of 10 m, with an outlier between fixes and one after the last, and a crossing."""
    whole = drive("a", FIRST, FIRST + 7200)
    for part in batches(whole, 10):
        await store.commit(Commit(track=part))
    outliers = [run("a", [FIRST + t], kind=Flag.OUTLIER) for t in (1001, 3599, 7199)]
    event = transition("e", "enter", FIRST + 502)
    await store.commit(Commit(aside=runs(outliers), events=[replace(event, driver_id="a")]))
    assert await compact(store, 2e9) == 2
    assert await compact(store, 2e9, 10.0) == 2
    return store, whole


async def test_no_fix_is_further_off_than_the_bound_and_few_vertices_stay(simplified: tuple[Store, Track]):
    store, whole = simplified
    track = await store.track("a", HOUR, HOUR + 7200)
    assert 4 * len(track.fix_time) < len(whole.fix_time)
    assert off(whole, track).max() <= 10.0
    assert await store.due(merged=True, before=2e9, limit=9) == []
    assert await rows_of(store, "a") == 2


async def test_both_sides_of_a_crossing_and_the_ends_of_a_stay_are_vertices(simplified: tuple[Store, Track]):
    store, whole = simplified
    track = await store.track("a", HOUR, HOUR + 7200)
    exact = {row.tobytes() for row in fixes(track)}
    kept = [t for t, row in zip(times(whole), fixes(whole), strict=True) if row.tobytes() in exact]
    assert {FIRST, FIRST + 500, FIRST + 505, FIRST + 3595, FIRST + 7195} <= set(kept)
    assert any(FIRST + 890 <= t <= FIRST + 910 for t in kept)  # it stops at 900 s
    assert any(FIRST + 1190 <= t <= FIRST + 1210 for t in kept)


async def test_whatever_was_simplified_away_is_still_known_as_a_repeat(simplified: tuple[Store, Track]):
    store, whole = simplified
    again = run("a", sorted({*times(whole), FIRST + 1001, FIRST + 3599, FIRST + 7199}), kind=Flag.LATE)
    assert (await store.commit(Commit(aside=again))).duplicate.all()


async def test_a_fix_that_comes_after_its_hour_was_simplified_is_stored_beside_it_once(
    simplified: tuple[Store, Track],
):
    store, _ = simplified
    late = run("a", [FIRST + 1002], kind=Flag.LATE)
    for duplicate in (False, True):
        assert (await store.commit(Commit(aside=late))).duplicate.tolist() == [duplicate]
        await compact(store, 2e9)
        await compact(store, 2e9, 10.0)
        assert T0 + FIRST + 1002 in (await store.track("a", HOUR, HOUR + 3600)).fix_time
    assert await store.due(merged=False, before=2e9, limit=9) == []


async def test_compaction_is_all_or_nothing(store: Store):
    whole = drive("a", FIRST, FIRST + 600)
    for part in batches(whole, 10):
        await store.commit(Commit(track=part))
    what = [Compaction("a", HOUR)]
    with pytest.raises(UnicodeDecodeError):
        await store.commit(Commit(compact=what, messages=[message("bad", body=b"\xff")]))
    assert await rows_of(store, "a") == 12
    await store.commit(Commit(compact=what))
    await store.commit(Commit(compact=what))
    assert await rows_of(store, "a") == 1
    assert same(await store.track("a", HOUR, HOUR + 7200), whole)


async def test_an_hour_without_a_believed_fix_stays_as_it_is(store: Store):
    await store.commit(Commit(aside=run("a", [FIRST + 1], kind=Flag.OUTLIER)))
    await compact(store, 2e9)
    await compact(store, 2e9, 10.0)
    assert (await store.fixes("a", HOUR, HOUR + 10))[1].tolist() == [Flag.OUTLIER]


async def test_old_tracks_are_dropped_and_young_ones_are_not(store: Store):
    week = 7 * 86400.0
    await store.prepare(T0)
    await store.commit(Commit(track=runs(run("a", [n * week, n * week + 5]) for n in range(-3, 1))))
    while await store.drop_tracks(T0 - week):
        pass
    left = times(await store.track("a", T0 - 9 * week, T0 + 9))
    assert left[-4:] == [-week, -week + 5, 0, 5]
    assert -2 * week not in left
    again = await store.commit(Commit(aside=run("a", [-3 * week, 0], kind=Flag.LATE)))
    assert again.duplicate.tolist() == [False, True]
