"""`tracker eta train` and `tracker eta evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from api.config import load as load_config
from api.maintenance import ConfigFile, StoreURL
from api.progress import progress
from tracker.errors import InvalidInput

app = typer.Typer(help="Learn from finished trips how long trips take.", rich_markup_mode=None)

Trips = Annotated[Path, typer.Option("--trips", metavar="FILE", help="A trip a line, as JSON.", show_default=False)]


@app.command()
def train(
    trips: Trips,
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Where the model is written.", show_default=False)],
    utc_offset: Annotated[
        float, typer.Option(metavar="HOURS", help="What weekday and minute are ahead of UTC: 8 in Taiwan.")
    ] = 0.0,
) -> None:
    """Learn a model from finished trips.

    Each line has trip, departed_at (or weekday and minute), travel_time, and path or edges with lengths; classes,
    planned and delays make it better.
    """
    from api.eta_runs import train as run

    with progress("learning", 100) as advance:
        told = run(trips, out, utc_offset, advance)
    typer.echo(told)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(metavar="MODEL", help="What `train` has written.", show_default=False)],
    trips: Trips,
    out: Annotated[Path, typer.Option(metavar="PRED.csv", help="Where the predictions go.", show_default=False)],
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw error and coverage by distance, as FILE.svg and FILE.png."),
    ] = None,
) -> None:
    """Predict how long trips take.

    Writes trip,p10,p50,p90 in seconds. The travel_time of a trip is read only to say how good the predictions were.
    """
    from api.eta_runs import evaluate as run

    for line in run(model, trips, out, plot):
        typer.echo(line)


@app.command()
def load(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What `train` has written.", show_default=False)],
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="http://HOST:PORT of a server that is running.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="An admin's token, with --url.", envvar="TRACKER_TOKEN")
    ] = None,
    store: StoreURL = None,
    config: ConfigFile = None,
) -> None:
    """Have a server predict arrivals by a model, and learn on from there.

    A server that is running takes it at once; without --url it goes into the store of one that is not.
    """
    from api.ask import ask
    from api.eta_runs import live_part, put_into

    if url is None:
        version, trips, cells = put_into(load_config(config, store=store), live_part(model))
    elif token is None:
        raise InvalidInput("--token: an admin's is needed, or TRACKER_TOKEN; see tracker token --help")
    else:
        path = f"{url.rstrip('/')}/api/v1/eta/model"
        answer = ask("PUT", path, token, live_part(model), "application/octet-stream")
        version, trips, cells = answer["version"], answer["trips"], answer["cells"]
    typer.echo(f"arrivals are predicted by version {version}: {trips} trips, {cells} places")
