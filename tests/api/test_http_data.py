"""An admin deletes a person's data, and is told what that was."""

from api.learning import start_from
from tests.site import CUSTOMER, DRIVER, OFFICE, order_body, refused, site
from tracker.channels import Viewer
from tracker.learning import Learned

ADMIN = Viewer("A", "admin", None, None)


async def test_a_drivers_data_is_deleted_by_an_admin_once_nothing_is_open(store_url: str):
    async with site(store_url) as here:
        await here.put("orders/O1", order_body(customer_name="Lin", address="No. 1"))
        await here.drive("D1", [0.0, 1.0], [0.0, 10.0])
        for viewer in (OFFICE, DRIVER, CUSTOMER):
            assert (await here.ask(viewer, "DELETE", "drivers/D1/data")).status_code == 403
        assert refused(await here.ask(ADMIN, "DELETE", "drivers/D1/data"))[:2] == (409, "conflict")
        assert refused(await here.ask(ADMIN, "DELETE", "customers/C1/data"))[:2] == (409, "conflict")
        await here.put("orders/O1", order_body(status="cancelled", customer_name="Lin", address="No. 1"))
        learned = Learned()
        learned.add_stop("D1", "25.0,121.5", 77.0)
        await start_from(here.services, learned)
        deleted = (await here.ask(ADMIN, "DELETE", "drivers/D1/data")).json()["deleted"]
        assert deleted["tracks"] == deleted["eta_models"] == 1
        assert here.services.teacher.learned.by_driver == here.services.engine.eta_model.service.by_driver == {}
        assert deleted["orders"] == 1
        assert (await here.ask(OFFICE, "GET", "drivers/D1")).status_code == 404
        order = await here.get(OFFICE, "orders/O1")
        assert order["driver_id"] is None
        assert order["customer_name"] == "Lin"
        again = (await here.ask(ADMIN, "DELETE", "drivers/D1/data")).json()["deleted"]
        assert set(again.values()) == {0}


async def test_a_customers_orders_stay_without_what_is_personal(store_url: str):
    async with site(store_url) as here:
        await here.put("orders/O1", order_body(status="cancelled", customer_name="Lin", address="No. 1"))
        before = await here.get(OFFICE, "orders/O1")
        deleted = (await here.ask(ADMIN, "DELETE", "customers/C1/data")).json()["deleted"]
        assert deleted["orders"] == 1
        assert deleted["messages"] >= 1
        order = await here.get(OFFICE, "orders/O1")
        assert order["customer_id"] == "forgotten"
        assert "Lin" not in str(order)
        assert "No. 1" not in str(order)
        assert abs(order["destination"]["latitude"] - before["destination"]["latitude"]) <= 0.005
        assert (await here.ask(ADMIN, "DELETE", "customers/C1/data")).json()["deleted"]["orders"] == 0
