"""Bodies become records, and a wrong one is refused with the field that is wrong."""

import pytest

from api.bodies import read_geofence, read_order, read_route
from tracker.errors import InvalidInput
from tracker.records import Destination

SQUARE = [[[121.5, 25.0], [121.6, 25.0], [121.6, 25.1], [121.5, 25.0]]]


def order(**changes):
    return {"customer_id": "CUST456", "destination": {"latitude": 25.033, "longitude": 121.5654}} | changes


def feature(geometry, **members):
    return {"type": "Feature", "geometry": geometry, "properties": None} | members


def test_an_order_keeps_what_the_body_says():
    body = order(
        driver_id="DRIVER789",
        customer_name="王小明",
        address="台北市大安區信義路100號",
        products=[{"name": "20kg 瓦斯桶", "quantity": 1}],
        window=["2025-01-20T12:00:00+08:00", "2025-01-20T10:00:00Z"],
        status="assigned",
        something_new=True,
    )
    result = read_order("ORDER123", body)
    assert result.order_id == "ORDER123"
    assert result.customer_name == "王小明"
    assert result.products == [{"name": "20kg 瓦斯桶", "quantity": 1}]
    assert result.destination == Destination(latitude=25.033, longitude=121.5654)
    assert result.driver_id == "DRIVER789"


def test_an_order_may_go_to_a_polygon():
    result = read_order("O", order(destination={"type": "Polygon", "coordinates": SQUARE}))
    assert result.destination == Destination(type="Polygon", coordinates=SQUARE)


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        ({"destination": {}}, "customer_id", "customer_id: is required"),
        (order(customer_id=""), "customer_id", "length"),
        (order(destination={"latitude": 91, "longitude": 0}), "destination.latitude", "<= 90.0"),
        (order(destination={"latitude": "abc", "longitude": 0}), "destination.latitude", "expected `float`"),
        (order(destination={"latitude": 25}), "destination.longitude", "is required"),
        (order(destination={"latitude": 25, "longitude": 121, "radius": 0}), "destination.radius", "> 0"),
        (order(destination={"type": "LineString", "coordinates": []}), "destination.type", "LineString"),
        (order(products="a bottle"), "products", "array"),
        (order(window=["tomorrow", "later"]), "window", "window: "),
        (order(window=["2025-01-20T12:00:00Z", "2025-01-20T10:00:00Z"]), "window", "before its start"),
        (["not an object"], "body", "expected `object`"),
    ],
)
def test_a_wrong_order_names_its_field(body, field, sentence):
    with pytest.raises(InvalidInput, match=sentence) as caught:
        read_order("O", body)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "body",
    [
        feature({"type": "Point", "coordinates": [121.5, 25.0]}, radius=80),
        feature({"type": "Point", "coordinates": [121.5, 25.0], "radius": 80}),
        feature({"type": "Point", "coordinates": [121.5, 25.0, 12.0]}, properties={"radius": 80}),
    ],
)
def test_a_point_has_its_radius_wherever_geojson_lets_it_be(body):
    result = read_geofence("depot-1", body)
    assert (result.type, result.coordinates, result.radius) == ("Point", [121.5, 25.0], 80.0)


def test_a_multipolygon_keeps_its_rings_and_properties():
    body = feature({"type": "MultiPolygon", "coordinates": [SQUARE, SQUARE]}, properties={"name": "倉庫"})
    result = read_geofence("depot-1", body)
    assert result.coordinates == [SQUARE, SQUARE]
    assert result.properties == {"name": "倉庫"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (feature({"type": "Point", "coordinates": [121.5, 25.0]}), "radius"),
        (feature({"type": "Point", "coordinates": [121.5, 25.0]}, properties={"radius": "wide"}), "properties.radius"),
        (feature({"type": "Polygon", "coordinates": [SQUARE[0][:3]]}), "geometry.coordinates[0]"),
        (feature({"type": "Polygon", "coordinates": [[*SQUARE[0][:3], [0, 0]]]}), "geometry.coordinates"),
        (feature({"type": "Polygon", "coordinates": [[[200, 0]] * 4]}), "geometry.coordinates[0][0][0]"),
        ({"type": "Feature"}, "geometry"),
        ({"type": "FeatureCollection", "features": []}, "type"),
    ],
)
def test_a_wrong_geofence_names_its_field(body, field):
    with pytest.raises(InvalidInput) as caught:
        read_geofence("depot-1", body)
    assert caught.value.field == field


def test_a_route_keeps_stops_and_path():
    path = {"type": "LineString", "coordinates": [[121.5, 25.0, 3.0], [121.6, 25.1]]}
    result = read_route("R1", {"driver_id": "D", "stops": ["A", "B"], "path": path})
    assert (result.driver_id, result.stops, result.path) == ("D", ["A", "B"], [[121.5, 25.0], [121.6, 25.1]])
    assert read_route("R1", {"driver_id": "D", "stops": []}).path is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"driver_id": "D", "stops": ["A", "A"]}, "stops"),
        ({"driver_id": "D", "stops": [7]}, "stops[0]"),
        ({"driver_id": "D", "stops": [], "path": {"type": "LineString", "coordinates": [[0, 0]]}}, "path.coordinates"),
    ],
)
def test_a_wrong_route_names_its_field(body, field):
    with pytest.raises(InvalidInput) as caught:
        read_route("R1", body)
    assert caught.value.field == field


@pytest.mark.parametrize("order_id", ["", "a\x00b", "a\n", "x" * 201])
def test_an_id_is_a_short_printable_text(order_id):
    assert read_order("訂單 1/2", order()).order_id == "訂單 1/2"
    with pytest.raises(InvalidInput) as caught:
        read_order(order_id, order())
    assert caught.value.field == "order_id"
