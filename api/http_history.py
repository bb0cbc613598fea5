"""Questions to history that start from a moment or a place: where a driver was, who passed here, who was inside."""

import math
from itertools import groupby
from typing import Any

from starlette.responses import Response

from api.bodies import read_geofence
from api.http_requests import GEOJSON, Call, Page, respond
from api.http_tracks import LONGEST_S, check_period, of_driver
from geo.fences import Area, Circle, check
from storage.store import Fix, Pass
from tracker.codec import iso
from tracker.errors import InvalidInput, NotAllowed, NotFound
from tracker.records import Geofence
from tracker.shapes import geofence_shape

RADIUS_M, LARGEST_M = 100.0, 50_000.0
"""Of `near`: where none is given; the largest."""
_EDGE = 60.0
"""Degrees of a box's edge that are drawn as one line."""


async def get_position(call: Call) -> Response:
    """Where a driver was `at` a time, between the fixes before and after it."""
    driver_id = of_driver(call)
    at = call.time("at")
    if at is None:
        raise InvalidInput("at: say when, such as 2025-01-20T10:30:00Z", field="at")
    found = await call.services.store.position(driver_id, at)
    before, after = found.before, found.after
    if before is None and after is None:
        raise NotFound(f"Nothing is known of a driver {driver_id!r}; they have not reported yet.")
    if before is None or after is None:
        measured = before is not None and before.fix_time == at
        status = "measured" if measured else "before_first" if before is None else "after_last"
    else:
        status = "silent" if math.isnan(found.latitude) else "between"
    body = {
        "driver_id": driver_id,
        "at": iso(at),
        "status": status,
        "latitude": round(found.latitude, 7),  # NaN is written as null
        "longitude": round(found.longitude, 7),
        "gap_s": round(after.fix_time - before.fix_time, 3) if before and after else None,
        "before": _fix(before),
        "after": _fix(after),
    }
    return respond(body)


async def list_passes(call: Call) -> Response:
    """Who was in a box, or within a radius of a point, in [from, to): each visit, oldest first."""
    near, box = call.query("near"), call.query("bbox")
    if (near is None) == (box is None):
        raise InvalidInput("near: give either near=latitude,longitude and radius, or bbox", field="near")
    shape = _circle(call, near) if near is not None else _box(box or "")
    page = Page.of(call)
    passes = await _passes(call, shape)
    place = None if page.cursor is None else _place(page.cursor)
    past = [p for p in passes if place is None or (p.entered_at, p.driver_id) > place]
    found, link = page.split(past, lambda p: f"{p.entered_at!r}_{p.driver_id}")
    bodies = [_pass(p) for p in found]
    if call.wants_geojson():
        return respond(
            {"type": "FeatureCollection", "features": list(map(_feature, bodies)), "next": link}, media_type=GEOJSON
        )
    return respond({"passes": bodies, "next": link})


async def list_inside_geofence(call: Call) -> Response:
    """Which drivers were inside a geofence in [from, to), and for how long; by driver_id."""
    geofence = await call.services.store.get(Geofence, _geofence_id(call))
    if geofence is None:
        raise NotFound(f"There is no geofence {call.query('geofence')!r}.")
    return await _inside(call, geofence_shape(geofence))


async def list_inside_area(call: Call) -> Response:
    """Which drivers were inside the area of the body in [from, to), and for how long; by driver_id."""
    return await _inside(call, _area(await call.json()))


async def _inside(call: Call, shape: Circle | Area) -> Response:
    page = Page.of(call)
    passes = sorted(await _passes(call, shape), key=lambda p: p.driver_id)  # stable: by entered_at of each
    visits = [(driver_id, list(group)) for driver_id, group in groupby(passes, lambda p: p.driver_id)]
    past = [item for item in visits if page.cursor is None or item[0] > page.cursor]
    found, link = page.split(past, lambda item: item[0])
    drivers = [
        {
            "driver_id": driver_id,
            "seconds": round(sum(p.left_at - p.entered_at for p in group), 3),
            "visits": [_visit(p) for p in group],
        }
        for driver_id, group in found
    ]
    return respond({"drivers": drivers, "next": link})


async def _passes(call: Call, shape: Circle | Area) -> list[Pass]:
    """The visits in the time of the query that the viewer may know of: a driver's are their own."""
    viewer = call.viewer
    if not viewer.is_office and (viewer.role != "driver" or viewer.driver_id is None):
        raise NotAllowed("Only the office sees who was where; a driver sees themselves.")
    start, end = call.time("from"), call.time("to")
    for name, value in (("from", start), ("to", end)):
        if value is None:
            raise InvalidInput(f"{name}: say from when to when, such as from=2025-01-20T00:00:00Z", field=name)
    assert start is not None
    assert end is not None
    check_period(start, end, LONGEST_S)
    only = call.query("driver") if viewer.is_office else viewer.driver_id
    return [p for p in await call.services.store.passes(shape, start, end) if only is None or p.driver_id == only]


def _circle(call: Call, near: str) -> Circle | Area:
    latitude, longitude = _numbers(near, 2, "near: give latitude,longitude", "near")
    (radius,) = _numbers(call.query("radius") or f"{RADIUS_M}", 1, "radius: metres", "radius")
    if not 0.0 < radius <= LARGEST_M:
        raise InvalidInput(f"radius: metres, more than 0 and at most {LARGEST_M:g}", field="radius")
    return _checked(Circle(latitude, longitude, radius), "near")


def _box(text: str) -> Circle | Area:
    """minLon,minLat,maxLon,maxLat as in RFC 7946: the first longitude is larger across the antimeridian."""
    west, south, east, north = _numbers(text, 4, "bbox: give minLon,minLat,maxLon,maxLat", "bbox")
    if not (abs(west) <= 180 and abs(east) <= 180 and -90 <= south < north <= 90 and west != east):
        raise InvalidInput("bbox: minLon,minLat,maxLon,maxLat of an area, in degrees", field="bbox")
    width = east - west if east > west else east - west + 360.0
    if width > 350.0:
        raise InvalidInput("bbox: at most 350 degrees of longitude", field="bbox")
    pieces = math.ceil(width / _EDGE)
    across = [(west + width * i / pieces + 180.0) % 360.0 - 180.0 for i in range(1, pieces)]
    across = [west, *across, east]
    ring = [*([x, south] for x in across), *([x, north] for x in reversed(across)), [west, south]]
    return _checked(Area([[ring]]), "bbox")


def _area(body: Any) -> Circle | Area:
    """A GeoJSON Feature as for a geofence, or its geometry alone."""
    if isinstance(body, dict) and body.get("type") != "Feature":
        body = {"type": "Feature", "geometry": body}
    return _checked(geofence_shape(read_geofence("body", body)), "geometry")


def _checked(shape: Circle | Area, field: str) -> Circle | Area:
    try:
        check(shape)
    except ValueError as error:
        raise InvalidInput(f"{field}: {error}", field=field) from None
    return shape


def _geofence_id(call: Call) -> str:
    geofence_id = call.query("geofence")
    if geofence_id is None:
        raise InvalidInput("geofence: say which, or POST a GeoJSON area", field="geofence")
    return geofence_id


def _numbers(text: str, count: int, sentence: str, field: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise InvalidInput(sentence, field=field)
    return numbers


def _place(cursor: str) -> tuple[float, str]:
    entered_at, _, driver_id = cursor.partition("_")
    try:
        return float(entered_at), driver_id
    except ValueError:
        raise InvalidInput("cursor: follow the link in next as it is", field="cursor") from None


def _visit(p: Pass) -> dict[str, Any]:
    return {
        "entered_at": iso(p.entered_at),
        "left_at": iso(p.left_at),
        "seconds": round(p.left_at - p.entered_at, 3),
        "entered": p.entered,
        "left": p.left,
        "gap_s": round(p.gap_s, 3),
    }


def _pass(p: Pass) -> dict[str, Any]:
    closest = {} if math.isnan(p.distance) else {"closest_at": iso(p.closest_at), "distance": round(p.distance, 2)}
    place = {"latitude": round(p.latitude, 7), "longitude": round(p.longitude, 7)}
    return {"driver_id": p.driver_id} | _visit(p) | closest | place


def _feature(body: dict[str, Any]) -> dict[str, Any]:
    place = [body.pop("longitude"), body.pop("latitude")]
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": place}, "properties": body}


def _fix(fix: Fix | None) -> dict[str, Any] | None:
    if fix is None:
        return None
    return {
        "timestamp": iso(fix.fix_time),
        "latitude": round(fix.latitude, 7),
        "longitude": round(fix.longitude, 7),
        "speed": round(fix.speed, 2),
        "heading": round(fix.course, 1),
        "accuracy": round(fix.accuracy, 1),
    }
