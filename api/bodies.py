"""The bodies of orders, geofences and routes, as HTTP and the offline tools take them, to records."""

import re
from typing import Annotated, Any

import msgspec

from tracker.codec import parse_time
from tracker.errors import InvalidInput
from tracker.records import Destination, Geofence, Order, Route

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
Radius = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]  # metres


class _Position(msgspec.Struct, array_like=True):
    longitude: Longitude
    latitude: Latitude  # an altitude after it is ignored


_Ring = Annotated[list[_Position], msgspec.Meta(min_length=4)]
_Rings = Annotated[list[_Ring], msgspec.Meta(min_length=1)]


class _Point(msgspec.Struct, tag_field="type", tag="Point"):
    coordinates: _Position
    radius: Radius | None = None


class _Polygon(msgspec.Struct, tag_field="type", tag="Polygon"):
    coordinates: _Rings


class _MultiPolygon(msgspec.Struct, tag_field="type", tag="MultiPolygon"):
    coordinates: Annotated[list[_Rings], msgspec.Meta(min_length=1)]


class _LineString(msgspec.Struct, tag_field="type", tag="LineString"):
    coordinates: Annotated[list[_Position], msgspec.Meta(min_length=2)]


class FeatureBody(msgspec.Struct, tag_field="type", tag="Feature"):
    """A geofence: a GeoJSON Feature with a Polygon, a MultiPolygon, or a Point with a radius in metres."""

    geometry: _Point | _Polygon | _MultiPolygon
    radius: Radius | None = None
    properties: dict[str, Any] | None = None


class _Radius(msgspec.Struct):
    radius: Radius | None = None


class _Circle(msgspec.Struct):
    latitude: Latitude
    longitude: Longitude
    radius: Radius | None = None


class OrderBody(msgspec.Struct):
    """An order; its destination is a point with a radius in metres, or a GeoJSON polygon."""

    customer_id: Id
    destination: dict[str, Any]
    driver_id: Id | None = None
    status: Id = "assigned"
    customer_name: str | None = None
    address: str | None = None
    products: list[Any] | None = None
    window: Annotated[list[str], msgspec.Meta(min_length=2, max_length=2)] | None = None
    delivery_date: str | None = None
    details: dict[str, Any] | None = None
    created_at: str | float | None = None


class RouteBody(msgspec.Struct):
    """The orders a driver goes to, in order, and the path between them where it is planned."""

    driver_id: Id
    stops: list[Id]
    path: _LineString | None = None


def read_order(order_id: str, body: Any) -> Order:
    """An order from its JSON body; 0 for a `created_at` that is not given. Raises InvalidInput with the field."""
    given = _convert(body, OrderBody)
    _check_window(given.window)
    return Order(
        order_id=_convert(order_id, Id, "order_id"),
        customer_id=given.customer_id,
        destination=_destination(given.destination),
        driver_id=given.driver_id,
        status=given.status,
        customer_name=given.customer_name,
        address=given.address,
        products=given.products or [],
        window=given.window,
        delivery_date=given.delivery_date,
        details=given.details,
        created_at=_time(given.created_at, "created_at"),
    )


def read_geofence(geofence_id: str, feature: Any) -> Geofence:
    """A geofence from a GeoJSON Feature; the radius of a Point is a member of the Feature or of its properties.

    Raises InvalidInput with the field. Whether a polygon crosses itself is the engine's to find.
    """
    given = _convert(feature, FeatureBody)
    properties = given.properties or {}
    geometry = given.geometry
    radius = None
    if isinstance(geometry, _Point):
        radius = given.radius or geometry.radius or _convert(properties, _Radius, "properties").radius
        if radius is None:
            raise InvalidInput("radius: a Point needs one, in metres", field="radius")
    else:
        _check_closed(geometry, "geometry.coordinates")
    return Geofence(
        geofence_id=_convert(geofence_id, Id, "geofence_id"),
        type=geometry.__struct_config__.tag,
        coordinates=msgspec.to_builtins(geometry.coordinates),
        radius=radius,
        properties=properties,
    )


def read_route(route_id: str, body: Any) -> Route:
    """A route from its JSON body. Raises InvalidInput with the field."""
    given = _convert(body, RouteBody)
    if len(set(given.stops)) < len(given.stops):
        raise InvalidInput("stops: an order can be a stop only once", field="stops")
    return Route(
        route_id=_convert(route_id, Id, "route_id"),
        driver_id=given.driver_id,
        stops=given.stops,
        path=msgspec.to_builtins(given.path.coordinates) if given.path else None,
    )


def _destination(body: dict[str, Any]) -> Destination:
    if "type" not in body:
        circle = _convert(body, _Circle, "destination")
        return Destination(latitude=circle.latitude, longitude=circle.longitude, radius=circle.radius)
    shape = _convert(body, _Polygon | _MultiPolygon, "destination")
    _check_closed(shape, "destination.coordinates")
    kind = shape.__struct_config__.tag
    return Destination(type=kind, coordinates=msgspec.to_builtins(shape.coordinates))


def _check_closed(shape: _Polygon | _MultiPolygon, field: str) -> None:
    polygons = [shape.coordinates] if isinstance(shape, _Polygon) else shape.coordinates
    if any(ring[0] != ring[-1] for rings in polygons for ring in rings):
        raise InvalidInput(f"{field}: a ring must end at the position where it begins", field=field)


def _time(value: str | float | None, field: str) -> float:
    """Unix seconds; 0 where none is given. Raises InvalidInput."""
    if value is None:
        return 0.0
    try:
        return parse_time(str(value))
    except InvalidInput as error:
        raise InvalidInput(f"{field}: {error.message}", field=field) from None


def _check_window(window: list[str] | None) -> None:
    if window is None:
        return
    try:
        start, end = (parse_time(text) for text in window)
    except InvalidInput as error:
        raise InvalidInput(f"window: {error}", field="window") from None
    if end < start:
        raise InvalidInput("window: its end lies before its start", field="window")


def _convert(value: Any, kind: Any, where: str = "") -> Any:
    """The value as `kind`. Raises InvalidInput whose field is the path below `where`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        missing = re.fullmatch("Object missing required field `(.+)`", text)
        parts = [where, path.rstrip("`").lstrip("."), missing[1] if missing else ""]
        field = ".".join(part for part in parts if part) or "body"
        reason = "is required" if missing else text[0].lower() + text[1:]
        raise InvalidInput(f"{field}: {reason}", field=field) from None
