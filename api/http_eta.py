"""How good announced ETAs were, and what they are predicted by; for the office."""

import asyncio
from typing import get_args

import msgspec
from starlette.responses import Response

from api.http_requests import Call, respond
from api.learning import start_from
from geo.eta import UnfitModel
from tracker.codec import iso
from tracker.errors import InvalidInput, NotAllowed
from tracker.learned_bytes import from_bytes
from tracker.scores import Grouping, accuracy

MOST_SCORES = 100_000
"""An answer counts so many announcements at most, the newest."""


async def get_accuracy(call: Call) -> Response:
    """Errors and coverage of the ETAs whose arrivals were in [from, to), by hour, driver, distance, stops or model."""
    _check_office(call)
    by = call.query("by")
    if by is not None and by not in get_args(Grouping):
        raise InvalidInput(f"by: there are {', '.join(get_args(Grouping))}", field="by")
    start, end = call.time("from"), call.time("to")
    found = await call.services.store.scores(start=start, end=end, driver_id=call.query("driver"), limit=MOST_SCORES)
    groups = accuracy(found, by)  # type: ignore[arg-type]
    return respond({"by": by, "target_coverage": 0.8, "groups": [msgspec.to_builtins(group) for group in groups]})


async def get_model(call: Call) -> Response:
    """The model that arrivals are predicted by; version 0 has learned nothing yet."""
    _check_office(call)
    return _model(call)


async def put_model(call: Call) -> Response:
    """Predict by a trained model from now on, and learn on from there.

    The body is `live.npz` of what `tracker eta train` writes, as `tracker eta load` sends it; it replaces what was
    learned.
    """
    if call.viewer.role != "admin":
        raise NotAllowed("Only an admin may change what arrivals are predicted by.")
    try:
        learned = await asyncio.to_thread(from_bytes, await call.body())
    except UnfitModel as error:
        raise InvalidInput(str(error), field="body") from None
    await start_from(call.services, learned)
    return _model(call)


def _model(call: Call) -> Response:
    model, teacher = call.services.engine.eta_model, call.services.teacher
    return respond(
        {
            "version": model.version,
            "trips": int(teacher.learned.trips),
            "learned_until": iso(teacher.learned.until) if teacher.learned.until else None,
            "cells": len(model.speeds.cell),
            "speed": round(float(1.0 / model.speeds.anywhere.mean()), 2),
            "circuity": round(model.speeds.circuity, 3),
            "service": round(model.service.fleet_s, 1),
        }
    )


def _check_office(call: Call) -> None:
    if not call.viewer.is_office:
        raise NotAllowed("Only the office may see this.")
