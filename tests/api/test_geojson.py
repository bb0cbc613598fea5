"""Tracks and points of GeoJSON and MF-JSON become fixes; what is none is named by its feature."""

import json

import numpy as np
import pytest

from api.files import read_fixes
from tests.api.test_formats import T0, from_sources, text, track
from tracker.errors import InvalidInput

LINE = {"type": "LineString", "coordinates": [[121.5, 25.0], [121.6, 25.1, 7.0]]}


@pytest.fixture
def read(tmp_path):
    def read(content, driver_id="D9"):
        path = tmp_path / "track.geojson"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return read_fixes(path, driver_id)

    return read


@pytest.mark.parametrize("name", ["geojson", "mfjson"])
@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_our_own_tracks_are_read_as_they_were(read, name, n):
    what = track(n)
    fixes = read(text(name, what))
    assert fixes.driver_id == ["D1"] * n
    for column in ("fix_time", "latitude", "longitude", "speed", "course", "accuracy"):
        np.testing.assert_allclose(getattr(fixes, column), getattr(what, column), rtol=0, atol=1e-3)


def test_where_a_fix_comes_from_is_read_too(read):
    assert read(text("geojson", from_sources(4))).source.tolist() == [1, 2, 8, 0]


def test_points_with_a_timestamp_each_are_fixes(read):
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [121.5, 25.0 + i]},
            "properties": {"timestamp": T0 + i, "driver_id": driver_id, "speed": 3},
        }
        for i, driver_id in enumerate(("A", None))
    ]
    fixes = read({"type": "FeatureCollection", "features": [*features, {"type": "Feature", "geometry": None}]})
    assert fixes.driver_id == ["A", "D9"]
    assert fixes.latitude.tolist() == [25.0, 26.0]
    assert fixes.fix_time.tolist() == [T0, T0 + 1]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "not valid JSON"),
        ([], "1: must be a GeoJSON Feature"),
        ({"type": "FeatureCollection", "features": 3}, "features: must be a list"),
        ({"type": "Feature", "geometry": LINE}, "1: datetimes: a track needs a time for each position"),
        ({"type": "Feature", "geometry": LINE, "properties": {"datetimes": [T0]}}, "1: datetimes: a track needs"),
        ({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": []}}, "1: a Polygon is no track"),
        ({"type": "Feature", "geometry": {"type": "LineString"}}, "1: the feature has not the form"),
        ({"type": "Feature", "temporalGeometry": {"type": "MovingPolygon"}}, "1: a MovingPolygon is no track"),
        ({"type": "Feature", "geometry": LINE, "properties": {"datetimes": ["now", "then"]}}, '1: timestamp: "now"'),
    ],
)
def test_what_is_no_track_is_named(read, content, sentence):
    with pytest.raises(InvalidInput) as refused:
        read(content)
    assert str(refused.value).split("track.geojson:")[1].strip().startswith(sentence)
