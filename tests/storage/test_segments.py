"""Cutting, joining and comparing runs loses no fix and invents none."""

import itertools
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.segments import (
    Stored,
    assemble,
    believed,
    blocks,
    concatenate,
    join,
    keep,
    repeated,
    spans,
    times,
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


def test_a_block_holds_runs_with_equally_long_rows():
    found = [(block.driver_id.tolist(), block.xym.shape, block.measured.shape) for block in blocks(THREE)]
    assert found == [([b"bb"], (1, 2, 3), (3, 1, 2)), ([b"a", b"a"], (2, 3, 3), (3, 2, 3))]


def test_blocks_of_nothing_are_none():
    assert list(blocks(Track.empty())) == []


def test_a_lone_fix_stands_twice():
    block = next(blocks(run("a", [7])))
    assert np.array_equal(block.xym[0, 0], block.xym[0, 1])
    assert block.xym[0, 0, 2] == T0 + 7


def test_ids_are_utf8():
    assert next(blocks(run("王小明", [0]))).driver_id.tolist() == ["王小明".encode()]


def test_vertices_are_read_from_wkb():
    path = wkb((121.5, 25.0, T0), (121.6, 25.1, T0 + 0.001))
    assert vertices(path).tolist() == [[121.5, 25.0, T0], [121.6, 25.1, T0 + 0.001]]
    assert times(path).tolist() == [T0, T0 + 0.001]


def test_assemble_sorts_and_takes_the_earlier_row_of_two_with_one_time():
    rows = [
        Stored(wkb((1, 1, 5), (2, 2, 6)), np.array([[1, 2]] * 3, np.float32), b"", Flag.ACCEPTED),
        Stored(wkb((3, 3, 4), (9, 9, 6)), np.array([[3, 9]] * 3, np.float32), bytes([Source.GPS, 0]), Flag.LATE),
    ]
    track, kind = assemble("a", rows, 0, 10)
    assert kind.tolist() == [Flag.LATE, Flag.ACCEPTED, Flag.ACCEPTED]
    assert track.source.tolist() == [Source.GPS, 0, 0]
    assert track.fix_time.tolist() == [4, 5, 6]
    assert track.longitude.tolist() == track.speed.tolist() == [3, 1, 2]


def test_assemble_keeps_to_the_half_open_interval():
    rows = [Stored(wkb((1, 1, 5), (2, 2, 6), (3, 3, 7)), np.zeros((3, 3), np.float32), b"", Flag.ACCEPTED)]
    assert assemble("a", rows, 5, 7)[0].fix_time.tolist() == [5, 6]
    assert same(assemble("a", rows, 8, 9)[0], Track.empty())
    assert same(assemble("a", [], 8, 9)[0], Track.empty())


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
