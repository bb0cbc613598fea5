"""Cutting, joining and comparing runs loses no fix and invents none."""

import itertools
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.segments import (
    HOUR_S,
    REACH_S,
    Rows,
    Vertices,
    as_stored,
    assemble,
    believed,
    blocks,
    concatenate,
    cut,
    join,
    keep,
    repeated,
    sources,
    spans,
    vertices,
)
from tests.tracks import T0, fixes, run, runs, same
from tests.tracks import times as seconds
from tracker.errors import Flag
from tracker.records import Source, Track

THREE = runs([run("a", [0, 1, 2]), run("bb", [5]), run("a", [10, 11, 12])])


def wkb(*xym: tuple[float, float, float]) -> bytes:
    """An independent writer of WKB LineStringM."""
    return struct.pack("<BII", 1, 2002, len(xym)) + b"".join(struct.pack("<3d", *vertex) for vertex in xym)


def test_a_block_holds_rows_of_one_length():
    found = [(block.row.tolist(), block.xym.shape, block.measured.shape) for block in blocks(THREE)]
    assert found == [([1], (1, 2, 3), (3, 1, 2)), ([0, 2], (2, 3, 3), (3, 2, 3))]


def test_blocks_of_nothing_are_none():
    assert list(blocks(Track.empty())) == []


def test_a_lone_fix_stands_twice():
    block = next(blocks(run("a", [7])))
    assert np.array_equal(block.xym[0, 0], block.xym[0, 1])
    assert block.xym[0, 0, 2] == T0 + 7


def test_vertices_are_read_from_wkb():
    path = wkb((121.5, 25.0, T0), (121.6, 25.1, T0 + 0.001))
    assert vertices(path).tolist() == [[121.5, 25.0, T0], [121.6, 25.1, T0 + 0.001]]


def test_sources_that_are_not_known_are_zero():
    assert sources([b"", bytes([1, 2])], np.array([2, 2])).tolist() == [0, 0, 1, 2]


def test_assemble_sorts_and_takes_the_first_of_two_with_one_time():
    kind = np.array([Flag.ACCEPTED, Flag.ACCEPTED, Flag.LATE, Flag.LATE], np.uint8)
    found = Vertices(
        np.array([[1, 1, 5], [2, 2, 6], [3, 3, 4], [9, 9, 6]], float),
        np.array([[1, 2, 3, 9]] * 3, float),
        np.array([0, 0, Source.GPS, 8], np.uint8),
        kind,
    )
    track, kinds = assemble("a", found, 0, 10)
    assert kinds.tolist() == [Flag.LATE, Flag.ACCEPTED, Flag.ACCEPTED]
    assert track.source.tolist() == [Source.GPS, 0, 0]
    assert track.fix_time.tolist() == [4, 5, 6]
    assert track.longitude.tolist() == track.speed.tolist() == [3, 1, 2]


def test_assemble_keeps_to_the_half_open_interval():
    found = Vertices(np.repeat([[5.0], [6], [7]], 3, axis=1), np.zeros((3, 3)), *np.zeros((2, 3), np.uint8))
    assert assemble("a", found, 5, 7)[0].fix_time.tolist() == [5, 6]
    assert same(assemble("a", found, 8, 9)[0], Track.empty())


def test_what_is_stored_is_stored_as_precisely_again():
    rng = np.random.default_rng(0)
    track = run("a", range(1000))
    columns = {name: rng.random(1000) * 400 for name in ("latitude", "longitude", "speed", "course", "accuracy")}
    once = as_stored(replace(track, **columns))
    assert same(as_stored(once), once)
    for name, step in {"latitude": 1e-7, "longitude": 1e-7, "speed": 0.01, "accuracy": 0.1}.items():
        assert np.abs(getattr(once, name) - columns[name]).max() <= step / 2 * 1.0001
    assert once.course.max() < 360


TO_HOUR = HOUR_S - T0 % HOUR_S  # seconds after T0


def test_a_run_is_cut_at_the_hour_and_goes_on_connected():
    cut_run = cut(run("a", [TO_HOUR - 2, TO_HOUR - 1, TO_HOUR, TO_HOUR + 1]))
    before, after = run("a", [TO_HOUR - 2, TO_HOUR - 1]), run("a", [TO_HOUR - 1, TO_HOUR, TO_HOUR + 1], connected=True)
    assert same(cut_run, runs([before, after]))


def test_a_vertex_that_a_run_reaches_back_to_stays_with_it():
    reaching = run("a", [TO_HOUR - 1, TO_HOUR], connected=True)
    assert same(cut(reaching), reaching)


def test_what_is_late_is_cut_without_a_connection():
    assert same(
        cut(run("a", [TO_HOUR - 1, TO_HOUR], kind=Flag.LATE)),
        runs([run("a", [TO_HOUR - 1], kind=Flag.LATE), run("a", [TO_HOUR], kind=Flag.LATE)]),
    )


def test_a_run_is_cut_at_a_long_silence():
    assert same(cut(run("a", [-800, 0, 1], connected=True)), run("a", [0, 1]))
    assert same(cut(run("a", [-900, -800, 0, 1])), runs([run("a", [-900, -800]), run("a", [0, 1])]))


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([1.0, 60.0, 599.0, 700.0, 5000.0]), min_size=1, max_size=8),
            st.booleans(),
            st.sampled_from([Flag.ACCEPTED, Flag.LATE]),
        ),
        max_size=6,
    )
)
def test_cutting_keeps_each_fix_and_leg_and_makes_short_rows_of_one_hour(drawn: list[tuple[list[float], bool, Flag]]):
    now, parts = 0.0, []
    for gaps, connected, kind in drawn:
        connected &= kind == Flag.ACCEPTED
        seconds = np.cumsum([now, *gaps])[0 if connected else 1 :]
        now += sum(gaps)
        parts.append(run("a", seconds, connected=connected, kind=kind))
    whole = runs(parts)
    rows = Rows.of(whole)
    fresh = _fresh(rows.track)
    assert fresh == _fresh(whole)
    assert (rows.end - rows.start <= REACH_S).all()
    for number, (start, end) in enumerate(itertools.pairwise(rows.track.offset.tolist())):
        hours = rows.track.fix_time[start + int(rows.track.connected[number]) : end] // HOUR_S
        assert len(set(hours.tolist())) == 1
    assert _short_legs(rows.track) == _short_legs(whole)


def _fresh(track: Track) -> list[float]:
    repeats = np.zeros(len(track.fix_time), np.bool_)
    repeats[track.offset[:-1]] = track.connected
    return track.fix_time[~repeats].tolist()


def _short_legs(track: Track) -> list[tuple[float, float]]:
    """That reach over no silence, and are of an hour or of an accepted run."""
    return [
        (one, other)
        for number, (start, end) in enumerate(itertools.pairwise(track.offset.tolist()))
        for one, other in itertools.pairwise(track.fix_time[start:end].tolist())
        if other - one <= 600 and (track.kind[number] == Flag.ACCEPTED or one // HOUR_S == other // HOUR_S)
    ]


def test_what_is_not_believed_is_left_out():
    kind = np.array([Flag.ACCEPTED, Flag.OUTLIER, Flag.LATE, Flag.COARSE], np.uint8)
    assert same(believed(run("a", [1, 2, 3, 4]), kind), run("a", [1, 3]))


def test_runs_of_known_source_are_blocks_of_their_own():
    known = replace(run("a", [0, 1, 2]), source=np.array([0, 8, 0], np.uint8))
    assert [block.source.tolist() for block in blocks(runs([run("b", [0, 1, 2]), known]))] == [[[]], [[0, 8, 0]]]


def test_concatenate_puts_runs_one_after_the_other():
    assert list(THREE.driver_id) == ["a", "bb", "a"]
    assert THREE.offset.tolist() == [0, 3, 4, 7]
    assert same(concatenate([Track.empty(), THREE, Track.empty()]), THREE)
    assert same(concatenate([]), Track.empty())


def test_keep_drops_vertices_and_runs_left_empty():
    kept = keep(THREE, np.array([True, False, True, False, False, True, False]))
    assert same(kept, runs([run("a", [0, 2]), run("a", [11])]))


def test_repeated_finds_what_is_stored_and_what_came_before():
    track = runs([run("a", [1, 2, 3], kind=Flag.LATE), run("b", [1]), run("a", [3, 4], kind=Flag.OUTLIER)])
    stored = [("a", np.array([T0 + 2, T0 + 9])), ("b", np.array([T0 + 2]))]
    assert repeated(track, stored).tolist() == [False, True, False, False, True, False]
    assert repeated(track, []).tolist() == [False, False, False, False, True, False]


def test_spans_cover_each_driver_once():
    assert spans(THREE) == [("a", T0, T0 + 12), ("bb", T0 + 5, T0 + 5)]


def test_join_drops_the_shared_vertex():
    parts = [run("a", [0, 1]), run("b", [0]), run("a", [1, 2], connected=True), run("a", [2, 3], connected=True)]
    assert same(join(runs(parts)), runs([run("a", [0, 1, 2, 3]), run("b", [0])]))


@pytest.mark.parametrize(
    "second",
    [
        run("a", [5, 6]),  # not connected
        run("a", [5, 6], connected=True),  # connected to something else
        run("a", [1, 2], connected=True, kind=Flag.LATE),
        run("b", [1, 2], connected=True),
    ],
)
def test_join_leaves_apart_what_does_not_follow(second: Track):
    both = runs([run("a", [0, 1]), second])
    assert same(join(both), both)


def test_join_keeps_rows_at_a_bearable_length_and_connected():
    parts = [run("a", [0, 1]), *(run("a", [t, t + 1], connected=True) for t in range(1, 50))]
    joined = join(runs(parts), longest=10)
    assert np.diff(joined.offset).max() <= 11
    assert len(joined) <= 6
    assert joined.connected.tolist() == [False] + [True] * (len(joined) - 1)
    ends, starts = joined.fix_time[joined.offset[1:-1] - 1], joined.fix_time[joined.offset[1:-1]]
    assert np.array_equal(ends, starts)
    assert sorted(set(seconds(joined))) == list(range(51))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 5), st.booleans()), max_size=12), st.integers(2, 9))
def test_join_changes_no_path(drawn: list[tuple[str, int, bool]], longest: int):
    """Whatever connects, the same legs are there in the same order, and no more rows than before."""
    clock = dict.fromkeys("ab", 0)
    parts = []
    for driver, length, connected in drawn:
        first = clock[driver] + (0 if connected else 1)
        clock[driver] = first + length
        parts.append(run(driver, range(first, first + length + 1), connected=connected))
    before = runs(parts)
    joined = join(before, longest)
    assert len(joined) <= len(before)
    for driver in "ab":
        assert _legs(joined, driver) == _legs(before, driver)


def _legs(track: Track, driver: str) -> list[tuple[bytes, bytes]]:
    everything = fixes(track)
    found = []
    for number, driver_id in enumerate(track.driver_id):
        if driver_id == driver:
            vertices = [row.tobytes() for row in everything[track.offset[number] : track.offset[number + 1]]]
            found += list(itertools.pairwise(vertices))
    return found
