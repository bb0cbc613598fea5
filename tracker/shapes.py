"""From the shapes of geofences and destinations to areas on earth."""

import numpy as np

from geo.fences import Area, Circle, check
from tracker.errors import InvalidInput
from tracker.records import Destination, Geofence


def destination_shape(destination: Destination, default_radius_m: float) -> Circle | Area:
    """Where an order's driver is at its destination. Raises InvalidInput."""
    shape: Circle | Area
    if destination.coordinates is not None:
        shape = Area(_polygons(destination.type, destination.coordinates))
    elif destination.latitude is None or destination.longitude is None:
        raise InvalidInput("destination: give latitude and longitude, or a Polygon", field="destination")
    else:
        shape = Circle(destination.latitude, destination.longitude, destination.radius or default_radius_m)
    try:
        check(shape)
    except ValueError as error:
        raise InvalidInput(f"destination: {error}", field="destination") from None
    return shape


def geofence_shape(geofence: Geofence) -> Circle | Area:
    """The area a geofence watches. Raises InvalidInput."""
    if geofence.type != "Point":
        return Area(_polygons(geofence.type, geofence.coordinates))
    if geofence.radius is None:
        raise InvalidInput("radius: a Point needs one, in metres", field="radius")
    longitude, latitude = geofence.coordinates[:2]
    return Circle(latitude, longitude, geofence.radius)


def centre(destination: Destination) -> tuple[float, float]:
    """Latitude and longitude of the middle of a destination."""
    if destination.coordinates is None:
        assert destination.latitude is not None
        assert destination.longitude is not None
        return destination.latitude, destination.longitude
    rings = [polygon[0] for polygon in _polygons(destination.type, destination.coordinates)]
    longitude, latitude = np.concatenate([np.asarray(ring, np.float64)[:-1, :2] for ring in rings]).T
    return float(latitude.mean()), float(longitude.mean())


def _polygons(kind: str | None, coordinates: list) -> list:  # type: ignore[type-arg]
    return [coordinates] if kind == "Polygon" else coordinates
