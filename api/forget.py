"""One person's data, deleted: what remains of a driver or a customer is what an order needs to be counted."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from api.learning import load_model
from api.services import Services
from geo.eta import UnfitModel
from storage.erasing import of_customer, of_driver, of_models
from storage.store import Commit, Committed, Store, StoredModel
from tracker.errors import Conflict
from tracker.learned_bytes import from_bytes, to_bytes
from tracker.learning import Learned
from tracker.records import Destination, Order, Route
from tracker.shapes import centre

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
    models = await _unlearn(store, put, lambda learned: learned.forget_driver(driver_id))
    return dict(committed.erased) | {"orders": len(save), "eta_models": models}


async def forget_customer(store: Store, put: Put, customer_id: str) -> dict[str, int]:
    """Delete a customer's data; their orders stay without what is personal. Raises Conflict."""
    orders = await _orders(store, customer_id=customer_id)
    _check_ended(orders, "customer")
    save = [_impersonal(order) for order in orders]
    committed = await put(Commit(save=save, erase=of_customer(customer_id, [order.order_id for order in orders])))
    places = [centre(order.destination) for order in orders]
    models = await _unlearn(store, put, lambda learned: sum(learned.forget_place(*place) for place in places) > 0)
    return dict(committed.erased) | {"orders": len(save), "eta_models": models}


async def forget_live_driver(services: Services, driver_id: str) -> dict[str, int]:
    """In a running server, which must not know him any more either. Raises Conflict."""
    routes = await services.store.find(Route, driver_id=driver_id)
    deleted = await _learned_anew(services, forget_driver(services.store, services.writer.put, driver_id))
    for route in routes:
        services.engine.remove_route(route.route_id)
    services.engine.forget(driver_id)
    return deleted


async def forget_live_customer(services: Services, customer_id: str) -> dict[str, int]:
    """In a running server. Raises Conflict."""
    return await _learned_anew(services, forget_customer(services.store, services.writer.put, customer_id))


async def _learned_anew(services: Services, forgetting: Awaitable[dict[str, int]]) -> dict[str, int]:
    """Predict by what is left of what was learned."""
    async with services.teacher.turn:
        deleted = await forgetting
        if deleted["eta_models"]:
            await load_model(services)
    return deleted


async def _unlearn(store: Store, put: Put, forget: Callable[[Learned], bool]) -> int:
    """Have something in no ETA model any more; how many knew of it. A model that cannot be read goes, too."""
    stored = await store.eta_model()
    if stored is None:
        return 0
    try:
        learned = await asyncio.to_thread(from_bytes, stored.model)
    except UnfitModel:
        return (await put(Commit(erase=of_models(stored.version)))).erased["eta_models"]
    if not forget(learned):
        return 0
    data = await asyncio.to_thread(to_bytes, learned)
    model = StoredModel(stored.version + 1, stored.created_at, stored.trips, data)
    return (await put(Commit(eta_models=[model], erase=of_models(stored.version)))).erased["eta_models"]


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
