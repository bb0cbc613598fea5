"""A track as GeoJSON, GPX or CSV, in chunks of bytes so that a long one is never a text as a whole."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from xml.sax.saxutils import escape

import msgspec
import numpy as np

from tracker.codec import iso, provider_of
from tracker.records import Source, Track
from tracker.tracks import CONNECT_WITHIN_S

CHUNK = 2000  # fixes
DEGREES = 8
"""Decimals of latitude and longitude: a millimetre."""
DECIMALS = 3
"""Decimals of speed, course and accuracy."""

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

_encode = msgspec.json.Encoder().encode


def geojson(driver_id: str, track: Track) -> Iterator[bytes]:
    """A Feature with a LineString and `datetimes` for each position, as OGC MF-JSON trajectories have; null: not known.

    One fix is a Point, none at all a null geometry, as RFC 7946 asks.
    """
    positions = np.stack([track.longitude, track.latitude], axis=1)
    if len(positions) > 1:
        yield b'{"type":"Feature","geometry":{"type":"LineString","coordinates":'
        yield from _array(positions[part].round(DEGREES).tolist() for part in _parts(track))
        yield b"}"
    elif len(positions):
        point = positions[0].round(DEGREES).tolist()
        yield b'{"type":"Feature","geometry":{"type":"Point","coordinates":' + _encode(point) + b"}"
    else:
        yield b'{"type":"Feature","geometry":null'
    yield b',"properties":{"driver_id":' + _encode(driver_id) + b',"datetimes":'
    yield from _array([iso(t) for t in track.fix_time[part].tolist()] for part in _parts(track))
    for name, column in (("speeds", track.speed), ("courses", track.course), ("accuracies", track.accuracy)):
        yield b',"%b":' % name.encode()
        yield from _array(column[part].round(DECIMALS).tolist() for part in _parts(track))
    if track.source.any():
        yield b',"providers":'
        yield from _array([provider_of(source) for source in track.source[part].tolist()] for part in _parts(track))
        yield b',"mocks":'
        yield from _array(_mocks(track, part) for part in _parts(track))
    yield b"}}"


def gpx(driver_id: str, track: Track) -> Iterator[bytes]:
    """GPX 1.1 with speed and course as TrackPointExtension v2; a new segment after each long silence."""
    yield _GPX_HEAD.format(name=escape(_NOT_XML.sub("", driver_id))).encode()
    silences = np.diff(track.fix_time, prepend=track.fix_time[:1]) > CONNECT_WITHIN_S
    if len(silences):
        yield b"<trkseg>\n"
    for part in _parts(track):
        points = map(_gpx_point, silences[part].tolist(), *_columns(track, part)[:-1], track.source[part].tolist())
        yield "".join(points).encode()
    if len(silences):
        yield b"</trkseg>\n"
    yield b"</trk>\n</gpx>\n"


def comma_separated(driver_id: str, track: Track) -> Iterator[bytes]:
    """CSV (RFC 4180) as `tracker import` and `tracker replay` read it."""
    yield b"driver_id,timestamp,latitude,longitude,speed,heading,accuracy,provider,mock\n"
    for part in _parts(track):
        times, *columns = _columns(track, part)
        text = io.StringIO()
        numbers = [list(map(_text, column)) for column in columns]
        providers = [provider_of(source) or "" for source in track.source[part].tolist()]
        mocks = ["true" if mock else "" for mock in _mocks(track, part)]
        rows = zip([driver_id] * len(times), map(iso, times), *numbers, providers, mocks, strict=True)
        csv.writer(text, lineterminator="\n").writerows(rows)
        yield text.getvalue().encode()


FORMATS: dict[str, tuple[str, Callable[[str, Track], Iterator[bytes]]]] = {
    "geojson": ("application/geo+json", geojson),
    "gpx": ("application/gpx+xml", gpx),
    "csv": ("text/csv; charset=utf-8", comma_separated),
}
"""Media type and writer of each format; a writer takes one driver's track as one run."""


def _parts(track: Track) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, len(track.fix_time), CHUNK))


def _columns(track: Track, part: slice) -> list[list[float]]:
    """fix_time, latitude, longitude, speed, course, accuracy of some fixes."""
    degrees = [column[part].round(DEGREES).tolist() for column in (track.latitude, track.longitude)]
    others = [column[part].round(DECIMALS).tolist() for column in (track.speed, track.course, track.accuracy)]
    return [track.fix_time[part].tolist(), *degrees, *others]


def _mocks(track: Track, part: slice) -> list[bool]:
    """Which fixes an app made up."""
    return [bool(source & Source.MOCK) for source in track.source[part].tolist()]


def _array(parts: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """A JSON array of what all parts hold; NaN becomes null."""
    yield b"["
    for number, part in enumerate(parts):
        yield (b"," if number else b"") + _encode(part)[1:-1]
    yield b"]"


def _gpx_point(
    after_silence: bool,
    fix_time: float,
    latitude: float,
    longitude: float,
    speed: float,
    course: float,
    source: int,
) -> str:
    named = " ".join(filter(None, (provider_of(source), "mock" if source & Source.MOCK else "")))
    motion = "".join(
        f"<gpxtpx:{name}>{value}</gpxtpx:{name}>"
        for name, value in (("speed", speed), ("course", course))
        if value == value
    )
    if motion:
        motion = f"<extensions><gpxtpx:TrackPointExtension>{motion}</gpxtpx:TrackPointExtension></extensions>"
    return (
        f"{_NEW_SEGMENT if after_silence else ''}"
        f'<trkpt lat="{latitude:.{DEGREES}f}" lon="{longitude:.{DEGREES}f}">'
        f"<time>{iso(fix_time)}</time>{f'<src>{named}</src>' if named else ''}{motion}</trkpt>\n"
    )


def _text(value: float) -> str:
    return "" if value != value else str(value)
