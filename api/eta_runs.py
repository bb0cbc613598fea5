"""Learning and judging the ETA model on files of finished trips, offline."""

import csv
import io
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from api import learning
from api.config import Config
from api.maintenance import with_store
from api.trips_file import TripsFile, read_trips
from geo.eta import Model, UnfitModel, from_bytes, to_bytes
from tracker import learned_bytes
from tracker.errors import InvalidInput
from tracker.past_trips import learned_of
from tracker.records import Floats
from tracker.settings import EngineSettings

LIVE = "live.npz"
"""The part of a model's zip that a server starts from; without it, the trips did not say where they led."""


def train(
    trips: Path, out: Path, utc_offset_h: float = 0.0, progress: Callable[[int], object] = lambda done: None
) -> str:
    """Learn a model from a file of trips, write it to `out`, and say so. Raises InvalidInput.

    `progress` is called with the per cents done since its last call.
    """
    finished = read_trips(trips, utc_offset_h)
    if not np.isfinite(finished.travel_time).any():
        raise InvalidInput(f"{trips}: travel_time: no trip has one, so there is nothing to learn")
    model = Model.fit(finished.trips, finished.travel_time, _per_cent(progress))
    live = learned_of(model, finished.trips, finished.travel_time, finished.departed_at, EngineSettings())
    data = io.BytesIO(to_bytes(model))
    if live.trips:
        with zipfile.ZipFile(data, "a") as file:
            file.writestr(LIVE, learned_bytes.to_bytes(live))
    try:
        out.write_bytes(data.getvalue())
    except OSError as error:
        raise InvalidInput(f"{out}: cannot be written: {error.strerror}") from None
    left = f"; {len(finished) - model.trips} could not be used" if model.trips < len(finished) else ""
    told = f"learned from {model.trips} trips{left}; {out} has {len(data.getvalue()) / 1e6:.1f} MB"
    return told if live.trips else f"{told}, and no server can load it, as no trip has a path"


def live_part(model: Path) -> bytes:
    """What a server takes of a file that `train` has written. Raises InvalidInput."""
    read_model(model)
    try:
        with zipfile.ZipFile(model) as file:
            return file.read(LIVE)
    except KeyError:
        raise InvalidInput(
            f"{model}: knows no place on the map: train it on trips with a path, of the vertices between their edges"
        ) from None


def evaluate(model: Path, trips: Path, out: Path, plot: Path | None = None) -> list[str]:
    """Write trip,p10,p50,p90 in seconds, and say how good they were where travel_time is known. Raises InvalidInput.

    The travel_time of a trip is read for nothing else.
    """
    learned, asked = read_model(model), read_trips(trips)
    try:
        seconds = learned.predict(asked.trips)
    except UnfitModel as error:
        raise InvalidInput(f"{model}: {error}") from None
    _write(out, asked, seconds)
    known = np.isfinite(asked.travel_time) & (asked.travel_time > 0) & np.isfinite(seconds).all(axis=1)
    told = [f"{len(asked)} trips predicted; see {out}"]
    if known.any():
        told.append(Score.of(seconds[known], asked.travel_time[known]).text)
    if plot:
        from api.eta_plot import draw  # needs what need not be installed for the rest

        files = draw(plot, asked.trips.metres[known], seconds[known], asked.travel_time[known])
        told.append(f"drawn as {' and '.join(map(str, files))}")
    return told


def read_model(path: Path) -> Model:
    """Read what `train` has written. Raises InvalidInput."""
    try:
        return from_bytes(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    except UnfitModel as error:
        raise InvalidInput(f"{path}: {error}") from None


def put_into(config: Config, live: bytes) -> tuple[int, int, int]:
    """Have the server that runs on this store next start from it; version, trips and cells. Raises InvalidInput."""
    try:
        learned = learned_bytes.from_bytes(live)
    except UnfitModel as error:
        raise InvalidInput(str(error)) from None
    model = with_store(config, lambda store: learning.put_into(store, config.engine, learned, time.time()))
    return model.version, int(learned.trips), len(model.speeds.cell)


@dataclass(frozen=True, slots=True)
class Score:
    """How good predictions were."""

    trips: int
    mape: float  # share, of the middle's absolute error in what was taken
    mae_s: float
    bias_s: float  # predicted less taken
    below_p10: float  # shares of trips
    below_p50: float
    below_p90: float

    @classmethod
    def of(cls, seconds: Floats, taken: Floats) -> "Score":
        """Of quantiles (n, 3) and what was taken (n,), s."""
        off = seconds[:, 1] - taken
        below = np.mean(taken < seconds[:, 0]), np.mean(taken <= seconds[:, 1]), np.mean(taken <= seconds[:, 2])
        mape, mae, bias = np.mean(np.abs(off) / taken), np.mean(np.abs(off)), np.mean(off)
        return cls(len(taken), float(mape), float(mae), float(bias), *map(float, below))

    @property
    def text(self) -> str:
        """One line for a person."""
        return (
            f"MAPE {self.mape:.2%}, MAE {self.mae_s:.1f} s, bias {self.bias_s:+.1f} s; below p10 {self.below_p10:.1%}, "
            f"p50 {self.below_p50:.1%}, p90 {self.below_p90:.1%} of {self.trips} trips"
        )


def _per_cent(advance: Callable[[int], object]) -> Callable[[float], None]:
    """From the share done to the per cents more done."""
    done = 0

    def tell(share: float) -> None:
        nonlocal done
        advance(round(100 * share) - done)
        done = round(100 * share)

    return tell


def _write(out: Path, asked: TripsFile, seconds: Floats) -> None:
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["trip", "p10", "p50", "p90"])
            for name, row in zip(asked.names, seconds.tolist(), strict=True):
                writer.writerow([name, *("" if value != value else f"{value:.1f}" for value in row)])
    except OSError as error:
        raise InvalidInput(f"{out}: cannot be written: {error.strerror}") from None
