"""Deletion of one person's data, on their request or the operator's."""

from starlette.responses import Response

from api.forget import forget_live_customer, forget_live_driver
from api.http_requests import Call, respond
from tracker.errors import NotAllowed


async def delete_driver(call: Call) -> Response:
    """A driver's; again, there is nothing left to delete."""
    _check_admin(call)
    driver_id = call.id("driver_id")
    return respond({"driver_id": driver_id, "deleted": await forget_live_driver(call.services, driver_id)})


async def delete_customer(call: Call) -> Response:
    """A customer's."""
    _check_admin(call)
    customer_id = call.id("customer_id")
    return respond({"customer_id": customer_id, "deleted": await forget_live_customer(call.services, customer_id)})


def _check_admin(call: Call) -> None:
    if call.viewer.role != "admin":
        raise NotAllowed("Only an admin may delete a person's data.")
