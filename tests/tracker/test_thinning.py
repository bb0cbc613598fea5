"""A track thinned in parts is the track thinned as a whole, and exact where something happened."""

import numpy as np
import pytest

from geo.earth import distance
from geo.simplify import simplify
from storage.segments import concatenate, keep
from tests.fixes import place
from tests.tracks import T0, run
from tracker.records import Track
from tracker.thinning import Thinner


def walk(n: int) -> Track:
    rng = np.random.default_rng(n)
    track = run("a", np.cumsum(rng.integers(1, 10, n)))
    east, north = rng.normal(0, 8, (2, n)).cumsum(axis=1)
    track.latitude[:], track.longitude[:] = place(east, north)
    return track


def thinned(track: Track, bound: float, parts: int, moments=None) -> Track:
    thinner = Thinner(bound, moments)
    piece = np.arange(len(track.fix_time)) * parts // len(track.fix_time)
    return concatenate([*(thinner.add(keep(track, piece == p)) for p in range(parts)), thinner.end()])


@pytest.mark.parametrize("parts", [1, 2, 7, 150, 300])
def test_in_any_parts_it_is_what_simplify_gives(parts: int):
    track = walk(300)
    index, latitude, longitude = simplify(track.fix_time, track.latitude, track.longitude, 20.0)
    few = thinned(track, 20.0, parts)
    assert 2 < len(index) < 100
    assert few.fix_time.tolist() == track.fix_time[index].tolist()
    np.testing.assert_allclose(few.latitude, latitude, rtol=0, atol=1e-12)
    np.testing.assert_allclose(few.longitude, longitude, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(few.course, track.course[index])


@pytest.mark.parametrize("parts", [1, 3, 300])
def test_before_and_after_a_moment_fixes_stay_where_they_are(parts: int):
    track = walk(300)
    moments = np.sort(np.random.default_rng(0).uniform(track.fix_time[0] - 50, track.fix_time[-1] + 50, 20))
    few = thinned(track, 50.0, parts, moments)
    for moment in moments[(moments > track.fix_time[0]) & (moments < track.fix_time[-1])]:
        for column in (few.latitude, few.longitude):
            whole = track.latitude if column is few.latitude else track.longitude
            exact = np.interp(moment, track.fix_time, whole)
            assert np.interp(moment, few.fix_time, column) == pytest.approx(exact, abs=1e-12)
    at = [np.interp(track.fix_time, few.fix_time, column) for column in (few.latitude, few.longitude)]
    assert distance(*at, track.latitude, track.longitude).max() <= 50.0


def test_nothing_stays_of_nothing():
    thinner = Thinner(5.0)
    assert len(thinner.add(Track.empty())) == len(thinner.end()) == 0
    one = run("a", [3])
    assert thinner.add(one).fix_time.tolist() == [T0 + 3]
    assert len(thinner.end()) == 0
