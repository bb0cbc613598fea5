"""What is written can be read again: by our own reader, by an XML parser, by a JSON parser."""

import asyncio
import json
import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas
import pytest
import shapely

from api.files import read_fixes
from api.formats import CHUNK, FORMATS, written
from api.gpx import read_points
from storage.segments import keep
from tracker.codec import parse_time
from tracker.records import Track

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it tells of optional parts that are not there
    import movingpandas
    from movingpandas import Trajectory

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


def from_sources(n: int, step: float = 5.0) -> Track:
    """The same with providers: GPS, network, not known, and the third made up by an app."""
    return replace(track(n, step), source=np.array([1, 2, 8, 0, 0][:n], np.uint8))


def chunks(name: str, *parts: Track, driver_id: str = "D1") -> list[bytes]:
    """All that is written of a track that comes in these parts."""

    async def tracks():
        for part in parts:
            yield part

    async def write():
        return [chunk async for chunk in written(FORMATS[name][1](driver_id), tracks())]

    with ThreadPoolExecutor(1) as pool:  # a test may have a loop of its own
        return pool.submit(lambda: asyncio.run(write())).result()


def text(name: str, what: Track, driver_id: str = "D1") -> bytes:
    return b"".join(chunks(name, *([what] if len(what) else []), driver_id=driver_id))


def test_geojson_has_a_time_for_each_position_and_null_for_what_is_not_known():
    feature = json.loads(text("geojson", track(3)))
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
    geometry = json.loads(text("geojson", track(n)))["geometry"]
    assert geometry["type"] == kind
    assert np.shape(geometry["coordinates"]) == ((2,) if n == 1 else (n, 2))


def test_a_track_without_fixes_is_still_valid():
    feature = json.loads(text("geojson", Track.empty()))
    assert feature["geometry"] is None
    assert feature["properties"]["datetimes"] == []
    assert not ElementTree.fromstring(text("gpx", Track.empty())).findall(f".//{GPX}trkpt")
    assert text("csv", Track.empty()).count(b"\n") == 1


def test_gpx_has_the_structure_of_version_1_1():
    root = ElementTree.fromstring(text("gpx", track(3)))
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
    segments = ElementTree.fromstring(text("gpx", track(3, step=601.0))).findall(f".//{GPX}trkseg")
    assert [len(segment) for segment in segments] == [1, 1, 1]
    segments = ElementTree.fromstring(text("gpx", track(3, step=600.0))).findall(f".//{GPX}trkseg")
    assert [len(segment) for segment in segments] == [3]


def test_an_id_of_any_characters_cannot_break_a_format(tmp_path):
    odd = 'A&B <"x">, {0}司機\x01'
    assert ElementTree.fromstring(text("gpx", track(2), odd)).findtext(f"{GPX}trk/{GPX}name") == 'A&B <"x">, {0}司機'
    assert json.loads(text("geojson", track(2), odd))["properties"]["driver_id"] == odd
    file = tmp_path / "fixes.csv"
    file.write_bytes(text("csv", track(2), odd))
    assert read_fixes(file).driver_id == [odd, odd]


def test_csv_is_read_again_as_it_was(tmp_path):
    what = track(3)
    file = tmp_path / "fixes.csv"
    file.write_bytes(text("csv", what))
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
    file.write_bytes(text(name, from_sources(4)))
    assert read_fixes(file).source.tolist() == [1, 2, 8, 0]


def test_geojson_says_where_a_fix_comes_from_where_that_is_known():
    properties = json.loads(text("geojson", from_sources(4)))["properties"]
    assert properties["providers"] == ["gps", "network", None, None]
    assert properties["mocks"] == [False, False, True, False]
    assert "mocks" not in json.loads(text("geojson", track(4)))["properties"]


def test_gpx_is_read_again_by_our_own_reader():
    points = [point for _, point in read_points(BytesIO(text("gpx", track(2))))]
    assert [float(point["latitude"]) for point in points] == [25.0330123, 25.0330223]
    assert points[0]["heading"] == "45.0"


@pytest.mark.parametrize("name", FORMATS)
def test_a_long_track_comes_in_chunks_and_whole(name):
    n = 4 * CHUNK + 1
    whole = chunks(name, track(n))
    assert max(map(len, whole)) < sum(map(len, whole)) / 3
    data = b"".join(whole)
    if name == "geojson":
        assert len(json.loads(data)["geometry"]["coordinates"]) == n
    elif name == "mfjson":
        assert len(json.loads(data)["temporalGeometry"]["coordinates"]) == n
    elif name == "gpx":
        assert len(ElementTree.fromstring(data).findall(f".//{GPX}trkpt")) == n
    else:
        assert data.count(b"\n") == n + 1


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_track_in_parts_is_written_as_in_one(name, n):
    whole = from_sources(n, step=500.0)
    parts = [keep(whole, np.arange(n) == i) for i in range(n)]
    assert b"".join(chunks(name, *parts)) == text(name, whole)


def test_mf_json_has_a_time_for_each_value_and_none_for_what_is_not_known():
    feature = json.loads(text("mfjson", track(3)))
    assert feature["properties"] == {"driver_id": "D1"}
    moving = feature["temporalGeometry"]
    assert (moving["type"], moving["interpolation"]) == ("MovingPoint", "Linear")
    assert moving["coordinates"][0] == [121.5654321, 25.0330123]
    assert moving["datetimes"] == ["2025-01-20T10:30:00.250Z", "2025-01-20T10:30:05.250Z", "2025-01-20T10:30:10.250Z"]
    speed, course, accuracy = feature["temporalProperties"]
    assert speed["datetimes"] == moving["datetimes"][::2]
    assert (speed["speed"]["values"], speed["speed"]["form"]) == ([8.3, 8.3], "MTS")
    assert (course["course"]["values"], accuracy["accuracy"]["values"]) == ([45.0, 45.0], [6.5, 6.5])


def read_by_movingpandas(name: str, path: Path) -> Trajectory:
    if name == "csv":
        table = pandas.read_csv(path)
        return Trajectory(table, "D1", t="timestamp", x="longitude", y="latitude", crs=4326)
    return movingpandas.read_mf_json(path)


@pytest.mark.filterwarnings("ignore")  # what MovingPandas uses of pandas is going out of use
@pytest.mark.parametrize("name", ["csv", "geojson", "mfjson"])
def test_movingpandas_reads_a_track_as_it_was(tmp_path, name):
    what = track(50)
    path = tmp_path / f"track.{name}"
    path.write_bytes(text(name, what))
    trajectory = read_by_movingpandas(name, path)
    line = shapely.get_coordinates(trajectory.to_linestring())
    np.testing.assert_allclose(line, np.stack([what.longitude, what.latitude], axis=1), rtol=0, atol=1e-8)
    times = pandas.to_datetime(trajectory.df.index, utc=True).as_unit("ms").asi8 / 1000
    np.testing.assert_array_equal(times, what.fix_time)
    column = "speeds" if name == "geojson" else "speed"
    np.testing.assert_allclose(trajectory.df[column].astype(float), what.speed, atol=1e-3)
