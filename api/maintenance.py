"""Commands about a store: `tracker maintain`, `tracker forget`, `tracker doctor`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from api.config import Config, load
from tracker.errors import InvalidInput

T = TypeVar("T")
StoreURL = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="URL", help="sqlite:///FILE.gpkg or postgresql://USER@HOST/DATABASE; else data/tracker.gpkg."
    ),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML file with settings.")]


def maintain(store: StoreURL = None, config: ConfigFile = None) -> None:
    """Compact and drop what is due, once.

    A running server does this by itself, bit by bit.
    """
    from api.upkeep import Upkeep
    from storage.store import Store

    settings = load(config, store=store)

    async def run(opened: Store) -> dict[str, int]:
        upkeep = Upkeep(opened, opened.commit, settings, time.time)
        async for _ in upkeep.steps():
            pass
        return dict(upkeep.counts)

    done = with_store(settings, run)
    typer.echo(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in done.items()))


def forget(
    driver: Annotated[str | None, typer.Option(metavar="ID", help="The driver whose data is deleted.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="The customer whose data is deleted.")] = None,
    store: StoreURL = None,
    config: ConfigFile = None,
) -> None:
    """Delete one person's data, and tell what was deleted.

    While a server runs on the store, ask it instead: DELETE /api/v1/drivers/ID/data or /api/v1/customers/ID/data.
    """
    from api.forget import forget_customer, forget_driver
    from storage.store import Store

    if (driver is None) == (customer is None):
        raise InvalidInput("give either --driver ID or --customer ID")

    async def run(opened: Store) -> dict[str, int]:
        if driver is not None:
            return await forget_driver(opened, opened.commit, driver)
        assert customer is not None
        return await forget_customer(opened, opened.commit, customer)

    deleted = with_store(load(config, store=store), run)
    typer.echo(", ".join(f"{name}: {count}" for name, count in deleted.items()))


def doctor(store: StoreURL = None, config: ConfigFile = None) -> None:
    """Check whether a server would run well here.

    Exit status 2 when something is wrong.
    """
    from api.doctor import examine

    findings = asyncio.run(examine(load(config, store=store), time.time))
    for finding in findings:
        typer.echo(f"{'ok   ' if finding.well else 'WRONG'} {finding.name}: {finding.text}")
    if not all(finding.well for finding in findings):
        raise typer.Exit(2)


def with_store(settings: Config, run: "Callable[..., Awaitable[T]]") -> T:
    """What `run` makes of the opened store."""
    from storage import open_store

    async def opened() -> T:
        store = open_store(settings.store)
        await store.open()
        try:
            return await run(store)
        finally:
            await store.close()

    return asyncio.run(opened())
