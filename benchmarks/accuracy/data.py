"""Real GPS with its truth, read from `$TRACKER_DATA` or ../shared/data; never part of this repository."""

import csv
import gzip
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from geo.earth import offset
from tracker.records import Bools, Floats

ACCURACY_PER_SIGMA = 1.515


class NoData(Exception):
    """A data set is not there; the message says where it was looked for."""


def folder() -> Path:
    """Where the data sets are."""
    return Path(os.environ.get("TRACKER_DATA") or Path(__file__).parents[3] / "shared" / "data")


def path(name: str) -> Path:
    """A file of the data sets. Raises NoData."""
    file = folder() / name
    if not file.exists():
        raise NoData(f"{file} is not there: set TRACKER_DATA to the folder with the data sets")
    return file


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file, gzipped or not. Raises NoData."""
    file = path(name)
    data = file.read_bytes()
    text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    return list(csv.DictReader(text.splitlines()))


@dataclass(frozen=True, slots=True)
class Ride:
    """One phone on one route, in columns (n,), by time, each time once; the truth at the same times."""

    route: str
    scene: str
    device: str
    time: Floats
    latitude: Floats
    longitude: Floats
    true_latitude: Floats
    true_longitude: Floats
    true_speed: Floats  # m/s

    def take(self, index: np.ndarray) -> "Ride":
        """Some of its fixes."""
        columns = (getattr(self, name)[index] for name in Ride.__slots__[3:])
        return Ride(self.route, self.scene, self.device, *columns)

    def every(self, step_s: float) -> "Ride":
        """Sampled: a fix is kept when at least `step_s` has gone by since the last kept."""
        kept, last = [], -np.inf
        for i, t in enumerate(self.time.tolist()):
            if t - last >= step_s:
                kept.append(i)
                last = t
        return self.take(np.array(kept, np.int64))


@cache
def whu() -> tuple[Ride, ...]:
    """WHU-Smartphone: car phones at 1 Hz with RTK/INS truth. Raises NoData."""
    by_ride: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows("whu_smartphone_car/fixes_with_truth.csv.gz"):
        by_ride.setdefault((row["route"], row["scene"], row["device"]), []).append(row)
    names = ("t", "lat", "lon", "gt_lat", "gt_lon", "gt_speed")
    rides = []
    for (route, scene, device), group in sorted(by_ride.items()):
        columns = np.array([[float(row[name]) for name in names] for row in group]).T
        columns = columns[:, np.unique(columns[0], return_index=True)[1]]
        rides.append(Ride(route, scene, device, *columns))
    return tuple(rides)


@dataclass(frozen=True, slots=True)
class Stressed:
    """A ride's truth with made-up noise, as ACCURACY's stress set: fixes and accuracy (n,), which were moved."""

    ride: Ride  # latitude and longitude are the noisy ones
    accuracy: Floats
    outlier: Bools


def stress(ride: Ride, seed: int) -> Stressed:
    """Truth plus noise: accuracy lognormal (median 8 m, sigma 0.6, correlated over 60 s), sigma per axis = accuracy /
    1.515, 70 % white and 71.4 % Ornstein-Uhlenbeck with tau 20 s; 2 % of fixes moved 50 to 500 m in any direction.
    """
    rng = np.random.default_rng(seed)
    n, dt = len(ride.time), np.diff(ride.time, prepend=ride.time[0])
    accuracy = 8.0 * np.exp(0.6 * _correlated(rng, dt, 60.0, 1)[0])
    noise = 0.70 * rng.normal(size=(2, n)) + 0.714 * _correlated(rng, dt, 20.0, 2)
    outlier = rng.random(n) < 0.02
    angle, far = rng.uniform(0, 2 * np.pi, n), np.where(outlier, rng.uniform(50, 500, n), 0.0)
    east, north = noise * accuracy / ACCURACY_PER_SIGMA + far * np.stack([np.sin(angle), np.cos(angle)])
    latitude, longitude = offset(ride.true_latitude, ride.true_longitude, east, north)
    noisy = Ride(
        ride.route,
        ride.scene,
        ride.device,
        ride.time,
        latitude,
        longitude,
        ride.true_latitude,
        ride.true_longitude,
        ride.true_speed,
    )
    return Stressed(noisy, accuracy, outlier)


def _correlated(rng: np.random.Generator, dt: Floats, tau: float, rows: int) -> Floats:
    """Ornstein-Uhlenbeck processes of unit variance at steps dt (n,): (rows, n)."""
    white = rng.normal(size=(rows, len(dt)))
    keep = np.exp(-dt / tau)
    out = np.empty_like(white)
    out[:, 0] = white[:, 0]
    for i in range(1, len(dt)):
        out[:, i] = keep[i] * out[:, i - 1] + np.sqrt(1 - keep[i] ** 2) * white[:, i]
    return out
