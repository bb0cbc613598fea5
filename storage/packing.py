"""Runs of fixes as few bytes: what a row of PostGIS' table `segments` holds, and PostgreSQL's binary COPY of such rows.

A path is TWKB (https://github.com/TWKB/Specification) of a LineStringM with 1e-7 degrees and milliseconds, so
PostGIS reads it with ST_GeomFromTWKB; speed, course and accuracy are two bytes a vertex each.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled, helper
from tracker.records import Flags, Floats, Ints, Track

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint16]

COLUMNS = (
    *("start_time", "end_time", "kind", "connected", "driver_id", "path", "speed", "course", "accuracy"),
    *("source", "fix_times"),
)
"""Of a row in COPY."""
DEGREES, SECONDS = 1e7, 1e3
"""Steps of a path in one degree and in one second."""
MEASURED = np.array([[100.0], [100.0], [10.0]])
"""Steps of speed in one m/s, of course in one degree, of accuracy in one metre."""
UNKNOWN = 65535
_MOST = UNKNOWN - 1.0

_HEADER = np.frombuffer(b"PGCOPY\n\xff\r\n\0" + bytes(8), np.uint8)
_END = b"\xff\xff"
_TWKB = np.array([0xE2, 0x08, 0x62], np.uint8)
"""Line, 7 decimals; more dimensions follow; M with 3 decimals."""
_VERTEX = 3 * 10 + 3 * 2 + 1  # bytes at most: three varints, three words, one source
_ROW = 120  # bytes at most of the rest but the id and the times


def steps_of(measured: Floats) -> Words:
    """(3, n) speed, course and accuracy as they are stored; what is more than can be said is the most."""
    scaled = np.rint(measured * MEASURED)
    scaled[1] %= 36000.0
    return np.where(np.isnan(scaled), UNKNOWN, np.clip(scaled, 0.0, _MOST)).astype(np.uint16)


def measured_of(steps: Words) -> Floats:
    """(3, n) speed, course and accuracy, NaN where not known, of how they are stored."""
    return np.where(steps == UNKNOWN, np.nan, steps / MEASURED)


def copy_of(track: Track, start: Floats, end: Floats, fix_times: Sequence[bytes]) -> memoryview:
    """The runs as rows in the format of COPY, given the first and last time of each and its packed times; (m,)."""
    ids, times = [driver_id.encode() for driver_id in track.driver_id], list(fix_times)
    out = np.empty(
        32 + sum(map(len, ids)) + sum(map(len, times)) + _ROW * len(ids) + 2 * _VERTEX * len(track.fix_time), np.uint8
    )
    out[: len(_HEADER)] = _HEADER
    size = _copy_rows(
        *_joined(ids),
        *_joined(times),
        track.kind,
        track.connected,
        track.offset.astype(np.int64),
        np.stack([start, end]).astype(np.float64).view(np.uint64),
        np.rint(np.stack([track.longitude * DEGREES, track.latitude * DEGREES, track.fix_time * SECONDS])).astype(
            np.int64
        ),
        steps_of(np.stack([track.speed, track.course, track.accuracy])),
        track.source,
        out,
    )
    out[size : size + 2] = np.frombuffer(_END, np.uint8)
    return out[: size + 2].data


def vertices_of(paths: Sequence[bytes]) -> tuple[Floats, Ints]:
    """(k, 3) longitude, latitude and fix_time of the vertices of all paths, and how many each has."""
    data, end = _joined(paths)
    counts, xym = np.empty(len(paths), np.int64), np.empty((len(data) // 3 + 1, 3), np.int64)
    n = _read_paths(data, end, counts, xym)
    return xym[:n] / np.array([DEGREES, DEGREES, SECONDS]), counts


def pack_times(fix_time: Floats) -> bytes:
    """Sorted times, to the millisecond, in few bytes: about a tenth of a byte each where they are regular."""
    out = np.empty(10 * len(fix_time), np.uint8)
    ms = np.rint(fix_time * SECONDS).astype(np.int64)
    steps = ms - np.append(0, ms[:-1])
    return zlib.compress(out[: _write_all(steps, out)].tobytes(), 9)


def unpack_times(packed: bytes) -> Floats:
    """The times that `pack_times` was given."""
    data = np.frombuffer(zlib.decompress(packed), np.uint8)
    steps = np.empty(len(data), np.int64)
    return np.cumsum(steps[: _read_all(data, steps)]) / SECONDS


def _joined(parts: Sequence[bytes]) -> tuple[Bytes, Ints]:
    """All bytes one after the other, and where each part ends."""
    return np.frombuffer(b"".join(parts), np.uint8), np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))


@helper
def _big_endian(out: Bytes, at: int, value: int, size: int) -> int:
    for i in range(size):
        out[at + i] = (value >> (8 * (size - 1 - i))) & 0xFF
    return at + size


@helper
def _varint(out: Bytes, at: int, value: int) -> int:
    while value >= 0x80:
        out[at] = (value & 0x7F) | 0x80
        value >>= 7
        at += 1
    out[at] = value
    return at + 1


@helper
def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


@helper
def _bytes(out: Bytes, at: int, data: Bytes, start: int, end: int) -> int:
    """A field of bytes."""
    at = _big_endian(out, at, end - start, 4)
    for i in range(start, end):
        out[at] = data[i]
        at += 1
    return at


@helper
def _path(out: Bytes, at: int, xym: Ints, first: int, end: int) -> int:
    """A field with the path; a lone vertex stands twice."""
    begin = at
    at += 4
    for byte in _TWKB:
        out[at] = byte
        at += 1
    at = _varint(out, at, max(end - first, 2))
    x, y, m = 0, 0, 0
    for i in range(first, max(end, first + 2)):
        v = min(i, end - 1)
        at = _varint(out, at, _zigzag(xym[0, v] - x))
        at = _varint(out, at, _zigzag(xym[1, v] - y))
        at = _varint(out, at, _zigzag(xym[2, v] - m))
        x, y, m = xym[0, v], xym[1, v], xym[2, v]
    _big_endian(out, begin, at - begin - 4, 4)
    return at


@helper
def _words(out: Bytes, at: int, words: Words, row: int, first: int, end: int) -> int:
    """A field with the words of the vertices; empty where none is known."""
    known = False
    for i in range(first, end):
        known |= words[row, i] != UNKNOWN
    if not known:
        return _big_endian(out, at, 0, 4)
    at = _big_endian(out, at, 2 * max(end - first, 2), 4)
    for i in range(first, max(end, first + 2)):
        word = words[row, min(i, end - 1)]
        out[at], out[at + 1] = word & 0xFF, word >> 8
        at += 2
    return at


@helper
def _sources(out: Bytes, at: int, source: Flags, first: int, end: int) -> int:
    known = False
    for i in range(first, end):
        known |= source[i] != 0
    if not known:
        return _big_endian(out, at, 0, 4)
    at = _big_endian(out, at, max(end - first, 2), 4)
    for i in range(first, max(end, first + 2)):
        out[at] = source[min(i, end - 1)]
        at += 1
    return at


@compiled
def _copy_rows(
    ids: Bytes,
    id_end: Ints,
    times: Bytes,
    times_end: Ints,
    kind: Flags,
    connected: NDArray[np.bool_],
    offset: Ints,
    bits: NDArray[np.uint64],
    xym: Ints,
    words: Words,
    source: Flags,
    out: Bytes,
) -> int:
    """Fill `out` after the header; returns where the rows end. A field is its length in bytes, then its value."""
    at = 19
    for run in range(len(kind)):
        first, end = offset[run], offset[run + 1]
        at = _big_endian(out, at, 11, 2)
        for row in range(2):
            at = _big_endian(out, at, 8, 4)
            at = _big_endian(out, at, bits[row, run], 8)
        at = _big_endian(out, at, 2, 4)
        at = _big_endian(out, at, kind[run], 2)
        at = _big_endian(out, at, 1, 4)
        at = _big_endian(out, at, 1 if connected[run] else 0, 1)
        at = _bytes(out, at, ids, 0 if run == 0 else id_end[run - 1], id_end[run])
        at = _path(out, at, xym, first, end)
        for row in range(3):
            at = _words(out, at, words, row, first, end)
        at = _sources(out, at, source, first, end)
        at = _bytes(out, at, times, 0 if run == 0 else times_end[run - 1], times_end[run])
    return at


@helper
def _read_varint(data: Bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while data[at] >= 0x80:
        value |= (int(data[at]) & 0x7F) << shift
        shift += 7
        at += 1
    return value | (int(data[at]) << shift), at + 1


@compiled
def _read_paths(data: Bytes, end: Ints, counts: Ints, xym: Ints) -> int:
    n, at = 0, 0
    for path in range(len(end)):
        counts[path], at = _read_varint(data, at + len(_TWKB))
        x, y, m = 0, 0, 0
        for _ in range(counts[path]):
            dx, at = _read_varint(data, at)
            dy, at = _read_varint(data, at)
            dm, at = _read_varint(data, at)
            x += (dx >> 1) ^ -(dx & 1)
            y += (dy >> 1) ^ -(dy & 1)
            m += (dm >> 1) ^ -(dm & 1)
            xym[n, 0], xym[n, 1], xym[n, 2] = x, y, m
            n += 1
    return n


@compiled
def _write_all(steps: Ints, out: Bytes) -> int:
    at = 0
    for step in steps:
        at = _varint(out, at, step)
    return at


@compiled
def _read_all(data: Bytes, steps: Ints) -> int:
    n, at = 0, 0
    while at < len(data):
        steps[n], at = _read_varint(data, at)
        n += 1
    return n
