"""`tracker eta train` and `tracker eta evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from api.progress import progress

app = typer.Typer(help="Learn from finished trips how long trips take.", rich_markup_mode=None)

Trips = Annotated[Path, typer.Option("--trips", metavar="FILE", help="A trip a line, as JSON.", show_default=False)]


@app.command()
def train(
    trips: Trips,
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Where the model is written.", show_default=False)],
) -> None:
    """Learn a model from finished trips.

    Each line has trip, departed_at (or weekday and minute), travel_time, and path or edges with lengths; classes,
    planned and delays make it better.
    """
    from api.eta_runs import train as run

    with progress("learning", 100) as advance:
        told = run(trips, out, advance)
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
