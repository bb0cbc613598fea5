"""Positions against the truth: real phones and made-up noise, live and smoothed; outliers; standing still; sigma."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.accuracy.data import Ride, stress, whu
from benchmarks.accuracy.report import Row
from geo.earth import distance, metres_per_degree, wrap_degrees
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.records import Bools, FixBatch, Floats, Track
from tracker.settings import EngineSettings
from tracker.smoothing import smoothed

SEEDS = (0, 1, 2)
STEPS = (1.0, 5.0, 10.0)
STOP_MPS, STOP_S = 0.3, 20.0

# Figures of others, of algorithms.md: the raw input, a smoother, a gated filter of constant velocity
RAW_PERCENTILES = (2.42, 8.37, 15.69)
SMOOTHER_P99 = 12.07
GATED_P95 = {1.0: 17.7, 5.0: 21.6, 10.0: 24.1}
GATED_F1 = {1.0: 0.993, 5.0: 0.888, 10.0: 0.672}
A3_TARGET = {1.0: 14.0, 5.0: 16.0, 10.0: 19.0}
A4_TARGET = {1.0: 0.995, 5.0: 0.96, 10.0: 0.85}


@dataclass(frozen=True, slots=True)
class Drives:
    """Rides one after the other in columns (n,), each a driver, as phones report them."""

    rides: tuple[Ride, ...]
    accuracy: Floats
    outlier: Bools
    speed: Floats
    course: Floats

    def column(self, name: str) -> Floats:
        """A column of the rides."""
        return np.concatenate([getattr(ride, name) for ride in self.rides])

    @property
    def lengths(self) -> list[int]:
        """Fixes of each ride."""
        return [len(ride.time) for ride in self.rides]


@dataclass(frozen=True, slots=True)
class Positions:
    """What became of them, in columns (n,)."""

    latitude: Floats
    longitude: Floats
    sigma: Floats
    outlier: Bools


def measure() -> Iterator[Row]:
    """A1 to A5, and how well sigma tells the error."""
    real = chipset()
    ours, raw = live(real), error(real, real.column("latitude"), real.column("longitude"))
    errors = error(real, ours.latitude, ours.longitude)
    for q, target, known in zip((50, 95, 99), ("<= 2.42", "<= 8.1", "<= 13.0"), RAW_PERCENTILES, strict=True):
        yield Row("A1", f"real, 1 s, live: p{q} m", percentile(errors, q), target, percentile(raw, q), known)
    stored = error(real, *stored_track(real))
    yield Row("A2", "real, 1 s, smoothed: p50 m", percentile(stored, 50), "<= 2.44", percentile(raw, 50), 2.50)
    yield Row("A2", "real, 1 s, smoothed: p99 m", percentile(stored, 99), "<= 12.0", percentile(raw, 99), SMOOTHER_P99)
    yield from made_up()
    stops = [still(real, real.column("latitude"), real.column("longitude")), still(real, ours.latitude, ours.longitude)]
    (raw_drift, raw_radius), (drift, radius) = stops
    yield Row("A5", "real stops, live: drift m/min", drift, "<= 0.2", raw_drift, 1.58)
    yield Row("A5", "real stops, live: radius p95 m", radius, "<= 1.0", raw_radius, 2.18)
    yield Row("A1", "real: share of errors inside sigma", inside(real, ours), "0.63 .. 0.73")


def made_up() -> Iterator[Row]:
    """A3, A4 and sigma under stress."""
    for step in STEPS:
        drives = noisy(step)
        ours, raw = live(drives), error(drives, drives.column("latitude"), drives.column("longitude"))
        errors, name = error(drives, ours.latitude, ours.longitude), f"stress, {step:.0f} s"
        told = live(noisy(step, own_velocity=True))
        smooth = error(drives, *stored_track(drives))
        yield Row(
            "A3", f"{name}, live: p95 m", percentile(errors, 95), f"<= {A3_TARGET[step]:.0f}",
            percentile(raw, 95), GATED_P95[step],
        )  # fmt: skip
        yield Row(
            "A3", f"{name}, live, the device tells its speed: p95 m",
            percentile(error(drives, told.latitude, told.longitude), 95), "", percentile(raw, 95),
        )  # fmt: skip
        yield Row("A3", f"{name}, smoothed: p95 m", percentile(smooth, 95), "", percentile(raw, 95))
        yield Row("A3", f"{name}: share of errors inside sigma", inside(drives, ours), "0.63 .. 0.73")
        found = f1(ours.outlier, drives.outlier)
        yield Row("A4", f"{name}: outliers, F1", found, f">= {A4_TARGET[step]}", None, GATED_F1[step], 3)


@cache
def chipset() -> Drives:
    """Phones that tell where they are and nothing else."""
    n = sum(len(ride.time) for ride in whu())
    nothing = np.full(n, np.nan)
    return Drives(whu(), nothing, np.zeros(n, np.bool_), nothing, nothing)


@cache
def noisy(step: float, own_velocity: bool = False) -> Drives:
    """The stress set, sampled; the device tells its speed and course to about 0.5 m/s where asked."""
    rides, accuracy, outlier, speed, course = [], [], [], [], []
    for seed in SEEDS:
        for number, ride in enumerate(whu()):
            made = stress(ride, seed * 1000 + number)
            kept = np.searchsorted(ride.time, ride.every(step).time)
            rides.append(made.ride.take(kept))
            accuracy.append(made.accuracy[kept])
            outlier.append(made.outlier[kept])
            east, north = velocity(ride)
            error_mps = np.random.default_rng([seed, number]).normal(0, 0.5, (2, len(east)))
            east, north = east + error_mps[0], north + error_mps[1]
            speed.append(np.hypot(east, north)[kept])
            course.append((np.degrees(np.arctan2(east, north)) % 360.0)[kept])
    nothing = np.full(sum(map(len, accuracy)), np.nan)
    motion = (np.concatenate(speed), np.concatenate(course)) if own_velocity else (nothing, nothing)
    return Drives(tuple(rides), np.concatenate(accuracy), np.concatenate(outlier), *motion)


def velocity(ride: Ride) -> tuple[Floats, Floats]:
    """True velocity, east and north, m/s."""
    north, east = metres_per_degree(ride.true_latitude[0])
    return (
        np.gradient(ride.true_longitude, ride.time) * east,
        np.gradient(ride.true_latitude, ride.time) * north,
    )


def live(drives: Drives) -> Positions:
    """What the engine makes of them, each fix in the light of those before it; outliers as known two fixes later."""
    engine = Engine(EngineSettings())
    driver = np.repeat([engine.driver_row(str(i)) for i in range(len(drives.rides))], drives.lengths)
    time = drives.column("time")
    places = drives.column("latitude"), drives.column("longitude")
    batch = FixBatch(driver, time, *places, drives.speed, drives.course, drives.accuracy, time)
    updates = engine.ingest(batch)
    outlier = updates.flag == Flag.OUTLIER
    place = {key: i for i, key in enumerate(zip(driver.tolist(), time.tolist(), strict=True))}
    late = updates.revised
    for key, is_one in zip(zip(late.driver.tolist(), late.fix_time.tolist(), strict=True), late.outlier, strict=True):
        outlier[place[key]] = is_one
    return Positions(updates.latitude, updates.longitude, updates.sigma, outlier)


def stored_track(drives: Drives) -> tuple[Floats, Floats]:
    """Latitude and longitude of their tracks as they are read again, smoothed; outliers where the others say."""
    n, offset = len(drives.accuracy), np.concatenate([[0], np.cumsum(drives.lengths)])
    track = Track(
        [str(i) for i in range(len(drives.rides))],
        np.zeros(len(drives.rides), np.uint8),
        np.zeros(len(drives.rides), np.bool_),
        offset,
        drives.column("time"),
        drives.column("latitude"),
        drives.column("longitude"),
        drives.speed,
        drives.course,
        drives.accuracy,
    )
    found = smoothed(track, EngineSettings())
    assert len(found.track.fix_time) == n
    return found.track.latitude, found.track.longitude


def error(drives: Drives, latitude: Floats, longitude: Floats) -> Floats:
    """Metres from the truth."""
    metres: Floats = distance(latitude, longitude, drives.column("true_latitude"), drives.column("true_longitude"))
    return metres


def percentile(values: Floats, q: float) -> float:
    return float(np.percentile(values, q))


def inside(drives: Drives, ours: Positions) -> float:
    """Share of errors, of east and of north, that are less than sigma."""
    latitude, longitude = drives.column("true_latitude"), drives.column("true_longitude")
    per_north, per_east = metres_per_degree(latitude)
    north, east = (ours.latitude - latitude) * per_north, wrap_degrees(ours.longitude - longitude) * per_east
    return float(np.mean(np.abs(np.stack([north, east])) < ours.sigma))


def f1(found: Bools, true: Bools) -> float:
    """Harmonic mean of precision and recall."""
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


def still(drives: Drives, latitude: Floats, longitude: Floats) -> tuple[float, float]:
    """Over true stops: mean of how far the end is from the start a minute, and p95 of the largest distance from the
    middle.
    """
    drift, radius, begin = [], [], 0
    for ride in drives.rides:
        slow = np.concatenate([[False], ride.true_speed < STOP_MPS, [False]])
        starts, ends = np.flatnonzero(slow[1:] & ~slow[:-1]), np.flatnonzero(slow[:-1] & ~slow[1:])
        for a, b in zip(starts, ends, strict=True):
            seconds = ride.time[b - 1] - ride.time[a]
            if seconds >= STOP_S:
                stop = slice(begin + a, begin + b)
                lat, lon = latitude[stop], longitude[stop]
                drift.append(60.0 * distance(lat[0], lon[0], lat[-1], lon[-1]) / seconds)
                radius.append(distance(lat, lon, lat.mean(), lon.mean()).max())
        begin += len(ride.time)
    return float(np.mean(drift)), percentile(np.array(radius), 95)
