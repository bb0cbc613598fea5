"""A track as GeoJSON, GPX, CSV or OGC MF-JSON, written part by part: a long one is never in memory as a whole."""

import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from itertools import product
from tempfile import SpooledTemporaryFile
from typing import IO, Protocol
from xml.sax.saxutils import escape

import msgspec
import numpy as np

from storage.segments import concatenate, keep
from tracker.codec import provider_of
from tracker.printing import TIME, rows
from tracker.records import Floats, Ints, Source, Track
from tracker.tracks import CONNECT_WITHIN_S

CHUNK = 4096  # fixes
DEGREES = 8
"""Decimals of latitude and longitude: a millimetre."""
DECIMALS = 3
"""Decimals of speed, course and accuracy."""
IN_MEMORY = 1 << 18
"""Bytes of a column that waits for its turn; more wait in a file."""

_GPX_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="tracker" xmlns="http://www.topografix.com/GPX/1/1"\
 xmlns:gpxtpx="http://www.garmin.com/xmlschemas/TrackPointExtension/v2"\
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"\
 xsi:schemaLocation="http://www.topografix.com/GPX/1/1 http://www.topografix.com/GPX/1/1/gpx.xsd\
 http://www.garmin.com/xmlschemas/TrackPointExtension/v2\
 https://www8.garmin.com/xmlschemas/TrackPointExtensionv2.xsd">
<trk><name>{name}</name>
"""
_NEW_SEGMENT = "</trkseg>\n<trkseg>\n"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say at all (section 2.2)."""
_MOVING = '"type":"MovingPoint","interpolation":"Linear"'
_MEASURES = {"speed": "MTS", "course": "DD", "accuracy": "MTR"}
"""Temporal properties of MF-JSON and their units, as codes of UN/CEFACT recommendation 20."""

_encode = msgspec.json.Encoder().encode


class Writer(Protocol):
    """Writes one driver's track: `add` for each of its parts in order of time, then `end`; closed at last."""

    def __init__(self, driver_id: str) -> None: ...

    def add(self, track: Track) -> bytes:
        """What can be written with at most CHUNK fixes more."""

    def end(self) -> Iterator[bytes]:
        """The rest."""

    def close(self) -> None:
        """Let go of what was kept."""


class CSV:
    """CSV (RFC 4180) as `tracker import` and `tracker replay` read it."""

    def __init__(self, driver_id: str) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow([driver_id, ""])
        self._driver = text.getvalue().encode()  # with the comma after it
        self._head = b"driver_id,timestamp,latitude,longitude,speed,heading,accuracy,provider,mock\n"

    def add(self, track: Track) -> bytes:
        """As in Writer."""
        sources, which = _classes(track.source)
        ends = (f",{provider_of(source) or ''},{'true' if source & Source.MOCK else ''}\n" for source in sources)
        templates = [b"{0},{1},{2},{3},{4},{5}" + end.encode() for end in ends]
        columns = (track.fix_time, track.latitude, track.longitude, track.speed, track.course, track.accuracy)
        head, self._head = self._head, b""
        return head + rows(templates, which, columns, (TIME, DEGREES, DEGREES, *[DECIMALS] * 3), b"", self._driver)

    def end(self) -> Iterator[bytes]:
        """As in Writer."""
        yield self._head

    def close(self) -> None:
        """As in Writer."""


class GPX:
    """GPX 1.1 with speed and course as TrackPointExtension v2; a new segment after each long silence."""

    def __init__(self, driver_id: str) -> None:
        self._head = _GPX_HEAD.format(name=escape(_NOT_XML.sub("", driver_id))).encode()
        self._last: float | None = None

    def add(self, track: Track) -> bytes:
        """As in Writer."""
        first = b"" if self._last is not None else self._head + b"<trkseg>\n"
        before = track.fix_time[0] if self._last is None else self._last
        silent = np.diff(track.fix_time, prepend=before) > CONNECT_WITHIN_S
        self._last = float(track.fix_time[-1])
        sources, which = _classes(track.source)
        moving = 2 * ~np.isnan(track.speed) + ~np.isnan(track.course)
        kinds, which = _classes(8 * which + 4 * silent + moving)
        templates = [_gpx_point(sources[kind >> 3], bool(kind & 4), bool(kind & 2), bool(kind & 1)) for kind in kinds]
        columns = (track.fix_time, track.latitude, track.longitude, track.speed, track.course)
        return first + rows(templates, which, columns, (TIME, DEGREES, DEGREES, DECIMALS, DECIMALS), b"")

    def end(self) -> Iterator[bytes]:
        """As in Writer."""
        yield (self._head if self._last is None else b"</trkseg>\n") + b"</trk>\n</gpx>\n"

    def close(self) -> None:
        """As in Writer."""


class GeoJSON:
    """A Feature with a LineString and `datetimes` for each position, as OGC MF-JSON trajectories have; null: not known.

    One fix is a Point, none at all a null geometry, as RFC 7946 asks.
    """

    def __init__(self, driver_id: str) -> None:
        self._driver_id = driver_id
        self._waiting = Track.empty()  # a first fix
        self._fixes = 0
        self._later = _Later("datetimes", "speeds", "courses", "accuracies", "providers", "mocks")
        self._sources = False

    def add(self, track: Track) -> bytes:
        """As in Writer."""
        track = _one(self._waiting, track)
        self._waiting = Track.empty()
        if self._fixes + len(track.fix_time) < 2:
            self._waiting = track
            return b""
        positions = rows([b",[{0},{1}]"], None, (track.longitude, track.latitude), (DEGREES, DEGREES), b"null")
        if not self._fixes:
            positions = b'{"type":"Feature","geometry":{"type":"LineString","coordinates":[' + positions[1:]
        self._keep(track)
        return positions

    def _keep(self, track: Track) -> None:
        self._fixes += len(track.fix_time)
        self._sources |= bool(track.source.any())
        self._later.put("datetimes", rows([b',"{0}"'], None, (track.fix_time,), (TIME,), b""))
        for name, column in (("speeds", track.speed), ("courses", track.course), ("accuracies", track.accuracy)):
            self._later.put(name, rows([b",{0}"], None, (column,), (DECIMALS,), b"null"))
        sources, which = _classes(track.source)
        providers = [b"," + _encode(provider_of(source)) for source in sources]
        self._later.put("providers", rows(providers, which, (track.speed,), (DECIMALS,), b""))
        mocks = [b"," + _encode(bool(source & Source.MOCK)) for source in sources]
        self._later.put("mocks", rows(mocks, which, (track.speed,), (DECIMALS,), b""))

    def end(self) -> Iterator[bytes]:
        """As in Writer."""
        if self._fixes:
            yield b"]}"
        elif len(self._waiting):
            point = [
                round(float(self._waiting.longitude[0]), DEGREES),
                round(float(self._waiting.latitude[0]), DEGREES),
            ]
            self._keep(self._waiting)
            yield b'{"type":"Feature","geometry":{"type":"Point","coordinates":' + _encode(point) + b"}"
        else:
            yield b'{"type":"Feature","geometry":null'
        yield b',"properties":{"driver_id":' + _encode(self._driver_id)
        names = self._later.names if self._sources else self._later.names[:4]
        for name in names:
            yield f',"{name}":['.encode()
            yield from self._later.take(name)
            yield b"]"
        yield b"}}"

    def close(self) -> None:
        """As in Writer."""
        self._later.close()


class MFJSON:
    """OGC Moving Features JSON (19-045r3), prism form: a MovingPoint, and what was measured as temporal properties.

    What is not known has no time there.
    """

    def __init__(self, driver_id: str) -> None:
        self._driver_id = driver_id
        self._fixes = 0
        self._later = _Later("datetimes", *(f"{name}{part}" for name, part in product(_MEASURES, ("", " times"))))

    def add(self, track: Track) -> bytes:
        """As in Writer."""
        positions = rows([b",[{0},{1}]"], None, (track.longitude, track.latitude), (DEGREES, DEGREES), b"null")
        if not self._fixes:
            positions = f'{{"type":"Feature","temporalGeometry":{{{_MOVING},"coordinates":['.encode() + positions[1:]
        self._fixes += len(track.fix_time)
        self._later.put("datetimes", _times(track.fix_time))
        for name in _MEASURES:
            column: Floats = getattr(track, name)
            known = ~np.isnan(column)
            self._later.put(name, rows([b",{0}"], None, (column[known],), (DECIMALS,), b""))
            self._later.put(f"{name} times", _times(track.fix_time[known]))
        return positions

    def end(self) -> Iterator[bytes]:
        """As in Writer."""
        if self._fixes:
            yield b'],"datetimes":['
            yield from self._later.take("datetimes")
            yield b']},"temporalProperties":['
            yield from self._properties()
            yield b"]"
        else:
            yield b'{"type":"Feature","temporalGeometry":null'
        crs = {"type": "Name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
        trs = {"type": "Name", "properties": {"name": "urn:ogc:data:time:iso8601"}}
        yield b',"crs":' + _encode(crs) + b',"trs":' + _encode(trs)
        yield b',"properties":{"driver_id":' + _encode(self._driver_id) + b"}}"

    def _properties(self) -> Iterator[bytes]:
        between = b""
        for name, unit in _MEASURES.items():
            if not self._later.has(name):
                continue
            yield between + b'{"datetimes":['
            yield from self._later.take(f"{name} times")
            yield f'],"{name}":{{"type":"Measure","form":"{unit}","interpolation":"Linear","values":['.encode()
            yield from self._later.take(name)
            yield b"]}}"
            between = b","

    def close(self) -> None:
        """As in Writer."""
        self._later.close()


FORMATS: dict[str, tuple[str, Callable[[str], Writer]]] = {
    "geojson": ("application/geo+json", GeoJSON),
    "gpx": ("application/gpx+xml", GPX),
    "csv": ("text/csv; charset=utf-8", CSV),
    "mfjson": ("application/json", MFJSON),
}
"""Media type and writer of each format."""


async def written(writer: Writer, tracks: AsyncIterator[Track]) -> AsyncIterator[bytes]:
    """A track that comes in parts, each one run, as chunks of text."""
    try:
        async for track in tracks:
            for start in range(0, len(track.fix_time), CHUNK):
                if text := writer.add(_some(track, start)):
                    yield text
        for text in writer.end():
            if text:
                yield text
    finally:
        writer.close()


class _Later:
    """Columns of text that are written after another one; each item begins with a comma."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self._files: dict[str, IO[bytes]] = {}
        self._opened = ExitStack()

    def put(self, name: str, text: bytes) -> None:
        """More of a column."""
        if not text:
            return
        if name not in self._files:
            self._files[name] = self._opened.enter_context(SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115
            text = text[1:]
        self._files[name].write(text)

    def has(self, name: str) -> bool:
        """Whether there is anything of a column."""
        return name in self._files

    def take(self, name: str) -> Iterator[bytes]:
        """All of a column."""
        if name in self._files:
            self._files[name].seek(0)
            yield from iter(lambda: self._files[name].read(IN_MEMORY), b"")

    def close(self) -> None:
        """Forget all."""
        self._opened.close()


def _some(track: Track, start: int) -> Track:
    """CHUNK fixes of a track of one run."""
    if len(track.fix_time) <= CHUNK:
        return track
    part = np.zeros(len(track.fix_time), np.bool_)
    part[start : start + CHUNK] = True
    return keep(track, part)


def _one(first: Track, then: Track) -> Track:
    return concatenate([first, then]) if len(first) else then


def _classes(values: np.ndarray) -> tuple[list[int], Ints]:
    """The different values, and which of them each is."""
    different, which = np.unique(values, return_inverse=True)
    return different.tolist(), which.astype(np.int64)


def _times(fix_time: Floats) -> bytes:
    return rows([b',"{0}"'], None, (fix_time,), (TIME,), b"")


def _gpx_point(source: int, after_silence: bool, speed: bool, course: bool) -> bytes:
    """The template of a point."""
    named = " ".join(filter(None, (provider_of(source), "mock" if source & Source.MOCK else "")))
    motion = "<gpxtpx:speed>{3}</gpxtpx:speed>" * speed + "<gpxtpx:course>{4}</gpxtpx:course>" * course
    if motion:
        motion = f"<extensions><gpxtpx:TrackPointExtension>{motion}</gpxtpx:TrackPointExtension></extensions>"
    before = _NEW_SEGMENT if after_silence else ""
    named = f"<src>{named}</src>" if named else ""
    return f'{before}<trkpt lat="{{1}}" lon="{{2}}"><time>{{0}}</time>{named}{motion}</trkpt>\n'.encode()
