"""Fixes of a GeoJSON or OGC MF-JSON file: tracks with a time for each position, or points with a timestamp each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import msgspec

from tracker.errors import InvalidInput

_COLUMNS = {"speeds": "speed", "courses": "heading", "accuracies": "accuracy", "providers": "provider", "mocks": "mock"}
"""What our own tracks have beside `datetimes`, and the fields of a fix that they are."""
_TEMPORAL = {"speed": "speed", "course": "heading", "accuracy": "accuracy"}
"""The same of temporal properties."""


def read_features(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number of the feature and fields of each fix. Raises InvalidInput whose sentence begins with that number."""
    try:
        content = msgspec.json.decode(file.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f" not valid JSON: {error}") from None
    features = content.get("features") if _is_object(content, "FeatureCollection") else [content]
    if not isinstance(features, list):
        raise InvalidInput(" features: must be a list", field="features")
    for number, feature in enumerate(features, 1):
        try:
            yield from ((number, row) for row in _rows(feature))
        except (KeyError, IndexError, TypeError, AttributeError):
            raise InvalidInput(f"{number}: the feature has not the form of a track or a point") from None
        except InvalidInput as error:
            raise InvalidInput(f"{number}: {error}", field=error.field) from None


def _rows(feature: Any) -> Iterator[dict[str, Any]]:
    if not _is_object(feature, "Feature"):
        raise InvalidInput("must be a GeoJSON Feature")
    properties = feature.get("properties") or {}
    moving = feature.get("temporalGeometry")
    if moving is not None:
        yield from _moving(moving, feature.get("temporalProperties") or [], _driver(properties))
        return
    geometry = feature.get("geometry")
    if geometry is None:
        return
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Point" and "datetimes" not in properties:
        yield properties | _place(coordinates)
        return
    if kind not in ("Point", "LineString"):
        raise InvalidInput(f"a {kind} is no track; give a LineString with datetimes, or Points", field="geometry")
    columns = {name: properties[many] for many, name in _COLUMNS.items() if many in properties}
    yield from _track(
        [coordinates] if kind == "Point" else coordinates, properties.get("datetimes"), columns, _driver(properties)
    )


def _track(
    coordinates: Sequence[Any], datetimes: Any, columns: Mapping[str, Sequence[Any]], driver: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if not isinstance(datetimes, list) or any(
        len(column) != len(coordinates) for column in (datetimes, *columns.values())
    ):
        raise InvalidInput("datetimes: a track needs a time for each position", field="datetimes")
    for i, position in enumerate(coordinates):
        fields = {name: column[i] for name, column in columns.items()}
        yield driver | _place(position) | {"timestamp": datetimes[i]} | fields


def _moving(moving: Any, groups: Sequence[Any], driver: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if moving["type"] != "MovingPoint":
        raise InvalidInput(f"a {moving['type']} is no track; give a MovingPoint", field="temporalGeometry")
    measured: dict[str, dict[Any, Any]] = {}
    for group in groups:
        for name, field in _TEMPORAL.items():
            if name in group:
                measured[field] = dict(zip(group["datetimes"], group[name]["values"], strict=False))
    columns = {field: [values.get(time) for time in moving["datetimes"]] for field, values in measured.items()}
    yield from _track(moving["coordinates"], moving["datetimes"], columns, driver)


def _driver(properties: dict[str, Any]) -> dict[str, Any]:
    return {"driver_id": properties["driver_id"]} if "driver_id" in properties else {}


def _place(position: Any) -> dict[str, Any]:
    return {"longitude": position[0], "latitude": position[1]}


def _is_object(value: Any, kind: str) -> bool:
    return isinstance(value, dict) and value.get("type") == kind
