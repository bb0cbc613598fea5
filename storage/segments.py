"""Tracks as rows, one run of fixes each: what both stores share of the way there and back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from storage.packing import measured_of, steps_of
from tracker.errors import Flag
from tracker.records import Bools, Flags, Floats, Ints, Track
from tracker.tracks import CONNECT_WITHIN_S

COLUMNS = (
    *("driver_id", "kind", "connected", "start_time", "end_time", "path", "speed", "course", "accuracy", "source"),
    "fix_times",
)
"""Of the table of runs, as the stores write them."""

HOUR_S = 3600.0
"""A row holds fixes of one hour, counted from 1970, and maybe the vertex before them, which it connects to."""
REACH_S = HOUR_S + CONNECT_WITHIN_S
"""No row is longer than this: one that starts before t ends before t + REACH_S, which bounds every search by time."""

_VERTEX = 24  # bytes: x, y, m
_DIGITS = (3, 7, 7)  # decimals of fix_time, latitude, longitude


@dataclass(frozen=True, slots=True)
class Rows:
    """Runs that are cut to rows, with the first and last time of each and, of a compacted one, all its fix_times."""

    track: Track
    start: Floats  # (m,)
    end: Floats  # (m,)
    fix_times: Sequence[bytes]  # (m,) packed; empty where the vertices are the fixes

    @classmethod
    def of(cls, track: Track) -> "Rows":
        """Fixes as they came in."""
        cut_track = cut(as_stored(track))
        first, last = cut_track.offset[:-1], cut_track.offset[1:] - 1
        return cls(cut_track, cut_track.fix_time[first], cut_track.fix_time[last], [b""] * len(cut_track))

    @property
    def hours(self) -> set[tuple[str, float]]:
        """The drivers and beginnings of the hours that the rows are of."""
        return set(zip(self.track.driver_id, (np.floor(self.end / HOUR_S) * HOUR_S).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of n vertices each: g rows of one length in bytes."""

    row: Ints  # (g,)
    xym: Floats  # (g, n, 3): longitude, latitude, fix_time
    measured: Floats  # (3, g, n): speed, course, accuracy
    source: Flags  # (g, n), or (g, 0) where it is known of none


def blocks(track: Track) -> Iterator[Block]:
    """The runs, sorted by how long their rows are, for numpy to write each block at once; a lone fix stands twice."""
    if not len(track):
        return
    lengths = np.diff(track.offset)
    known = np.logical_or.reduceat(track.source != 0, track.offset[:-1])
    by_shape = np.lexsort((known, lengths))
    new_shape = np.diff(np.stack([lengths, known])[:, by_shape]).any(axis=0)
    for runs in np.split(by_shape, np.flatnonzero(new_shape) + 1):
        length = lengths[runs[0]]
        vertex = np.arange(length) if length > 1 else np.zeros(2, np.int64)
        index = track.offset[runs, None] + vertex
        yield Block(
            runs,
            np.stack([track.longitude[index], track.latitude[index], track.fix_time[index]], axis=-1),
            np.stack([track.speed[index], track.course[index], track.accuracy[index]]),
            track.source[index] if known[runs[0]] else np.empty((len(runs), 0), np.uint8),
        )


def as_stored(track: Track) -> Track:
    """The fixes as precisely as they are kept: ms, 1e-7 degrees, cm/s, hundredths of a degree of course, dm."""
    fix_time, latitude, longitude = (
        np.round(column, digits)
        for column, digits in zip((track.fix_time, track.latitude, track.longitude), _DIGITS, strict=True)
    )
    speed, course, accuracy = measured_of(steps_of(np.stack([track.speed, track.course, track.accuracy])))
    return replace(
        track,
        fix_time=fix_time,
        latitude=latitude,
        longitude=longitude,
        speed=speed,
        course=course,
        accuracy=accuracy,
    )


def cut(track: Track) -> Track:
    """The runs so that each holds fixes of one hour and reaches over no silence longer than `CONNECT_WITHIN_S`.

    Where an accepted run is cut at an hour, the next one connects to its last vertex.
    """
    if not len(track):
        return track
    fix_time, run = track.fix_time, np.repeat(np.arange(len(track)), np.diff(track.offset))
    start = np.zeros(len(run), np.bool_)
    start[track.offset[:-1]] = True
    reaching = start & track.connected[run]  # these are of the rows before
    ahead, hour = np.flatnonzero(~start), np.floor(fix_time / HOUR_S)
    silent, turns = np.zeros((2, len(run)), np.bool_)
    silent[ahead] = fix_time[ahead] - fix_time[ahead - 1] > CONNECT_WITHIN_S
    turns[ahead] = (hour[ahead] != hour[ahead - 1]) & ~reaching[ahead - 1]
    if not (silent | turns).any():
        return track
    links = turns & ~silent & (track.kind[run] == Flag.ACCEPTED)
    stays = ~(reaching & np.append(silent[1:], False))  # a vertex that nothing connects to is stored already
    copies = links.astype(np.int64) + stays
    gather = np.repeat(np.arange(len(run)), copies)
    again = np.zeros(len(gather), np.bool_)  # the vertex before, once more
    again[(np.cumsum(copies) - 2)[links]] = True
    begins = (start | silent | turns)[gather]
    begins[1:] &= ~again[:-1]
    gather -= again
    first = np.flatnonzero(begins)
    runs = run[gather[first]]
    return Track(
        [track.driver_id[r] for r in runs.tolist()],
        track.kind[runs],
        again[first] | reaching[gather[first]],
        np.append(first, len(gather)),
        *(column[gather] for column in _vertex_columns(track)),
    )


def vertices(path: bytes) -> Floats:
    """(n, 3) longitude, latitude, fix_time of a little-endian WKB LineStringM."""
    count = int.from_bytes(path[5:9], "little")
    return np.frombuffer(path, "<f8", 3 * count, len(path) - _VERTEX * count).reshape(count, 3)


def believed(track: Track, kind: Flags) -> Track:
    """The fixes without outliers and coarse ones, given the kind of each; (k,)."""
    return keep(track, (kind == Flag.ACCEPTED) | (kind == Flag.LATE))


@dataclass(frozen=True, slots=True)
class Vertices:
    """Of some rows of one driver, one after the other."""

    xym: Floats  # (k, 3)
    measured: Floats  # (3, k): speed, course, accuracy
    source: Flags  # (k,)
    kind: Flags  # (k,)


def sources(packed: Sequence[bytes], counts: Ints) -> Flags:
    """(k,) of rows with so many vertices each; an empty one is not known of any."""
    parts = (source or bytes(count) for source, count in zip(packed, counts.tolist(), strict=True))
    return np.frombuffer(b"".join(parts), np.uint8)


def assemble(driver_id: str, found: Vertices, start: float, end: float) -> tuple[Track, Flags]:
    """One run of the fixes in [start, end), sorted, each once, and the kind of each.

    Of two vertices with one fix_time the first stays.
    """
    _, index = np.unique(found.xym[:, 2], return_index=True)
    index = index[(found.xym[index, 2] >= start) & (found.xym[index, 2] < end)]
    if not len(index):
        return Track.empty(), np.empty(0, np.uint8)
    longitude, latitude, fix_time = found.xym[index].T.copy()
    track = Track(
        (driver_id,),
        np.zeros(1, np.uint8),
        np.zeros(1, np.bool_),
        np.array([0, len(index)]),
        fix_time,
        latitude,
        longitude,
        found.measured[0, index],
        found.measured[1, index],
        found.measured[2, index],
        found.source[index],
    )
    return track, found.kind[index]


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
