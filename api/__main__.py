"""The command line: `tracker …`, also `python -m api …`."""

import asyncio
import re
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast, get_args

import typer

from api import eta, maintenance
from api.auth import sign_for
from api.config import Config, engine_settings, load
from api.maintenance import ConfigFile, StoreURL
from api.progress import progress
from tracker.channels import Role
from tracker.errors import InvalidInput, TrackerError

# What only some commands need they import themselves: the engine's compiled code takes longer to load than they to run.

app = typer.Typer(
    name="tracker",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(eta.app, name="eta")

Host = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; else 127.0.0.1.")]
Port = Annotated[int | None, typer.Option(metavar="PORT", help="Port to listen on; else 8000.")]
Redis = Annotated[
    str | None, typer.Option(metavar="URL", help="redis://HOST:PORT, for several instances on one PostGIS store.")
]
LogFormat = Annotated[str | None, typer.Option(help="console for people, json for machines.", metavar="FORMAT")]
FixesFile = Annotated[Path, typer.Argument(metavar="FIXES", help="Fixes as .csv, .ndjson or .gpx.", show_default=False)]


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tracker {version('tracker')}")
        raise typer.Exit


@app.callback()
def tracker(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """GPS tracking engine for delivery fleets."""


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    store: StoreURL = None,
    redis: Redis = None,
    config: ConfigFile = None,
    log_format: LogFormat = None,
) -> None:
    """Run the server.

    Every setting can also be a TRACKER_* variable or a key of the configuration file.
    """
    from api.app import serve as run

    _run_server(run(load(config, host=host, port=port, store=store, redis=redis, log_format=log_format)))


@app.command()
def demo(
    host: Host = None,
    port: Port = None,
    store: StoreURL = None,
    config: ConfigFile = None,
    log_format: LogFormat = None,
) -> None:
    """Run the server with a simulated fleet.

    The fleet delivers in Taipei; links to look at it, with tokens, are printed.
    """
    from api.demo import demo as run

    _run_server(run(load(config, host=host, port=port, store=store, log_format=log_format)))


@app.command()
def token(
    sub: Annotated[
        str, typer.Option(metavar="ID", help="User id; of a driver or a customer, also that id.", show_default=False)
    ],
    role: Annotated[str, typer.Option(metavar="ROLE", help=f"One of {', '.join(get_args(Role))}.", show_default=False)],
    ttl: Annotated[str, typer.Option(metavar="TIME", help="How long it is valid: 90s, 15m, 1h, 7d.")] = "1h",
    config: ConfigFile = None,
) -> None:
    """Print a signed token for trying things."""
    if role not in get_args(Role):
        raise InvalidInput(f'--role: "{role}" is not one of {", ".join(get_args(Role))}')
    typer.echo(sign_for(load(config), sub=sub, role=cast(Role, role), ttl_s=_duration(ttl), now=time.time()))


@app.command()
def replay(
    fixes: FixesFile,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Where positions.csv, track.csv, events.ndjson, stays.csv, trips.csv and summary.json go.",
            show_default=False,
        ),
    ],
    geofences: Annotated[Path | None, typer.Option(metavar="FILE", help="GeoJSON FeatureCollection.")] = None,
    orders: Annotated[Path | None, typer.Option(metavar="FILE", help="JSON list of orders.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the engine.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Run a recorded file through the engine, offline."""
    from api.files import read_fixes, read_geofences, read_orders
    from api.replay import replay as run

    settings = engine_settings(set_ or [], load(config).engine)
    recorded = read_fixes(fixes)
    with progress("replaying", len(recorded)) as advance:
        summary = run(
            recorded,
            out,
            settings=settings,
            geofences=read_geofences(geofences) if geofences else (),
            orders=read_orders(orders) if orders else (),
            progress=advance,
        )
    events = ", ".join(f"{count} {kind}" for kind, count in summary["events"].items()) or "no events"
    typer.echo(
        f"{summary['fixes']} fixes of {summary['drivers']} drivers in {summary['seconds']} s: {events}; see {out}"
    )


@app.command()
def send(
    fixes: FixesFile,
    url: Annotated[
        str, typer.Option(metavar="URL", help="ws://HOST:PORT/api/v1/websocket/ws/driver", show_default=False)
    ],
    token: Annotated[
        str, typer.Option(metavar="TOKEN", help="A driver's token.", envvar="TRACKER_TOKEN", show_default=False)
    ],
    speed: Annotated[str, typer.Option(metavar="FACTOR", help="Times faster than recorded.")] = "1x",
    batch_s: Annotated[float, typer.Option(metavar="SECONDS", help="Recorded seconds that go into one batch.")] = 5.0,
    driver: Annotated[
        str | None, typer.Option(metavar="ID", help="Whose fixes to send, of a file with several drivers.")
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Shift all times so that the last fix is measured now.")] = False,
) -> None:
    """Stream a recorded file as a driver app would.

    It is done when the server has acknowledged every fix.
    """
    from api.driver_client import DriverClient
    from api.files import read_fixes
    from api.send import only_driver, report
    from api.send import send as run_send

    factor = _factor(speed)
    if not batch_s > 0:
        raise InvalidInput("--batch-s: must be more than 0")
    recorded = read_fixes(fixes)
    index = only_driver(recorded, driver)

    async def run() -> None:
        with progress("sending", len(index)) as advance:
            async with DriverClient(url, token, notify=lambda text: typer.echo(f"tracker: {text}", err=True)) as client:
                try:
                    await run_send(
                        client,
                        recorded,
                        index,
                        speed=factor,
                        batch_s=batch_s,
                        now=time.time() if now else None,
                        progress=advance,
                    )
                finally:
                    typer.echo(report(client, len(index)))

    asyncio.run(run())


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES", help="Fixes as .csv, .ndjson, .gpx or .geojson.", show_default=False),
    ],
    driver: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Whose the fixes are that do not say so; of GPX, else the name of the file."),
    ] = None,
    store: StoreURL = None,
    config: ConfigFile = None,
) -> None:
    """Store recorded files, while no server runs.

    As if drivers had sent them: importing again changes nothing.
    """
    from api.files import check_file
    from api.imports import import_files, summary
    from api.warm import warm_up
    from storage import open_store

    settings = load(config, store=store)

    async def run() -> str:
        opened = open_store(settings.store)
        try:
            await opened.open()
            warm_up()
            with progress("importing", sum(path.stat().st_size for path in files if path.is_file())) as advance:
                counts = await import_files(
                    opened, settings.engine, files, now=time.time(), driver_id=driver, progress=advance
                )
            return summary(counts, len(files), settings.store_name)
        finally:
            await opened.close()

    for path in files:
        check_file(path)
    typer.echo(asyncio.run(run()))


@app.command()
def export(
    driver: Annotated[str, typer.Option(metavar="ID", help="Whose track.", show_default=False)],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="ISO 8601 with an offset; else the first fix.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="TIME", help="Not included; else past the last fix.")] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="geojson, gpx, csv or mfjson.")
    ] = "geojson",
    simplify: Annotated[
        float | None, typer.Option(metavar="METRES", help="Fewer vertices; at no time more than so far off.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Else standard output.")] = None,
    store: StoreURL = None,
    config: ConfigFile = None,
) -> None:
    """Write a driver's stored track to a file.

    A server may be running on the store meanwhile.
    """
    from api.exports import Export, export_track

    settings = load(config, store=store)
    asyncio.run(export_track(settings, Export.of(driver, from_, to, format_, simplify), out))


@app.command()
def loadtest(
    url: Annotated[str, typer.Option(metavar="URL", help="ws://HOST:PORT of a running server.", show_default=False)],
    drivers: Annotated[int, typer.Option(metavar="COUNT", help="Driver apps.")] = 100,
    batch: Annotated[int, typer.Option(metavar="COUNT", help="Fixes in one message.")] = 10,
    rate: Annotated[
        float, typer.Option(metavar="RATE", help="Fixes a second of each driver; 0 is as fast as it goes.")
    ] = 1.0,
    subscribers: Annotated[int, typer.Option(metavar="COUNT", help="Dispatchers who watch all drivers.")] = 10,
    duration: Annotated[float, typer.Option(metavar="SECONDS", help="Seconds.")] = 30.0,
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A token a line, of drivers and of the office; else they are signed with jwt_secret."
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Load a running server with many drivers and subscribers.

    Its store keeps what the drivers sent. Exit status 1 if a fix was lost. A user may have few connections and a
    connection a limited rate: see max_connections_per_user and rate_limit_per_s.
    """
    from api.loadtest import Plan, report, tokens_of_file
    from api.loadtest import loadtest as run

    if tokens is not None:
        give = tokens_of_file(tokens)
    else:
        give = partial(sign_for, load(config), ttl_s=duration + 600, now=time.time())
    plan = Plan(url=url, drivers=drivers, batch=batch, rate=rate, subscribers=subscribers, duration_s=duration)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        outcome = runner.run(run(plan, give))
    typer.echo(report(plan, outcome))
    if not outcome.ok:
        raise typer.Exit(1)


@app.command()
def migrate(store: StoreURL = None, config: ConfigFile = None) -> None:
    """Create the store or update its schema."""
    from storage import open_store

    settings = load(config, store=store)

    async def run(settings: Config) -> None:
        opened = open_store(settings.store)
        await opened.open()
        await opened.close()

    asyncio.run(run(settings))
    typer.echo(f"{settings.store_name} is up to date")


for command in (maintenance.maintain, maintenance.forget, maintenance.doctor):
    app.command()(command)


def _run_server(server: Coroutine[Any, Any, None]) -> None:
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(server)  # interrupted while it starts; later the server itself sees to it


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one; None is asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if match is None or not float(match[1]):
        raise InvalidInput(f'--ttl: "{text}" is not a duration such as 90s, 15m, 1h or 7d')
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _factor(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text.strip())
    if match is None or not float(match[1]):
        raise InvalidInput(f'--speed: "{text}" is not a factor such as 10x')
    return float(match[1])


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"tracker: {' '.join(message.split())}\n")
    sys.exit(2)


def main() -> None:
    """Run the command line: exit status 0, 2 with one line on standard error, or 130 when interrupted."""
    try:
        sys.exit(app(prog_name="tracker", standalone_mode=False))
    except TrackerError as error:
        _fail(error.message)
    except typer.TyperException as error:
        _fail(f"{error.format_message()} See tracker --help.")


if __name__ == "__main__":
    main()
