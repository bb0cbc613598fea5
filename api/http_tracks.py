"""Fixes in, and what became of them out: positions, tracks, events."""

import asyncio
import math
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from api.formats import FORMATS, written
from api.history import boundaries, smoothed, thinned
from api.http_requests import Call, Page, respond
from geo.simplify import MAX_BOUND_M
from tracker.codec import Report, decode, iso
from tracker.errors import InvalidInput, InvalidMessage, NotAllowed, Overloaded, StoreUnavailable, TrackerError
from tracker.messages import Error, LocationAck
from tracker.records import Delivery, Event, Transition

DAY_S = 86400.0
LONGEST_S = 31 * DAY_S
"""The longest track of one request."""


async def post_locations(call: Call) -> Response:
    """A `location_batch` of the driver who asks, with or without `type` and `seq`; answered once it is durable."""
    services, driver_id = call.services, call.viewer.driver_id
    if call.viewer.role != "driver" or driver_id is None:
        raise NotAllowed("Only drivers report where they are; use a token with the role driver.")
    if services.line.full:
        raise Overloaded
    body = await call.body()
    received_at = services.clock()
    report = decode(_as_location_batch(body), received_at)
    if not isinstance(report, Report):
        raise InvalidMessage("A location_batch is expected here.", field="type")
    answered: asyncio.Future[LocationAck | Error] = asyncio.get_running_loop().create_future()

    def answer(message: LocationAck | Error) -> None:
        if not answered.done():  # nobody waits any more
            answered.set_result(message)

    services.line.put(driver_id, report, received_at, answer)
    reply = await answered
    if isinstance(reply, Error):
        raise StoreUnavailable if reply.code == StoreUnavailable.code else TrackerError
    return respond(reply)


def _as_location_batch(body: bytes) -> bytes:
    """The body with the `type` and `seq` that a socket asks for in front, where its own overrule them."""
    before, brace, rest = body.partition(b"{")
    if before.strip() or not brace:
        return body
    comma = b"" if rest.lstrip().startswith(b"}") else b","
    return b'{"type":"location_batch","seq":0' + comma + rest


async def get_track(call: Call) -> Response:
    """One driver's track in [from, to), by default the last 24 hours that there are.

    As measured; with `smooth=true` as it probably was, in the light of all fixes, and without the outliers among them.
    With `simplify`, fewer vertices: at no time more than so many metres off, and exact at crossings and ends of stays.
    """
    driver_id, start, end = period_of_driver(call)
    bound = _bound(call)
    name = call.query("format") or "geojson"
    if name not in FORMATS:
        raise InvalidInput(f"format: there are {', '.join(FORMATS)}", field="format")
    media_type, write = FORMATS[name]
    store, engine = call.services.store, call.services.engine
    tracks = (
        smoothed(store, engine, driver_id, start, end) if call.flag("smooth") else store.parts(driver_id, start, end)
    )
    if bound is not None:
        moments = await boundaries(store, call.services.config.engine, driver_id, start, end)
        tracks = thinned(tracks, bound, moments)
    return StreamingResponse(written(write(driver_id), tracks), media_type=media_type)


def of_driver(call: Call) -> str:
    """The driver of the path. Raises NotAllowed for those who may not see their tracks."""
    driver_id = call.id("driver_id")
    if not call.viewer.is_office and not (call.viewer.role == "driver" and call.viewer.driver_id == driver_id):
        raise NotAllowed("Only this driver and the office see a driver's track.")
    return driver_id


def period_of_driver(call: Call) -> tuple[str, float, float]:
    """The driver of the path and the period of the query. Raises NotAllowed, InvalidInput."""
    driver_id = of_driver(call)
    return driver_id, *_period(call, driver_id)


def _bound(call: Call) -> float | None:
    text = call.query("simplify")
    if text is None:
        return None
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if not 0.0 < bound <= MAX_BOUND_M:
        raise InvalidInput(f"simplify: metres, more than 0 and at most {MAX_BOUND_M:g}", field="simplify")
    return bound


async def list_events(call: Call) -> Response:
    """Transitions and deliveries with occurred_at in [from, to), oldest first."""
    page = Page.of(call)
    start, end = call.time("from"), call.time("to")
    if start is not None and end is not None:
        check_period(start, end)
    driver_id, order_id = call.query("driver"), call.query("order")
    if call.viewer.role == "customer":
        if order_id is None:
            raise InvalidInput("order: say which of your orders", field="order")
        await call.services.office.order(call.viewer, order_id)
    elif not call.viewer.is_office:
        if driver_id not in (None, call.viewer.driver_id):
            raise NotAllowed("A driver sees only what is their own.")
        driver_id = call.viewer.driver_id
    found = await call.services.store.events(
        driver_id=driver_id,
        order_id=order_id,
        geofence_id=call.query("geofence"),
        start=start,
        end=end,
        after=None if page.cursor is None else _place(page.cursor),
        limit=page.limit + 1,
        versions=_yes(call, "versions"),
    )
    events, link = page.split(found, lambda event: f"{event.occurred_at!r}_{event.event_id}_{event.version}")
    shown = [_event(event) for event in events if not (event.late and call.viewer.role == "customer")]
    return respond({"events": shown, "next": link})


def _yes(call: Call, name: str) -> bool:
    """A query that is true or false, by default false."""
    text = call.query(name) or "false"
    if text not in ("true", "false"):
        raise InvalidInput(f"{name}: is true or false", field=name)
    return text == "true"


def _period(call: Call, driver_id: str) -> tuple[float, float]:
    """`from` and `to`; one of them alone is a day, neither the day that ends with the driver's newest fix."""
    start, end = call.time("from"), call.time("to")
    if start is None and end is None:
        end = max((latest.fix_time + 1.0 for latest in call.services.engine.latest([driver_id])), default=0.0)
    if start is None:
        assert end is not None
        start = end - DAY_S
    if end is None:
        end = start + DAY_S
    check_period(start, end, LONGEST_S)
    return start, end


def check_period(start: float, end: float, longest_s: float = math.inf) -> None:
    """Raises InvalidInput for a time that ends before it begins, or is too long."""
    if end < start:
        raise InvalidInput("from: lies after to", field="from")
    if end - start > longest_s:
        raise InvalidInput(f"from: ask for at most {longest_s / DAY_S:.0f} days at once", field="from")


def _place(cursor: str) -> tuple[float, str, int]:
    occurred_at, _, rest = cursor.partition("_")
    event_id, _, version = rest.rpartition("_")
    try:
        return float(occurred_at), event_id, int(version)
    except ValueError:
        raise InvalidInput("cursor: follow the link in next as it is", field="cursor") from None


def _event(event: Event) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(event)
    for name in ("occurred_at", "detected_at", "eta", "eta_low", "eta_high"):
        if body.get(name) is not None:
            body[name] = iso(body[name])
    assert isinstance(event, Transition | Delivery)
    return {"type": "geofence.event" if isinstance(event, Transition) else "delivery.update"} | body
