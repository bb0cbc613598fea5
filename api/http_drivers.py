"""Where drivers are, to those who may see it."""

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from api.http_documents import expected
from api.http_requests import GEOJSON, Call, Page, respond
from geo.motion import ACCURACY_PER_SIGMA
from tracker import liveness
from tracker.codec import iso
from tracker.drivers import Latest
from tracker.errors import NotAllowed, NotFound
from tracker.records import Order


async def list_drivers(call: Call) -> Response:
    """Drivers by id; everyone gets those they may see."""
    page = Page.of(call)
    latest = sorted(call.services.engine.latest(_visible_to(call)), key=lambda driver: driver.driver_id)
    past = [driver for driver in latest if page.cursor is None or driver.driver_id > page.cursor]
    drivers, link = page.split(past, lambda driver: driver.driver_id)
    bodies = [_driver(call, driver) for driver in drivers]
    if call.wants_geojson():
        features = [_feature(body) for body in bodies]
        return respond({"type": "FeatureCollection", "features": features, "next": link}, media_type=GEOJSON)
    return respond({"drivers": bodies, "next": link})


async def get_driver(call: Call) -> Response:
    """One driver."""
    driver_id = call.id("driver_id")
    visible = _visible_to(call)
    if visible is not None and driver_id not in visible:
        raise NotAllowed("You may see this driver only while they are on the way to you.")
    latest = call.services.engine.latest([driver_id])
    if not latest:
        raise NotFound(f"Nothing is known of a driver {driver_id!r}; they have not reported yet.")
    body = _driver(call, latest[0])
    return respond(_feature(body), media_type=GEOJSON) if call.wants_geojson() else respond(body)


def _visible_to(call: Call) -> set[str] | None:
    """Drivers this viewer may see; None: all."""
    viewer = call.viewer
    if viewer.is_office:
        return None
    if viewer.role == "driver":
        return {viewer.driver_id} if viewer.driver_id else set()
    orders = _own_orders(call, call.services.engine.orders.values())
    return {order.driver_id for order in orders if order.driver_id and call.services.engine.visible(order.order_id)}


def _own_orders(call: Call, orders: Iterable[Order]) -> list[Order]:
    """Those a viewer may know of: a customer their own, others all."""
    viewer = call.viewer
    return [order for order in orders if viewer.role != "customer" or order.customer_id == viewer.customer_id]


def _driver(call: Call, latest: Latest) -> dict[str, Any]:
    """The newest position, how old it is, and which order comes next and when."""
    engine = call.services.engine
    now = call.services.clock()
    age, doing = max(now - latest.fix_time, 0.0), liveness.of(latest, now, call.services.config.engine)
    orders = _own_orders(call, (engine.orders[order_id] for order_id in engine.orders_of(latest.driver_id)))
    following = orders[0].order_id if orders else None
    return {
        "driver_id": latest.driver_id,
        "latitude": round(latest.latitude, 7),
        "longitude": round(latest.longitude, 7),
        "speed": round(latest.speed, 2),  # what is not known is NaN, which is written as null
        "heading": round(latest.course, 1),
        "accuracy": round(latest.sigma * ACCURACY_PER_SIGMA, 1),
        "timestamp": iso(latest.fix_time),
        "age": round(age, 1),
        "mock": latest.mock,
        "status": doing.status,
        "since": iso(doing.since),
        "order": None if following is None else {"order_id": following} | expected(call, following),
    }


def _feature(body: dict[str, Any]) -> dict[str, Any]:
    place = [body.pop("longitude"), body.pop("latitude")]
    geometry = {"type": "Point", "coordinates": place}
    return {"type": "Feature", "id": body["driver_id"], "geometry": geometry, "properties": body}
