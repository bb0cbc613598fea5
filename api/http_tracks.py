"""Fixes in, and what became of them out: positions, tracks, events."""

import asyncio
import math
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from api.formats import FORMATS
from api.http_requests import Call, Page, respond
from geo.simplify import MAX_BOUND_M
from storage.segments import keep
from tracker.codec import Report, decode, iso
from tracker.errors import Flag, InvalidInput, InvalidMessage, NotAllowed, Overloaded, StoreUnavailable, TrackerError
from tracker.messages import Error, LocationAck
from tracker.records import Delivery, Event, Track, Transition
from tracker.tracks import simplified

DAY_S = 86400.0
AROUND_S = 300.0
"""A smoothed track is smoothed in the light of so much before and after it."""
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
    With `simplify`, fewer vertices: at no time more than so many metres off.
    """
    driver_id, start, end = period_of_driver(call)
    bound = _bound(call)
    name = call.query("format") or "geojson"
    if name not in FORMATS:
        raise InvalidInput(f"format: there are {', '.join(FORMATS)}", field="format")
    media_type, write = FORMATS[name]
    if call.flag("smooth"):
        track = await _smoothed(call, driver_id, start, end)
    else:
        track = await call.services.store.track(driver_id, start, end)
    if bound is not None:
        track = await asyncio.to_thread(simplified, track, bound)
    return StreamingResponse(write(driver_id, track), media_type=media_type)


async def _smoothed(call: Call, driver_id: str, start: float, end: float) -> Track:
    """What lies around is read too, so that a track does not depend on where it is cut."""
    around, kind = await call.services.store.fixes(driver_id, start - AROUND_S, end + AROUND_S)
    fixes = keep(around, kind != Flag.COARSE)
    found = await asyncio.to_thread(call.services.engine.smoothed, fixes)
    wanted = (fixes.fix_time >= start) & (fixes.fix_time < end)
    return keep(found.track, wanted & ~found.outlier)


def period_of_driver(call: Call) -> tuple[str, float, float]:
    """The driver of the path and the period of the query. Raises NotAllowed, InvalidInput."""
    driver_id = call.id("driver_id")
    if not call.viewer.is_office and not (call.viewer.role == "driver" and call.viewer.driver_id == driver_id):
        raise NotAllowed("Only this driver and the office see a driver's track.")
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
        _check_period(start, end)
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
    _check_period(start, end)
    if end - start > LONGEST_S:
        raise InvalidInput(f"from: ask for at most {LONGEST_S / DAY_S:.0f} days at once", field="from")
    return start, end


def _check_period(start: float, end: float) -> None:
    if end < start:
        raise InvalidInput("from: lies after to", field="from")


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
