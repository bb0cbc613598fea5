"""Tracks as rows, one run of fixes each: what both stores share of the way there and back."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tracker.errors import Flag
from tracker.records import Bools, Flags, Floats, Ints, Track

COLUMNS = ("driver_id", "kind", "connected", "start_time", "end_time", "path", "speed", "course", "accuracy", "source")
"""Of the table `tracks`, as the stores write them."""

_VERTEX = 24  # bytes: x, y, m


@dataclass(frozen=True, slots=True)
class Block:
    """Runs of n vertices each by drivers whose ids are equally long: g rows of one length in bytes."""

    driver_id: np.ndarray  # (g,) of bytes, UTF-8
    kind: Flags  # (g,)
    connected: Bools  # (g,)
    xym: Floats  # (g, n, 3): longitude, latitude, fix_time
    measured: Floats  # (3, g, n): speed, course, accuracy
    source: Flags  # (g, n), or (g, 0) where it is known of none


def blocks(track: Track) -> Iterator[Block]:
    """The runs, sorted by how long their rows are, for numpy to write each block at once; a lone fix stands twice."""
    if not len(track):
        return
    ids = [driver_id.encode() for driver_id in track.driver_id]
    widths = np.fromiter(map(len, ids), np.int64, len(ids))
    lengths = np.diff(track.offset)
    known = np.logical_or.reduceat(track.source != 0, track.offset[:-1])
    by_shape = np.lexsort((known, widths, lengths))
    new_shape = np.diff(np.stack([lengths, widths, known])[:, by_shape]).any(axis=0)
    encoded = np.array(ids, dtype=object)
    for runs in np.split(by_shape, np.flatnonzero(new_shape) + 1):
        length = lengths[runs[0]]
        vertex = np.arange(length) if length > 1 else np.zeros(2, np.int64)
        index = track.offset[runs, None] + vertex
        yield Block(
            encoded[runs],
            track.kind[runs],
            track.connected[runs],
            np.stack([track.longitude[index], track.latitude[index], track.fix_time[index]], axis=-1),
            np.stack([track.speed[index], track.course[index], track.accuracy[index]]),
            track.source[index] if known[runs[0]] else np.empty((len(runs), 0), np.uint8),
        )


def vertices(path: bytes) -> Floats:
    """(n, 3) longitude, latitude, fix_time of a little-endian WKB LineStringM."""
    count = int.from_bytes(path[5:9], "little")
    return np.frombuffer(path, "<f8", 3 * count, len(path) - _VERTEX * count).reshape(count, 3)


def times(path: bytes) -> Floats:
    """(n,) fix_time of a little-endian WKB LineStringM."""
    return vertices(path)[:, 2]


def believed(track: Track, kind: Flags) -> Track:
    """The fixes without outliers and coarse ones, given the kind of each; (k,)."""
    return keep(track, (kind == Flag.ACCEPTED) | (kind == Flag.LATE))


class Stored(NamedTuple):
    """What a row of `tracks` holds of its vertices."""

    path: bytes  # WKB
    measured: Floats  # (3, n): speed, course, accuracy
    source: bytes
    kind: int


def assemble(driver_id: str, rows: Iterable[Stored], start: float, end: float) -> tuple[Track, Flags]:
    """One run of the fixes in [start, end), sorted, each once, and the kind of each.

    Of two vertices with one fix_time the one in the earlier row stays.
    """
    rows = list(rows)
    if not rows:
        return Track.empty(), np.empty(0, np.uint8)
    xym = np.concatenate([vertices(row.path) for row in rows])
    _, index = np.unique(xym[:, 2], return_index=True)
    index = index[(xym[index, 2] >= start) & (xym[index, 2] < end)]
    lengths = [row.measured.shape[1] for row in rows]
    kind = np.repeat(np.array([row.kind for row in rows], np.uint8), lengths)[index]
    source = b"".join(row.source or bytes(length) for row, length in zip(rows, lengths, strict=True))
    longitude, latitude, fix_time = xym[index].T.copy()
    speed, course, accuracy = np.concatenate([row.measured for row in rows], axis=1)[:, index].astype(np.float64)
    track = Track(
        (driver_id,),
        np.zeros(1, np.uint8),
        np.zeros(1, np.bool_),
        np.array([0, len(index)]),
        fix_time,
        latitude,
        longitude,
        speed,
        course,
        accuracy,
        np.frombuffer(source, np.uint8)[index],
    )
    return keep(track, np.ones(len(index), np.bool_)), kind


def concatenate(tracks: Sequence[Track]) -> Track:
    """All their runs, one after the other."""
    tracks = [track for track in tracks if len(track)]
    if len(tracks) <= 1:
        return tracks[0] if tracks else Track.empty()
    before = np.cumsum([0, *(track.offset[-1] for track in tracks)])
    offset = np.concatenate([[0], *(track.offset[1:] + start for track, start in zip(tracks, before, strict=False))])
    return Track(
        [driver_id for track in tracks for driver_id in track.driver_id],
        np.concatenate([track.kind for track in tracks]),
        np.concatenate([track.connected for track in tracks]),
        offset,
        *(np.concatenate(column) for column in zip(*map(_vertex_columns, tracks), strict=True)),
    )


def keep(track: Track, kept: Bools) -> Track:
    """Only the vertices where `kept` (k,); a run without any is gone."""
    left = np.diff(np.concatenate([[0], np.cumsum(kept)])[track.offset])
    runs = np.flatnonzero(left)
    return Track(
        [track.driver_id[run] for run in runs.tolist()],
        track.kind[runs],
        track.connected[runs],
        np.concatenate([[0], np.cumsum(left[runs])]),
        *(column[kept] for column in _vertex_columns(track)),
    )


def repeated(track: Track, stored: Sequence[tuple[str, Floats]]) -> Bools:
    """(k,) whether a vertex has the driver and fix_time of a `stored` one or of one before it in the track."""
    code = {driver_id: number for number, driver_id in enumerate(dict.fromkeys(track.driver_id))}
    stored_code = np.repeat([code[driver_id] for driver_id, _ in stored], [len(fix_time) for _, fix_time in stored])
    track_code = np.repeat([code[driver_id] for driver_id in track.driver_id], np.diff(track.offset))
    driver = np.concatenate([stored_code.astype(np.int64), track_code])
    fix_time = np.concatenate([*(fix_time for _, fix_time in stored), track.fix_time])
    order = np.lexsort((fix_time, driver))  # stable: what is stored comes first
    repeat = np.zeros(len(order), np.bool_)
    repeat[order[1:]] = (np.diff(driver[order]) == 0) & (np.diff(fix_time[order]) == 0)
    return repeat[len(stored_code) :]


def spans(track: Track) -> list[tuple[str, float, float]]:
    """Each driver with the first and last fix_time the track has of them."""
    found: dict[str, tuple[float, float]] = {}
    first, last = track.fix_time[track.offset[:-1]].tolist(), track.fix_time[track.offset[1:] - 1].tolist()
    for driver_id, start, end in zip(track.driver_id, first, last, strict=True):
        low, high = found.get(driver_id, (start, end))
        found[driver_id] = (min(low, start), max(high, end))
    return [(driver_id, low, high) for driver_id, (low, high) in found.items()]


def join(track: Track, longest: int = 1000) -> Track:
    """Make one run, up to about `longest` vertices, of runs of a driver that connect; the shared vertex stays once."""
    if len(track) <= 1:
        return track
    code = {driver_id: number for number, driver_id in enumerate(dict.fromkeys(track.driver_id))}
    driver = np.array([code[driver_id] for driver_id in track.driver_id])
    order = np.argsort(driver, kind="stable")
    driver, first, length = driver[order], track.offset[:-1][order], np.diff(track.offset)[order]
    ahead, behind = order[1:], order[:-1]
    follows = np.zeros(len(order), np.bool_)
    follows[1:] = (
        track.connected[ahead]
        & (driver[1:] == driver[:-1])
        & (track.kind[ahead] == track.kind[behind])
        & (track.fix_time[first[1:]] == track.fix_time[first[:-1] + length[:-1] - 1])
    )
    follows &= ~_overfull(follows, length - follows, longest)
    first, length = first + follows, length - follows
    gather = np.repeat(first - np.cumsum(length) + length, length) + np.arange(length.sum())
    heads = np.flatnonzero(~follows)
    runs = order[heads]
    return Track(
        [track.driver_id[run] for run in runs.tolist()],
        track.kind[runs],
        track.connected[runs],
        np.append((np.cumsum(length) - length)[heads], length.sum()),
        *(column[gather] for column in _vertex_columns(track)),
    )


def _overfull(follows: Bools, length: Ints, longest: int) -> Bools:
    """Which runs begin a new row because the chain before them is a multiple of `longest` vertices long."""
    end = np.cumsum(length)
    chain_start = (end - length)[np.maximum.accumulate(np.where(follows, 0, np.arange(len(follows))))]
    part = (end - 1 - chain_start) // longest
    return np.append(False, np.diff(part) > 0)


def _vertex_columns(track: Track) -> tuple[Any, ...]:
    floats = (track.fix_time, track.latitude, track.longitude, track.speed, track.course, track.accuracy)
    return (*floats, track.source)
