"""What is written can be read again: by our own reader, by an XML parser, by a JSON parser."""

import json
import math
from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest

from api.files import read_fixes
from api.formats import CHUNK, FORMATS, comma_separated, geojson, gpx
from api.gpx import read_points
from tracker.codec import parse_time
from tracker.records import Track

T0 = 1737369000.25
GPX = "{http://www.topografix.com/GPX/1/1}"
EXTENSION = "{http://www.garmin.com/xmlschemas/TrackPointExtension/v2}"


def track(n: int, step: float = 5.0) -> Track:
    """A drive of n fixes; the second one knows nothing but where and when."""
    places = np.arange(n)
    speed, course, accuracy = (np.full(n, value) for value in (8.3, 45.0, 6.5))
    for column in (speed, course, accuracy):
        column[1:2] = math.nan
    as_stored = [column.astype(np.float32).astype(np.float64) for column in (speed, course, accuracy)]
    runs = min(n, 1)
    return Track(
        ("D1",) * runs,
        np.zeros(runs, np.uint8),
        np.zeros(runs, np.bool_),
        np.array([0, n][: runs + 1]),
        T0 + step * places,
        25.0330123 + places * 1e-5,
        121.5654321 - places * 1e-5,
        *as_stored,
    )


def from_sources(n: int) -> Track:
    """The same with providers: GPS, network, not known, and the third made up by an app."""
    return replace(track(n), source=np.array([1, 2, 8, 0][:n], np.uint8))


def written(name: str, what: Track, driver_id: str = "D1") -> bytes:
    return b"".join(FORMATS[name][1](driver_id, what))


def test_geojson_has_a_time_for_each_position_and_null_for_what_is_not_known():
    feature = json.loads(written("geojson", track(3)))
    assert feature["type"] == "Feature"
    assert feature["geometry"] == {
        "type": "LineString",
        "coordinates": [[121.5654321, 25.0330123], [121.5654221, 25.0330223], [121.5654121, 25.0330323]],
    }
    assert feature["properties"] == {
        "driver_id": "D1",
        "datetimes": ["2025-01-20T10:30:00.250Z", "2025-01-20T10:30:05.250Z", "2025-01-20T10:30:10.250Z"],
        "speeds": [8.3, None, 8.3],
        "courses": [45.0, None, 45.0],
        "accuracies": [6.5, None, 6.5],
    }


@pytest.mark.parametrize(("n", "kind"), [(1, "Point"), (2, "LineString")])
def test_geojson_is_valid_for_few_fixes(n, kind):
    geometry = json.loads(written("geojson", track(n)))["geometry"]
    assert geometry["type"] == kind
    assert np.shape(geometry["coordinates"]) == ((2,) if n == 1 else (n, 2))


def test_a_track_without_fixes_is_still_valid():
    feature = json.loads(written("geojson", Track.empty()))
    assert feature["geometry"] is None
    assert feature["properties"]["datetimes"] == []
    assert not ElementTree.fromstring(written("gpx", Track.empty())).findall(f".//{GPX}trkpt")
    assert written("csv", Track.empty()).count(b"\n") == 1


def test_gpx_has_the_structure_of_version_1_1():
    root = ElementTree.fromstring(written("gpx", track(3)))
    assert (root.tag, root.get("version")) == (f"{GPX}gpx", "1.1")
    assert root.get("creator")
    (trk,) = root
    assert [child.tag for child in trk] == [f"{GPX}name", f"{GPX}trkseg"]
    first, second, _ = trk.iterfind(f"{GPX}trkseg/{GPX}trkpt")
    assert (float(first.get("lat")), float(first.get("lon"))) == (25.0330123, 121.5654321)
    assert [child.tag for child in first] == [f"{GPX}time", f"{GPX}extensions"]
    assert parse_time(first.findtext(f"{GPX}time")) == T0
    motion = first.find(f"{GPX}extensions/{EXTENSION}TrackPointExtension")
    assert [(child.tag, float(child.text)) for child in motion] == [
        (f"{EXTENSION}speed", 8.3),
        (f"{EXTENSION}course", 45.0),
    ]
    assert [child.tag for child in second] == [f"{GPX}time"]


def test_gpx_begins_a_segment_after_a_long_silence():
    segments = ElementTree.fromstring(written("gpx", track(3, step=601.0))).findall(f".//{GPX}trkseg")
    assert [len(segment) for segment in segments] == [1, 1, 1]
    segments = ElementTree.fromstring(written("gpx", track(3, step=600.0))).findall(f".//{GPX}trkseg")
    assert [len(segment) for segment in segments] == [3]


def test_an_id_of_any_characters_cannot_break_a_format(tmp_path):
    odd = 'A&B <"x">, 司機\x01'
    assert ElementTree.fromstring(written("gpx", track(2), odd)).findtext(f"{GPX}trk/{GPX}name") == 'A&B <"x">, 司機'
    assert json.loads(written("geojson", track(2), odd))["properties"]["driver_id"] == odd
    file = tmp_path / "fixes.csv"
    file.write_bytes(written("csv", track(2), odd))
    assert read_fixes(file).driver_id == [odd, odd]


def test_csv_is_read_again_as_it_was(tmp_path):
    what = track(3)
    file = tmp_path / "fixes.csv"
    file.write_bytes(written("csv", what))
    assert file.read_text().splitlines()[0].startswith("driver_id,timestamp,latitude,longitude,speed,heading,accuracy")
    fixes = read_fixes(file)
    np.testing.assert_array_equal(fixes.fix_time, what.fix_time)
    for name in ("latitude", "longitude"):
        np.testing.assert_allclose(getattr(fixes, name), getattr(what, name), rtol=0, atol=1e-8)
    for name in ("speed", "course", "accuracy"):
        np.testing.assert_allclose(getattr(fixes, name), getattr(what, name), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["csv", "gpx"])
def test_where_a_fix_comes_from_is_read_again_as_it_was(tmp_path, name):
    file = tmp_path / f"fixes.{name}"
    file.write_bytes(written(name, from_sources(4)))
    assert read_fixes(file).source.tolist() == [1, 2, 8, 0]


def test_geojson_says_where_a_fix_comes_from_where_that_is_known():
    properties = json.loads(written("geojson", from_sources(4)))["properties"]
    assert properties["providers"] == ["gps", "network", None, None]
    assert properties["mocks"] == [False, False, True, False]
    assert "mocks" not in json.loads(written("geojson", track(4)))["properties"]


def test_gpx_is_read_again_by_our_own_reader():
    points = [point for _, point in read_points(BytesIO(written("gpx", track(2))))]
    assert [float(point["latitude"]) for point in points] == [25.0330123, 25.0330223]
    assert points[0]["heading"] == "45.0"


@pytest.mark.parametrize("write", [geojson, gpx, comma_separated])
def test_a_long_track_comes_in_chunks_and_whole(write):
    n = 3 * CHUNK + 1
    chunks = list(write("D1", track(n)))
    assert max(map(len, chunks)) < sum(map(len, chunks)) / 3
    data = b"".join(chunks)
    assert data.count(b"T10:30:00.250Z") == 1
    if write is geojson:
        assert len(json.loads(data)["geometry"]["coordinates"]) == n
    elif write is gpx:
        assert len(ElementTree.fromstring(data).findall(f".//{GPX}trkpt")) == n
    else:
        assert data.count(b"\n") == n + 1
