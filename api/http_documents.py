"""Orders, geofences and routes over HTTP."""

from typing import Any

import msgspec
from starlette.responses import Response

from api.http_requests import GEOJSON, Call, Page, respond
from tracker.codec import iso
from tracker.errors import NotAllowed, NotFound
from tracker.records import Geofence, Order, Route

_ORDER_TIMES = ("created_at", "assigned_at", "approaching_at", "arrived_at", "departed_at")

# Orders


async def put_order(call: Call) -> Response:
    """Add or replace an order."""
    order, new = await call.services.office.put_order(
        call.viewer, call.id("order_id"), await call.json(), call.services.clock()
    )
    return respond(_order(call, order), 201 if new else 200)


async def get_order(call: Call) -> Response:
    """One order."""
    return respond(_order(call, await call.services.office.order(call.viewer, call.id("order_id"))))


async def delete_order(call: Call) -> Response:
    """Delete an order."""
    await call.services.office.remove_order(call.viewer, call.id("order_id"), call.services.clock())
    return Response(status_code=204)


async def list_orders(call: Call) -> Response:
    """Orders by id; a driver and a customer get their own."""
    page = Page.of(call)
    filters = {"driver_id": call.query("driver"), "customer_id": call.query("customer")}
    if not call.viewer.is_office:
        filters[f"{call.viewer.role}_id"] = _own_id(call)
    found = await call.services.store.find(Order, **filters, after=page.cursor, limit=page.limit + 1)
    orders, link = page.split(found, lambda order: order.order_id)
    return respond({"orders": [_order(call, order) for order in orders], "next": link})


def _order(call: Call, order: Order) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(order)
    del body["former"]
    for name in _ORDER_TIMES:
        body[name] = None if body[name] is None else iso(body[name])
    return body | expected(call, order.order_id)


def expected(call: Call, order_id: str) -> dict[str, str]:
    """When the driver of an order is expected: `eta`, `eta_low`, `eta_high`; nothing where that is not known."""
    eta = call.services.engine.eta(order_id)
    if eta is None:
        return {}
    low, middle, high = eta
    return {"eta": iso(middle), "eta_low": iso(low), "eta_high": iso(high)}


# Geofences


async def put_geofence(call: Call) -> Response:
    """Add or replace a geofence."""
    geofence, new = await call.services.office.put_geofence(call.viewer, call.id("geofence_id"), await call.json())
    return respond(_feature(geofence), 201 if new else 200, GEOJSON)


async def get_geofence(call: Call) -> Response:
    """One geofence, as a Feature."""
    _check_office(call)
    geofence = await call.services.store.get(Geofence, call.id("geofence_id"))
    if geofence is None:
        raise NotFound(f"There is no geofence {call.id('geofence_id')!r}.")
    return respond(_feature(geofence), media_type=GEOJSON)


async def delete_geofence(call: Call) -> Response:
    """Delete a geofence."""
    await call.services.office.remove_geofence(call.viewer, call.id("geofence_id"))
    return Response(status_code=204)


async def list_geofences(call: Call) -> Response:
    """Geofences by id, as a FeatureCollection."""
    _check_office(call)
    page = Page.of(call)
    found = await call.services.store.find(Geofence, after=page.cursor, limit=page.limit + 1)
    geofences, link = page.split(found, lambda geofence: geofence.geofence_id)
    features = [_feature(geofence) for geofence in geofences]
    return respond({"type": "FeatureCollection", "features": features, "next": link}, media_type=GEOJSON)


def _feature(geofence: Geofence) -> dict[str, Any]:
    feature: dict[str, Any] = {
        "type": "Feature",
        "id": geofence.geofence_id,
        "geometry": {"type": geofence.type, "coordinates": geofence.coordinates},
        "properties": geofence.properties,
    }
    return feature if geofence.radius is None else feature | {"radius": geofence.radius}


# Routes


async def put_route(call: Call) -> Response:
    """Add or replace a route."""
    route, new = await call.services.office.put_route(
        call.viewer, call.id("route_id"), await call.json(), call.services.clock()
    )
    return respond(_route(call, route), 201 if new else 200)


async def get_route(call: Call) -> Response:
    """One route; a driver may see their own."""
    route = await call.services.store.get(Route, call.id("route_id"))
    if not call.viewer.is_office and (route is None or call.viewer.driver_id != route.driver_id):
        raise NotAllowed("This is not a route of yours.")  # also where there is none: ids cannot be probed
    if route is None:
        raise NotFound(f"There is no route {call.id('route_id')!r}.")
    return respond(_route(call, route))


async def delete_route(call: Call) -> Response:
    """Delete a route."""
    await call.services.office.remove_route(call.viewer, call.id("route_id"), call.services.clock())
    return Response(status_code=204)


async def list_routes(call: Call) -> Response:
    """Routes by id; a driver gets their own."""
    page = Page.of(call)
    driver_id = call.query("driver")
    if not call.viewer.is_office:
        if call.viewer.role != "driver":
            raise NotAllowed("Only drivers and the office see routes.")
        driver_id = _own_id(call)
    found = await call.services.store.find(Route, driver_id=driver_id, after=page.cursor, limit=page.limit + 1)
    routes, link = page.split(found, lambda route: route.route_id)
    return respond({"routes": [_route(call, route) for route in routes], "next": link})


def _route(call: Call, route: Route) -> dict[str, Any]:
    """A route, and when its driver is expected at its stops, where that is known."""
    path = None if route.path is None else {"type": "LineString", "coordinates": route.path}
    body = {"route_id": route.route_id, "driver_id": route.driver_id, "stops": route.stops, "path": path}
    ahead = [{"order_id": order_id} | expected(call, order_id) for order_id in route.stops]
    ahead = [stop for stop in ahead if "eta" in stop]
    return body | {"expected": ahead} if ahead else body


# Rights


def _own_id(call: Call) -> str:
    """Who a driver or customer is; what they ask of others is refused. Raises NotAllowed."""
    own = call.viewer.own_id
    if own is None or call.query(call.viewer.role) not in (None, own):
        raise NotAllowed(f"A {call.viewer.role} sees only what is their own.")
    return own


def _check_office(call: Call) -> None:
    if not call.viewer.is_office:
        raise NotAllowed("Only the office sees geofences.")
