import pytest

from geo.fences import Area, Circle
from tracker.errors import InvalidInput
from tracker.records import Destination, Geofence
from tracker.shapes import centre, destination_shape, geofence_shape

RING = [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [0.0, 0.0]]


def test_a_point_gets_the_radius_it_names_or_the_default() -> None:
    assert destination_shape(Destination(latitude=1.0, longitude=2.0), 50.0) == Circle(1.0, 2.0, 50.0)
    assert destination_shape(Destination(latitude=1.0, longitude=2.0, radius=9.0), 50.0) == Circle(1.0, 2.0, 9.0)
    assert geofence_shape(Geofence(geofence_id="g", type="Point", coordinates=[2.0, 1.0], radius=9.0)) == Circle(
        1.0, 2.0, 9.0
    )


def test_polygons_and_multipolygons_are_areas() -> None:
    one = Destination(type="Polygon", coordinates=[RING])
    many = Destination(type="MultiPolygon", coordinates=[[RING]])
    assert destination_shape(one, 50.0) == destination_shape(many, 50.0) == Area([[RING]])
    assert centre(one) == centre(many) == (1.0, 1.0)
    assert centre(Destination(latitude=1.0, longitude=2.0)) == (1.0, 2.0)


def test_a_shape_without_a_place_is_refused() -> None:
    with pytest.raises(InvalidInput, match="destination"):
        destination_shape(Destination(latitude=1.0), 50.0)
    with pytest.raises(InvalidInput, match="radius"):
        geofence_shape(Geofence(geofence_id="g", type="Point", coordinates=[2.0, 1.0]))


def test_a_polygon_that_crosses_itself_is_no_destination() -> None:
    crossed = [[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [0.0, 2.0], [0.0, 0.0]]
    with pytest.raises(InvalidInput, match="destination: The polygon is not valid") as caught:
        destination_shape(Destination(type="Polygon", coordinates=[crossed]), 50.0)
    assert caught.value.field == "destination"
