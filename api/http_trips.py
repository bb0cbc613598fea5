"""Where a driver stayed, which trips lie between, and each day in figures: derived from the stored track when asked."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from starlette.responses import Response

from api.http_requests import Call, respond
from api.http_tracks import DAY_S, period_of_driver
from geo.earth import distance
from tracker.codec import iso
from tracker.engine import Engine
from tracker.errors import InvalidInput
from tracker.records import Stay, Track, Trip
from tracker.settings import EngineSettings
from tracker.tracks import batch_of

LOOK_AROUND_S = (DAY_S, 8 * DAY_S)
"""What reaches over the ends of a period is looked for this far outside it; further when it began even earlier."""


async def get_stays(call: Call) -> Response:
    """A driver's stays that touch [from, to), whole, oldest first."""
    driver_id, start, end = period_of_driver(call)
    _, spans = await _spans(call, driver_id, start, end)
    return respond({"stays": [_stay(span) for span in spans if isinstance(span, Stay)]})


async def get_trips(call: Call) -> Response:
    """A driver's trips that touch [from, to), whole, oldest first."""
    driver_id, start, end = period_of_driver(call)
    _, spans = await _spans(call, driver_id, start, end)
    return respond({"trips": [_trip(span) for span in spans if isinstance(span, Trip)]})


async def get_summary(call: Call) -> Response:
    """What of a driver's stays and trips lies in [from, to), in figures; with `zone`, also of each day there."""
    driver_id, start, end = period_of_driver(call)
    zone = _zone(call)
    track, spans = await _spans(call, driver_id, start, end)
    body = {"driver_id": driver_id} | _figures(track, spans, start, end)
    if zone is not None:
        body["days"] = [{"date": date} | _figures(track, spans, a, b) for date, a, b in _days(start, end, zone)]
    return respond(body)


def derive(track: Track, settings: EngineSettings) -> list[Stay | Trip]:
    """The stays and trips of a stored track, as the engine tells them live, and what goes on at its end."""
    engine = Engine(settings)
    spans = engine.ingest(batch_of(track, engine.driver_row)).spans
    return sorted([*spans, *engine.finish()], key=lambda span: span.started_at)


async def _spans(call: Call, driver_id: str, start: float, end: float) -> tuple[Track, list[Stay | Trip]]:
    """The track in and around [start, end), and the stays and trips that touch it."""
    touching: list[Stay | Trip] = []
    for around in LOOK_AROUND_S:
        track = await call.services.store.track(driver_id, start - around, end + DAY_S)
        spans = await asyncio.to_thread(derive, track, call.services.config.engine)
        touching = [span for span in spans if span.started_at < end and span.ended_at > start]
        if not touching or touching[0].started_at > track.fix_time[0]:
            break
    return track, touching


def _figures(track: Track, spans: Sequence[Stay | Trip], start: float, end: float) -> dict[str, Any]:
    """Metres, seconds and counts of what lies in [start, end). A stop counts where it begins, so each counts once."""
    legs = distance(track.latitude[:-1], track.longitude[:-1], track.latitude[1:], track.longitude[1:])
    along = np.concatenate([[0.0], np.cumsum(legs)])
    metres = moving = still = 0.0
    for span in spans:
        a, b = max(span.started_at, start), min(span.ended_at, end)
        if b <= a:
            continue
        if isinstance(span, Stay):
            still += b - a
            continue
        moving += b - a
        reached = np.interp([span.started_at, a, b, span.ended_at], track.fix_time, along)
        whole, part = reached[3] - reached[0], reached[2] - reached[1]
        metres += span.distance * part / whole if whole > 0 else 0.0
    stops = sum(isinstance(span, Stay) and start <= span.started_at < end for span in spans)
    return {
        "from": iso(start),
        "to": iso(end),
        "distance": round(float(metres), 1),
        "moving_s": round(moving, 1),
        "staying_s": round(still, 1),
        "stops": stops,
    }


def _zone(call: Call) -> ZoneInfo | None:
    name = call.query("zone")
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # KeyError: ZoneInfoNotFoundError
        raise InvalidInput("zone: give a name of the IANA database, such as Asia/Taipei", field="zone") from None


def _days(start: float, end: float, zone: ZoneInfo) -> Iterator[tuple[str, float, float]]:
    """The days of [start, end) from midnight to midnight in a zone, the first and the last as far as they are in it."""
    day = datetime.fromtimestamp(start, zone).date()
    while start < end:
        day += timedelta(days=1)
        midnight = datetime.combine(day, time(), zone).timestamp()
        yield (day - timedelta(days=1)).isoformat(), start, min(midnight, end)
        start = midnight


def _stay(stay: Stay) -> dict[str, Any]:
    place = {"latitude": round(stay.latitude, 7), "longitude": round(stay.longitude, 7)}
    return _times(stay) | place | {"ongoing": stay.ongoing}


def _trip(trip: Trip) -> dict[str, Any]:
    return _times(trip) | {"distance": trip.distance, "ongoing": trip.ongoing}


def _times(span: Stay | Trip) -> dict[str, Any]:
    seconds = round(span.ended_at - span.started_at, 1)
    return {"started_at": iso(span.started_at), "ended_at": iso(span.ended_at), "seconds": seconds}
