"""What people do: who may, what the engine and the store then know, and who hears of it; on both stores."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.site import CUSTOMER, DRIVER, OFFICE, STRANGERS, Site, order_body, said, site
from tracker.channels import Viewer
from tracker.errors import Conflict, InvalidInput, NotAllowed, NotFound, StoreUnavailable
from tracker.messages import DeliveryConfirmed
from tracker.records import Delivery, Order

TOPICS = ["orders", "order:O1", "orders@driver:D1", "orders@customer:C1", "order:O1@customer:C1"]


@pytest_asyncio.fixture
async def api(store_url: str) -> AsyncIterator[Site]:
    async with site(store_url) as api:
        yield api


async def test_who_hears_that_the_driver_is_on_his_way_hears_when_he_comes(api: Site) -> None:
    await put(api)
    await api.drive("D1", [0.0, 10.0], [5000.0, 4900.0])
    await update(api, "delivering")
    (message,) = [m for m in await said(api.services, "order:O1@customer:C1") if m.get("status") == "en_route"]
    assert message["eta_low"] < message["eta"] < message["eta_high"]
    (event,) = [e for e in await api.services.store.events(order_id="O1") if getattr(e, "kind", "") == "en_route"]
    assert isinstance(event, Delivery)
    assert event.eta is not None


async def put(api: Site, **changes: Any) -> tuple[Order, bool]:
    api.clock.now += 1
    return await api.services.office.put_order(OFFICE, "O1", order_body(**changes), api.clock.now)


async def update(api: Site, status: str, *, viewer: Viewer = DRIVER, details: dict[str, Any] | None = None) -> None:
    api.clock.now += 1
    await api.services.office.update_order(viewer, "O1", status, details, api.clock.now)


async def confirm(api: Site, viewer: Viewer = DRIVER, **fields: Any) -> None:
    api.clock.now += 1
    await api.services.office.confirm_delivery(viewer, DeliveryConfirmed(order_id="O1", **fields), api.clock.now)


async def heard(api: Site, topic: str = "orders") -> list[tuple[str, str]]:
    return [(message["type"], message["status"]) for message in await said(api.services, topic)]


async def stored(api: Site) -> Order:
    order = await api.services.store.get(Order, "O1")
    assert order is not None
    return order


async def test_a_life_of_an_order_is_announced_step_by_step_to_everyone(api: Site):
    await put(api)
    await update(api, "delivering", details={"notes": "On the way"})
    await confirm(api, cylinder_serial="CYL789")
    for topic in TOPICS:
        assert await heard(api, topic) == [
            ("order.created", "assigned"),
            ("delivery.update", "assigned"),
            ("order.updated", "delivering"),
            ("delivery.update", "en_route"),
            ("order.updated", "delivered"),
            ("delivery.update", "delivered"),
        ]
    events = await api.services.store.events(order_id="O1")
    assert [event.kind for event in events] == ["assigned", "en_route", "delivered"]


async def test_the_same_said_twice_is_announced_once(api: Site):
    for _ in range(2):
        await put(api)
        await update(api, "delivering", details={"notes": "x"})
    before = await heard(api)
    await asyncio.gather(*(update(api, "delivered") for _ in range(5)))
    await confirm(api)
    first = await stored(api)
    await confirm(api, CUSTOMER)
    assert await heard(api) == [
        *before,
        ("order.updated", "delivered"),
        ("delivery.update", "delivered"),
        ("order.updated", "delivered"),  # the confirmation, which is new
    ]
    assert await stored(api) == first


async def test_the_engine_and_the_store_know_of_a_change(api: Site):
    order, new = await put(api)
    assert new
    assert api.services.engine.orders["O1"] == order == await stored(api)
    changed, new = await put(api, driver_id="D2")
    assert not new
    assert api.services.engine.orders["O1"] == changed == await stored(api)
    assert changed.created_at == order.created_at
    await update(api, "failed", viewer=OFFICE)
    assert not api.services.engine.orders
    assert (await stored(api)).status == "failed"


async def test_a_put_keeps_how_far_the_delivery_is(api: Site):
    await put(api)
    await api.drive("D1", [10.0, 20.0, 30.0, 60.0], [200.0, 100.0, 0.0, 0.0], speed=[10.0, 10.0, 0.0, 0.0])
    assert (await stored(api)).status == "driver_arrived"
    kept, _ = await put(api, address="台北市")
    assert (kept.status, kept.address) == ("driver_arrived", "台北市")
    assert kept.arrived_at is not None
    moved, _ = await put(api, driver_id="D2")
    assert (moved.status, moved.arrived_at) == ("assigned", None)


async def test_an_ended_order_is_opened_again_by_the_office_only(api: Site):
    await put(api)
    await update(api, "delivered")
    with pytest.raises(Conflict):
        await update(api, "delivering")
    with pytest.raises(Conflict):
        await update(api, "failed", viewer=OFFICE)
    await put(api)
    assert not api.services.engine.orders
    await put(api, status="assigned")
    assert list(api.services.engine.orders) == ["O1"]
    await update(api, "delivered")
    assert (await heard(api)).count(("delivery.update", "delivered")) == 2


async def test_a_confirmation_is_kept_with_the_order(api: Site):
    await put(api)
    await confirm(api, CUSTOMER, customer_id="C1", confirmed_at=api.clock.now - 60, confirmation_type="qr_code")
    details = (await stored(api)).details
    assert details == {
        "confirmation": {
            "confirmed_at": "2025-10-09T08:52:21Z",
            "confirmed_by": "customer",
            "confirmation_type": "qr_code",
            "cylinder_serial": None,
        }
    }
    events = {event.kind: event for event in await api.services.store.events(order_id="O1")}
    assert (events["delivered"].occurred_at, events["delivered"].detected_at) == (api.clock.now - 61, api.clock.now)


async def test_a_confirmation_for_another_customer_is_refused(api: Site):
    await put(api)
    with pytest.raises(InvalidInput) as caught:
        await confirm(api, customer_id="C2")
    assert caught.value.field == "customer_id"
    await update(api, "failed")
    with pytest.raises(Conflict):
        await confirm(api)


async def test_only_those_an_order_concerns_move_it_on(api: Site):
    await put(api)
    before = await heard(api)
    for viewer in (CUSTOMER, *STRANGERS):
        with pytest.raises(NotAllowed):
            await update(api, "delivered", viewer=viewer)
    for viewer in STRANGERS:
        with pytest.raises(NotAllowed):
            await confirm(api, viewer)
    for viewer in (CUSTOMER, DRIVER, *STRANGERS):
        with pytest.raises(NotAllowed):
            await api.services.office.put_order(viewer, "O1", order_body(), api.clock.now)
        with pytest.raises(NotAllowed):
            await api.services.office.remove_order(viewer, "O1", api.clock.now)
    assert await heard(api) == before
    for role in ("office", "admin", "service"):
        await update(api, f"seen by {role}", viewer=Viewer("U", role, None, None))


async def test_an_order_that_is_not_there_is_not_found(api: Site):
    with pytest.raises(NotFound):
        await update(api, "delivered", viewer=OFFICE)
    with pytest.raises(NotAllowed):
        await update(api, "delivered")
    for order_id in ("", "a\0b", "O1@customer:C1", "x" * 201):
        with pytest.raises(NotFound):
            await api.services.office.update_order(DRIVER, order_id, "delivered", None, api.clock.now)
        with pytest.raises(InvalidInput):
            await api.services.office.put_order(OFFICE, order_id, order_body(), api.clock.now)


@pytest.mark.parametrize("text", ["\0", "\\\0"])
async def test_a_text_that_a_store_cannot_keep_is_refused_alone(api: Site, text: str):
    await put(api)
    with pytest.raises(InvalidInput, match=r"U\+0000"):
        await update(api, "delivering", details={"notes": text})
    await update(api, "delivering", details={"notes": r"\u0000"})  # six letters, which are fine
    assert (await stored(api)).details == {"notes": r"\u0000"}


async def test_a_deleted_order_is_gone_everywhere(api: Site):
    await put(api)
    await api.services.office.remove_order(OFFICE, "O1", api.clock.now)
    assert not api.services.engine.orders
    assert await api.services.store.get(Order, "O1") is None
    assert (await heard(api, "order:O1@customer:C1"))[-1] == ("order.updated", "deleted")
    await put(api)
    assert (await heard(api)).count(("order.created", "assigned")) == 2


async def test_changes_of_one_order_wait_for_each_other(api: Site):
    """Each of them sees what the one before it made, although the store is slow."""
    await put(api)
    notes = {f"n{number}": number for number in range(20)}
    await asyncio.gather(*(update(api, "delivering", details={key: value}) for key, value in notes.items()))
    assert (await stored(api)).details == notes
    assert (await heard(api)).count(("order.updated", "delivering")) == len(notes)


async def test_a_change_that_was_not_stored_is_not_announced(api: Site):
    await put(api)
    before = await heard(api)
    await api.services.writer.close()
    with pytest.raises(StoreUnavailable):
        await update(api, "delivered")
    assert await heard(api) == before


async def test_both_drivers_hear_that_a_route_changed_hands(api: Site):
    for driver_id in ("D1", "D2", "D2"):
        api.clock.now += 1
        body = {"driver_id": driver_id, "stops": []}
        await api.services.office.put_route(OFFICE, "R1", body, api.clock.now)
    counts = {
        topic: len(await said(api.services, topic)) for topic in ("routes", "routes@driver:D1", "routes@driver:D2")
    }
    assert counts == {"routes": 2, "routes@driver:D1": 2, "routes@driver:D2": 1}
    await api.services.office.remove_route(OFFICE, "R1", api.clock.now + 1)
    assert len(await said(api.services, "routes@driver:D2")) == 2
    with pytest.raises(NotFound):
        await api.services.office.remove_route(OFFICE, "R1", api.clock.now)
