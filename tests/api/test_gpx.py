"""Track points come out of any GPX dialect, and nothing else does."""

import io

import pytest

from api import gpx
from tracker.errors import InvalidInput

GPX_11 = """<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"
     xmlns:t="http://www.garmin.com/xmlschemas/TrackPointExtension/v2">
 <metadata><time>2019-01-01T00:00:00Z</time></metadata>
 <wpt lat="1" lon="2"><time>2019-01-01T00:00:00Z</time></wpt>
 <trk><name>車</name><trkseg>
  <trkpt lat="25.033" lon="121.5654"><ele>12</ele><time>2025-01-20T10:30:00Z</time>
   <extensions><t:TrackPointExtension><t:speed>8.3</t:speed><t:course>45</t:course></t:TrackPointExtension></extensions>
  </trkpt>
  <trkpt lat="25.034" lon="121.5655"/>
 </trkseg></trk>
</gpx>"""


def points(text):
    return list(gpx.read_points(io.BytesIO(text.encode())))


def test_points_of_gpx_1_1_have_the_speed_and_course_of_their_extension():
    assert points(GPX_11) == [
        (
            7,
            {
                "latitude": "25.033",
                "longitude": "121.5654",
                "timestamp": "2025-01-20T10:30:00Z",
                "speed": "8.3",
                "heading": "45",
            },
        ),
        (10, {"latitude": "25.034", "longitude": "121.5655"}),
    ]


def test_points_of_gpx_1_0_have_their_own_speed_and_course():
    text = (
        '<gpx version="1.0" xmlns="http://www.topografix.com/GPX/1/0"><trk><trkseg><trkpt lat="1" lon="2">'
        "<time> 2025-01-20T10:30:00Z </time><course>90</course><speed>3</speed></trkpt></trkseg></trk></gpx>"
    )
    expected = {"latitude": "1", "longitude": "2", "timestamp": "2025-01-20T10:30:00Z", "heading": "90", "speed": "3"}
    assert points(text) == [(1, expected)]


def test_a_point_across_two_chunks_is_whole(monkeypatch):
    whole = points(GPX_11)
    for size in (1, 7, 100):
        monkeypatch.setattr(gpx, "CHUNK", size)
        assert points(GPX_11) == whole


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('<?xml version="1.0"?>\n<!DOCTYPE gpx [<!ENTITY a "b">]><gpx/>', "^2: .* document type"),
        ("<gpx>\n<trk>\n</gpx>", "^3: not a valid XML file: mismatched tag"),
        ("<kml/>", "^1: not a GPX file: its root is <kml>"),
        ("", "^1: not a valid XML file"),
    ],
)
def test_what_is_not_gpx_is_refused_with_its_line(text, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        points(text)
