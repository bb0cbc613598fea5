from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geo.earth import wrap_degrees
from geo.simplify import Bools, Floats, Ints, Simplifier, simplify
from tests.fixes import place

GEOD = Geod(ellps="WGS84")
SPHERE = Geod(a=6_371_000.0, b=6_371_000.0)
Columns = tuple[Floats, Floats, Floats]
Vertices = tuple[Ints, Floats, Floats]


def off(track: Columns, vertices: Vertices, earth: Geod = GEOD) -> Floats:
    """Metres from each fix to the simplified track at its time."""
    time, latitude, longitude = track
    index, vertex_latitude, vertex_longitude = vertices
    there = np.clip(np.searchsorted(index, np.arange(len(time)), side="right") - 1, 0, max(len(index) - 2, 0))
    after = np.minimum(there + 1, len(index) - 1)
    start, end = time[index[there]], time[index[after]]
    share = np.where(end > start, (time - start) / np.where(end > start, end - start, 1.0), 0.0)
    lat0, lon0 = vertex_latitude[there], vertex_longitude[there]
    lat = lat0 + share * (vertex_latitude[after] - lat0)
    lon = lon0 + share * wrap_degrees(vertex_longitude[after] - lon0)
    metres: Floats = earth.inv(lon, lat, longitude, latitude)[2]
    return metres


def drive(n: int, seed: int = 0, step_s: float = 1.0) -> Columns:
    """A drive through bends with a stop, and noise."""
    rng = np.random.default_rng(seed)
    speed = np.where(np.arange(n) % 400 < 300, 12.0, 0.0)
    course = np.cumsum(rng.normal(0, 0.05, n))
    east, north = (np.cumsum(speed * wave * step_s) + rng.normal(0, 1, n) for wave in (np.cos(course), np.sin(course)))
    return step_s * np.arange(n), *place(east, north)


def test_a_straight_drive_is_two_vertices_and_a_stop_two_more() -> None:
    time = np.arange(300.0)
    latitude, longitude = place(np.interp(time, [0, 100, 200, 300], [0, 1500, 1500, 3000]))
    index, _, _ = vertices = simplify(time, latitude, longitude, 5.0)
    assert index[0] == 0 and index[-1] == 299 and len(index) == 4
    assert off((time, latitude, longitude), vertices).max() <= 5.0


def test_the_ends_and_what_is_to_be_kept_stay_where_they_are() -> None:
    time, latitude, longitude = drive(1000)
    keep = np.zeros(1000, np.bool_)
    keep[[17, 18, 500, 731]] = True
    vertices = index, vertex_latitude, vertex_longitude = simplify(time, latitude, longitude, 10.0, keep)
    place_of = {i: (a, b) for i, a, b in zip(index.tolist(), vertex_latitude, vertex_longitude, strict=True)}
    for i in (0, 17, 18, 500, 731, 999):
        assert place_of[i] == (latitude[i], longitude[i])
    assert len(index) < 120 and (np.diff(index) > 0).all()
    assert off((time, latitude, longitude), vertices).max() <= 10.0


def test_the_bound_also_holds_on_a_sphere() -> None:
    track = drive(3000)
    equator = track[0], (track[1] - 25.0), track[2]
    for columns in (track, equator):
        assert 8.0 < off(columns, simplify(*columns, 10.0), SPHERE).max() <= 10.0


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_fixes_stay(n: int) -> None:
    time, latitude, longitude = drive(n)
    index, vertex_latitude, _ = simplify(time, latitude, longitude, 10.0)
    np.testing.assert_array_equal(index, np.arange(n))
    np.testing.assert_array_equal(vertex_latitude, latitude)


@pytest.mark.parametrize("bound", [0.0, -1.0, np.nan, 10_001.0])
def test_a_bound_that_is_none_is_refused(bound: float) -> None:
    with pytest.raises(ValueError, match="bound"):
        simplify(*drive(10), bound)


STEPS = st.sampled_from([0.001, 0.5, 1.0, 1.0, 10.0, 3600.0, 1e6, 1e9])
PLACES = st.one_of(
    st.tuples(st.floats(-0.001, 0.001), st.floats(-0.001, 0.001)),
    st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
    st.just((0.0, 0.0)),
    st.tuples(st.floats(-180, 180), st.floats(-360, 360)),
)
ANCHORS = st.one_of(
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    st.sampled_from([(90.0, 0.0), (-90.0, 10.0), (89.8995, 5.0), (0.0, 180.0), (60.0, -180.0), (89.0, 179.9995)]),
)
BOUNDS = st.sampled_from([0.01, 1.0, 10.0, 200.0, 10_000.0])


@st.composite
def tracks(draw: st.DrawFn) -> Columns:
    """Any track at all: jumps, standing, gaps of years, at the poles, over the antimeridian."""
    steps = draw(st.lists(st.tuples(STEPS, PLACES, st.booleans()), max_size=60))
    latitude, longitude = draw(ANCHORS)
    rows = [(0.0, latitude, longitude)]
    velocity = (0.0, 0.0)
    for dt, change, on in steps:
        velocity = velocity if on else change
        latitude = float(np.clip(latitude + velocity[0], -90.0, 90.0))
        longitude = float(wrap_degrees(longitude + velocity[1]))
        rows.append((rows[-1][0] + dt, latitude, longitude))
    time, latitudes, longitudes = np.array(rows).T.copy()
    return time, latitudes, longitudes


@settings(max_examples=500, deadline=None)
@given(tracks(), BOUNDS, st.data())
def test_the_bound_holds_for_any_track(track: Columns, bound: float, data: st.DataObject) -> None:
    n = len(track[0])
    keep: Bools = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), np.bool_)
    vertices = index, latitude, longitude = simplify(*track, bound, keep)
    assert index[0] == 0 and index[-1] == n - 1 and (np.diff(index) > 0).all()
    assert (np.abs(latitude) <= 90).all() and (np.abs(longitude) <= 180).all()
    assert off(track, vertices).max() <= bound
    kept = np.isin(index, np.flatnonzero(keep))
    assert kept.sum() == keep.sum()
    np.testing.assert_array_equal(latitude[kept], track[1][keep])
    np.testing.assert_array_equal(longitude[kept], track[2][keep])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 300), st.lists(st.integers(0, 300), max_size=5), st.sampled_from([2.0, 10.0]))
def test_a_stream_gives_the_same_in_any_pieces(n: int, cuts: list[int], bound: float) -> None:
    track = drive(n, seed=n)
    whole = Simplifier(bound)
    expected = [whole.extend(*track), whole.end()]
    stream = Simplifier(bound)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    parts = [stream.extend(*(column[a:b] for column in track)) for a, b in pairwise(edges)]
    parts.append(stream.end())
    for a, b in zip(zip(*parts, strict=True), zip(*expected, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(a), np.concatenate(b))
    if n:
        vertices = tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))
        assert off(track, vertices).max() <= bound  # type: ignore[arg-type]
