"""One person's data, deleted: what remains of a driver or a customer is what an order needs to be counted."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from api.services import Services
from storage.erasing import of_customer, of_driver
from storage.store import Commit, Committed, Store
from tracker.errors import Conflict
from tracker.records import Destination, Order, Route

FORGOTTEN = "forgotten"
"""The customer of an order whose customer was forgotten."""
_PAGE = 1000
Put = Callable[[Commit], Awaitable[Committed]]


async def forget_driver(store: Store, put: Put, driver_id: str) -> dict[str, int]:
    """Delete a driver's data; returns how many rows of each table that were. Raises Conflict."""
    orders = await _orders(store, driver_id=driver_id)
    _check_ended(orders, "driver")
    save = [replace(order, driver_id=None, former=None) for order in orders]
    committed = await put(Commit(save=save, erase=of_driver(driver_id)))
    return dict(committed.erased) | {"orders": len(save)}


async def forget_customer(store: Store, put: Put, customer_id: str) -> dict[str, int]:
    """Delete a customer's data; their orders stay without what is personal. Raises Conflict."""
    orders = await _orders(store, customer_id=customer_id)
    _check_ended(orders, "customer")
    save = [_impersonal(order) for order in orders]
    committed = await put(Commit(save=save, erase=of_customer(customer_id, [order.order_id for order in orders])))
    return dict(committed.erased) | {"orders": len(save)}


async def forget_live_driver(services: Services, driver_id: str) -> dict[str, int]:
    """In a running server, which must not know him any more either. Raises Conflict."""
    routes = await services.store.find(Route, driver_id=driver_id)
    deleted = await forget_driver(services.store, services.writer.put, driver_id)
    for route in routes:
        services.engine.remove_route(route.route_id)
    services.engine.forget(driver_id)
    return deleted


async def _orders(store: Store, **of: str) -> list[Order]:
    found: list[Order] = []
    while page := await store.find(Order, **of, after=found[-1].order_id if found else None, limit=_PAGE):
        found += page
    return found


def _check_ended(orders: list[Order], whose: str) -> None:
    open_orders = [order.order_id for order in orders if not order.ended]
    if open_orders:
        raise Conflict(
            f"This {whose} has {len(open_orders)} orders that have not ended, "
            f"such as {open_orders[0]!r}; end them first."
        )


def _impersonal(order: Order) -> Order:
    """Without who and where: the place to about a kilometre."""
    place = order.destination
    if place.latitude is None or place.longitude is None:
        ring = place.coordinates
        while isinstance(ring, list) and ring and isinstance(ring[0], list):
            ring = ring[0]
        longitude, latitude = (ring or [0.0, 0.0])[:2]
    else:
        latitude, longitude = place.latitude, place.longitude
    return replace(
        order,
        customer_id=FORGOTTEN,
        customer_name=None,
        address=None,
        products=[],
        details=None,
        destination=Destination(
            latitude=round(latitude, 2), longitude=round(longitude, 2), radius=place.radius or 1000.0
        ),
    )
