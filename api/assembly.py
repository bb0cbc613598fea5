"""The parts of a server that writes to a store: made, set going, and ended without losing anything."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from api.auth import Authenticator
from api.config import Config
from api.historian import Historian
from api.learning import Teacher, learn_forever, load_model
from api.line import Line
from api.mailroom import Mailroom
from api.office import Office
from api.publisher import Publisher
from api.services import Services
from api.upkeep import Upkeep
from storage.store import Store
from storage.writer import Writer
from tracker.engine import Engine
from tracker.hub import Hub

log = structlog.get_logger()

TAIL_S = 120.0
"""So much of each driver's track warms the filter up after a restart."""


def assemble(
    config: Config, clock: Callable[[], float], store: Store, hub: Hub, authenticator: Authenticator
) -> Services:
    """Everything of a server but its port, at rest."""
    services = Services(
        config=config,
        clock=clock,
        store=store,
        writer=Writer(store, max_pending_fixes=config.max_pending_fixes),
        engine=Engine(config.engine),
        hub=hub,
        authenticator=authenticator,
    )
    services.line = Line(services)
    services.mailroom = Mailroom(services)
    services.office = Office(services)
    services.publisher = Publisher(services)
    services.historian = Historian(services)
    services.teacher = Teacher(store, config.engine)
    services.upkeep = Upkeep(store, services.writer.put, config, clock)
    return services


async def restore(services: Services) -> None:
    """Go on where the store ends."""
    await load_model(services)
    snapshot = await services.store.load(tail_s=TAIL_S, since=0.0)
    services.engine.restore(
        orders=snapshot.orders,
        geofences=snapshot.geofences,
        routes=snapshot.routes,
        inside=snapshot.inside,
        tails=snapshot.tails,
        newest=snapshot.newest,
        announced=snapshot.announced,
    )
    services.historian.note(snapshot.late)
    log.info("restored", drivers=len(snapshot.tails), orders=len(snapshot.orders), geofences=len(snapshot.geofences))


async def start(services: Services) -> list["asyncio.Task[None]"]:
    """Set everything going; the tasks that do it."""
    await services.writer.start()
    return keep_going(
        services,
        flush=_flush_forever(services),
        learning=learn_forever(services),
        historian=services.historian.work(),
        upkeep=services.upkeep.work(services.meters),
        beat=services.meters.beat(),
    )


def keep_going(services: Services, **works: Coroutine[Any, Any, None]) -> list["asyncio.Task[None]"]:
    """Tasks that do these works for as long as the server runs; `/healthz` tells of one that has ended."""
    tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
    for task in tasks:
        task.add_done_callback(partial(_mourn, services))
    services.works += tasks
    return tasks


async def stop(services: Services, tasks: list["asyncio.Task[None]"]) -> None:
    """Store what has come in, and end."""
    for task in tasks:
        task.cancel()
    services.mailroom.tick()
    await services.line.drained()
    await services.writer.close()


def _mourn(services: Services, work: "asyncio.Task[None]") -> None:
    """What should have gone on for ever has ended: `/healthz` says so from now on."""
    if not work.cancelled():
        services.meters.failures[work.get_name()] += 1
        log.error("work ended", work=work.get_name(), exc_info=work.exception())


async def _flush_forever(services: Services) -> None:
    interval = services.config.flush_interval_ms / 1000
    while True:
        await asyncio.sleep(interval)
        services.line.time_passes()
        services.mailroom.tick()
        received_at = services.line.publish_locations()
        for _ in services.hub.flush_slices():
            await asyncio.sleep(0)
        services.meters.location_seconds.add_all(services.clock() - received_at)
