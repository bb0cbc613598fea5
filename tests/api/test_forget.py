"""Orders outlive a person, without them."""

import numpy as np
import pytest
from msgspec.structs import replace

from api.forget import FORGOTTEN, forget_customer, forget_driver
from storage import Commit, open_store
from storage.erasing import of_models
from storage.store import StoredModel
from tests.storage.test_rows import ORDER
from tests.tracks import run
from tracker.corridors import between
from tracker.errors import Conflict
from tracker.eta_model import place_of
from tracker.learned_bytes import from_bytes, to_bytes
from tracker.learning import Learned
from tracker.records import Destination, Order
from tracker.shapes import centre

SQUARE = [[[121.512, 25.031], [121.52, 25.031], [121.52, 25.04], [121.512, 25.031]]]


@pytest.fixture
async def store(sqlite_url: str):
    store = open_store(sqlite_url)
    await store.open()
    ended = replace(ORDER, status="delivered", driver_id="D1", customer_id="C1")
    area = Destination(type="Polygon", coordinates=SQUARE)
    orders = [ended, replace(ended, order_id="O2", destination=area, customer_name="Lin", address="No. 1")]
    await store.commit(Commit(save=orders, track=run("D1", [1, 2])))
    yield store
    await store.close()


async def test_a_forgotten_driver_is_in_no_order(store):
    assert (await forget_driver(store, store.commit, "D1"))["orders"] == 2
    assert await store.find(Order, driver_id="D1") == []
    assert {order.customer_id for order in await store.find(Order)} == {"C1"}
    assert set((await forget_driver(store, store.commit, "D1")).values()) == {0}


async def models(store) -> int:
    return (await store.commit(Commit(erase=of_models(99)))).erased["eta_models"]


async def test_a_forgotten_driver_is_in_no_model(store):
    learned = Learned()
    for driver_id in ("D1", "D2"):
        learned.add_stop(driver_id, "25.0,121.5", 77.0)
    for version in (1, 2):
        await store.commit(Commit(eta_models=[StoredModel(version, 0.0, 1, to_bytes(learned))]))
    assert (await forget_driver(store, store.commit, "D1"))["eta_models"] == 2
    newest = await store.eta_model()
    assert (newest.version, list(from_bytes(newest.model).by_driver)) == (3, ["D2"])
    assert (await forget_driver(store, store.commit, "D1"))["eta_models"] == 0
    assert await models(store) == 1


async def test_no_model_knows_where_a_forgotten_customer_lives(store):
    learned = Learned()
    home = centre(ORDER.destination)
    ways = [(home, np.linspace(0.01, 0.0, 200)), ((25.3, 121.5), np.linspace(0.01, 0.0, 200))]
    for place, off in ways:
        learned.add_trip(np.arange(0.0, 1000.0, 5.0), place[0] + off, np.full(200, place[1]))
        learned.add_stop("D1", place_of(*place), 77.0)
    await store.commit(Commit(eta_models=[StoredModel(1, 0.0, 1, to_bytes(learned))]))
    assert (await forget_customer(store, store.commit, "C1"))["eta_models"] == 1
    left = from_bytes((await store.eta_model()).model)
    assert list(left.by_place) == [place_of(25.3, 121.5)]
    assert between(left.corridors, (home[0] + 0.01, home[1]), home) is None
    assert between(left.corridors, (25.31, 121.5), (25.3, 121.5)) is not None


async def test_a_model_that_cannot_be_read_is_forgotten_with_a_driver(store):
    await store.commit(Commit(eta_models=[StoredModel(7, 0.0, 1, b"of another program")]))
    assert (await forget_driver(store, store.commit, "D1"))["eta_models"] == 1
    assert await store.eta_model() is None


async def test_a_forgotten_customer_leaves_a_place_to_a_kilometre(store):
    assert (await forget_customer(store, store.commit, "C1"))["orders"] == 2
    orders = await store.find(Order, customer_id=FORGOTTEN)
    assert [order.order_id for order in orders] == ["O1", "O2"]
    for order in orders:
        assert order.customer_name is order.address is order.details is None
        assert order.destination.latitude == round(order.destination.latitude, 2)
    assert (orders[1].destination.latitude, orders[1].destination.longitude) == (25.03, 121.51)


@pytest.mark.parametrize("forget", [forget_driver, forget_customer])
async def test_open_orders_have_to_end_first(store, forget):
    await store.commit(Commit(save=[replace(ORDER, order_id="O3", driver_id="D1", customer_id="C1")]))
    with pytest.raises(Conflict, match="1 orders that have not ended, such as 'O3'"):
        await forget(store, store.commit, "D1" if forget is forget_driver else "C1")
    assert len((await store.track("D1", 0, 2e9)).fix_time) == 2
