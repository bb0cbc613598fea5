"""Files become columns in their own order, and a wrong one is named with line and field."""

import json

import numpy as np
import pytest

from api.files import read_fixes, read_geofences, read_orders
from tracker.errors import InvalidInput

T0 = 1737369000.0  # 2025-01-20T10:30:00Z


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_csv_columns_may_stand_in_any_order(write):
    path = write(
        "fixes.csv",
        "longitude,latitude,note,timestamp,driver_id,accuracy,heading,speed\n"
        "121.5,25.0,x,2025-01-20T18:30:00+08:00,A,5,361,8.3\n"
        "\n"
        "121.6,25.1,,1737369001500,司機,,,-1\n",
    )
    fixes = read_fixes(path)
    assert fixes.driver_id == ["A", "司機"]
    assert fixes.fix_time.tolist() == [T0, T0 + 1.5]
    assert fixes.longitude.tolist() == [121.5, 121.6]
    assert fixes.course[0] == 1.0
    assert np.isnan([fixes.course[1], fixes.speed[1], fixes.accuracy[1]]).all()
    assert fixes.received_at is None


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(write):
    path = write("fixes.CSV", b"\xef\xbb\xbfdriver_id,timestamp,latitude,longitude\r\nA,1737369000,25,121\r\n")
    assert read_fixes(path).driver_id == ["A"]


def test_ndjson_reads_like_csv(write):
    rows = [
        {"driver_id": "A", "timestamp": T0, "latitude": 25, "longitude": 121, "speed": None, "received_at": T0 + 2},
        {"driver_id": "B", "timestamp": "2025-01-20T10:30:00.25Z", "latitude": 26, "longitude": 122, "received_at": T0},
    ]
    fixes = read_fixes(write("fixes.ndjson", "\n".join(json.dumps(row) for row in rows) + "\n\n"))
    assert fixes.driver_id == ["A", "B"]
    assert fixes.fix_time.tolist() == [T0, T0 + 0.25]
    assert fixes.received_at.tolist() == [T0 + 2, T0]


def test_a_gpx_file_is_of_the_driver_it_is_named_after(write):
    text = '<gpx><trk><trkseg><trkpt lat="25" lon="121"><time>2025-01-20T10:30:00Z</time></trkpt></trkseg></trk></gpx>'
    path = write("DRIVER789.gpx", text)
    assert read_fixes(path).driver_id == ["DRIVER789"]
    assert read_fixes(path, "OTHER").driver_id == ["OTHER"]
    assert read_fixes(path).fix_time.tolist() == [T0]


def test_values_out_of_range_are_left_for_the_engine_to_refuse(write):
    path = write("fixes.csv", "driver_id,timestamp,latitude,longitude\nA,1737369000,91,nan\n")
    fixes = read_fixes(path)
    assert fixes.latitude.tolist() == [91.0]
    assert np.isnan(fixes.longitude[0])


HEADER = "driver_id,timestamp,latitude,longitude,received_at\n"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("f.csv", HEADER + "A,1737369000,25,121,\nA,1,abc,121,\n", 'f.csv:3: latitude: "abc" is not a number'),
        ("f.csv", HEADER + "A,yesterday,25,121,\n", 'f.csv:2: timestamp: "yesterday" is neither'),
        ("f.csv", HEADER + "A,2025-01-20T10:30:00,25,121,\n", "f.csv:2: timestamp: .* is neither ISO 8601 with an off"),
        ("f.csv", HEADER + ",1737369000,25,121,\n", "f.csv:2: driver_id: is required"),
        ("f.csv", HEADER + "A,,25,121,\n", "f.csv:2: timestamp: is required"),
        ("f.csv", HEADER + "A,1,25,121,1\nA,2,25,121,\n", "f.csv:3: received_at: is given for all fixes or for none"),
        ("f.csv", HEADER + "A,1,25,121,\nA,2,25,121,3\n", "f.csv:3: received_at: is given for all fixes or for none"),
        ("f.csv", HEADER + "A,1,25\n", "f.csv:2: has 3 cells where the header has 5"),
        ("f.csv", "driver_id,time,latitude\n", "f.csv:1: the header lacks timestamp, longitude"),
        ("f.csv", "timestamp,latitude,latitude,longitude\n", "f.csv:1: the header has latitude twice"),
        ("f.csv", "", "f.csv:1: the header lacks"),
        ("f.csv", HEADER + '"A\n', "f.csv:2: not a valid CSV file"),
        ("f.csv", HEADER.encode() + b"\xff,1,25,121,\n", "f.csv: is not UTF-8 text"),
        ("f.ndjson", '{"driver_id":"A"}\n', "f.ndjson:1: timestamp: is required"),
        ("f.ndjson", "\n[1]\n", "f.ndjson:2: not a JSON object"),
        ("f.gpx", '<gpx>\n<trkpt lat="1" lon="2"></trkpt></gpx>', "f.gpx:2: timestamp: is required"),
        ("f.gpx", "<gpx>", "f.gpx:1: not a valid XML file"),
        ("f.txt", "", "fixes are read from .csv, .ndjson, .jsonl, .gpx, .geojson, .json files"),
    ],
)
def test_what_cannot_be_read_is_named_with_file_line_and_field(write, name, content, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        read_fixes(write(name, content))


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.csv: No such file"):
        read_fixes(tmp_path / "none.csv")
    with pytest.raises(InvalidInput, match=r"none\.json: No such file"):
        read_orders(tmp_path / "none.json")


def order(**members):
    return {"customer_id": "C", "destination": {"latitude": 25.0, "longitude": 121.5}} | members


def point(**members):
    geometry = {"type": "Point", "coordinates": [121.5, 25.0]}
    return {"type": "Feature", "geometry": geometry, "properties": {"radius": 80}} | members


def test_orders_are_a_list_of_bodies_with_their_ids(write):
    path = write("orders.json", json.dumps([order(order_id="O1"), order(id="O2", driver_id="D")]))
    assert [(o.order_id, o.driver_id) for o in read_orders(path)] == [("O1", None), ("O2", "D")]


def test_geofences_are_a_collection_or_a_list(write):
    features = [point(id="depot-1"), point(properties={"id": "depot-2", "radius": 5})]
    collection = write("a.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    assert [(g.geofence_id, g.radius) for g in read_geofences(collection)] == [("depot-1", 80), ("depot-2", 5)]
    assert read_geofences(write("b.json", json.dumps(features))) == read_geofences(collection)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([order()], "o.json: order 1: order_id: is required"),
        ([order(order_id="A"), order(order_id="A")], 'o.json: order 2: order_id: "A" is there twice'),
        (
            [order(order_id="A", destination={"latitude": 95, "longitude": 0})],
            "order 1: destination.latitude: expected",
        ),
        ([7], "o.json: order 1: order_id: is required"),
        ({"type": "x"}, "o.json: must be a JSON list, or an object with the list orders"),
    ],
)
def test_a_wrong_order_is_named_with_its_place(write, content, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        read_orders(write("o.json", json.dumps(content)))


def test_what_is_not_json_is_refused(write):
    with pytest.raises(InvalidInput, match=r"o\.json: not valid JSON"):
        read_orders(write("o.json", "[,]"))


def test_where_fixes_come_from_and_when_they_were_sent(write):
    path = write(
        "fixes.csv",
        "driver_id,timestamp,latitude,longitude,provider,mock,sent_at\n"
        "A,1737369000,25,121,GPS,,\nA,1737369001,25,121,,1,1737369002\nA,1737369002,25,121,,,\n",
    )
    fixes = read_fixes(path)
    assert fixes.source.tolist() == [1, 8, 0]
    np.testing.assert_array_equal(fixes.sent_at, [np.nan, T0 + 2, np.nan])
    with pytest.raises(InvalidInput, match=r'fixes\.csv:2: mock: "perhaps" is neither true nor false'):
        read_fixes(write("fixes.csv", "driver_id,timestamp,latitude,longitude,mock\nA,1737369000,25,121,perhaps\n"))
