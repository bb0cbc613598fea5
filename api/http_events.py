"""Other back ends publish over HTTP: to a channel, or to one user."""

from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from api.http_requests import Call, respond
from tracker.channels import is_id
from tracker.errors import InvalidInput, NotAllowed, NotFound
from tracker.publications import QueuePriority

B = TypeVar("B")


class EventBody(msgspec.Struct):
    """An event for a channel, or for one user only; with `use_queue`, answered before it is stored."""

    channel: str
    event: dict[str, Any]
    priority: QueuePriority = QueuePriority.NORMAL
    use_queue: bool = False
    target_user_id: str | None = None


class MessageBody(msgspec.Struct):
    """A message for a user."""

    message: dict[str, Any]
    priority: QueuePriority = QueuePriority.NORMAL


async def post_event(call: Call) -> Response:
    """Publish an event on a channel."""
    _check_office(call)
    body = _read(await call.json(), EventBody)
    event_id = await call.services.publisher.publish_event(
        body.channel, body.event, body.priority, body.use_queue, body.target_user_id
    )
    return respond({"event_id": event_id}, 202 if body.use_queue else 201)


async def post_message(call: Call) -> Response:
    """Send a user a message, which waits until the user acknowledges it."""
    _check_office(call)
    user_id = call.id("user_id")
    if not is_id(user_id):
        raise NotFound("No user can have this id.")
    body = _read(await call.json(), MessageBody)
    event_id = await call.services.publisher.send_to_user(user_id, body.message, body.priority)
    return respond({"event_id": event_id}, 201)


def _check_office(call: Call) -> None:
    if not call.viewer.is_office:
        raise NotAllowed("Only other back ends (role service) and the office publish.")


def _read(given: Any, kind: type[B]) -> B:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        field = str(error).partition("`$.")[2].rstrip("`") or None
        raise InvalidInput(str(error), field=field) from None
