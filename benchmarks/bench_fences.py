"""Legs against a city's geofences: the index alone, and with who enters, dwells and leaves."""

import numpy as np
import pytest

from benchmarks.traffic import LATITUDE, LONGITUDE, T0, city_fences, city_traffic
from tracker.records import Geofence, Legs
from tracker.settings import EngineSettings
from tracker.transitions import Fences

LEGS = 10_000


def city(fences: int) -> Fences:
    watched = Fences(EngineSettings())
    watched.put(city_fences(fences, seed=1))
    return watched


def drivers(n: int) -> list[str]:
    return [f"driver-{i}" for i in range(n)]


def note(benchmark, legs: int) -> None:
    benchmark.extra_info["us_per_leg"] = round(benchmark.stats["median"] / legs * 1e6, 3)


@pytest.mark.parametrize("fences", [10_000, 100_000])
@pytest.mark.parametrize(
    ("fleet", "legs_each", "step_s"), [(1_000, 10, 1.0), (1_000, 10, 5.0), (10_000, 1, 1.0), (10, 10, 1.0)]
)
def bench_transitions(benchmark, fleet: int, legs_each: int, step_s: float, fences: int) -> None:
    """A tick of a fleet that drives on and on at 3 to 20 m/s."""
    watched, ids, traffic = city(fences), drivers(fleet), city_traffic(fleet, legs_each, seed=2, step_s=step_s)
    found: list[int] = []

    def run(legs: Legs) -> None:
        found.append(len(watched.advance(legs, ids)))

    benchmark.pedantic(run, setup=lambda: ((next(traffic),), {}), rounds=20, warmup_rounds=5)
    note(benchmark, fleet * legs_each)
    benchmark.extra_info["transitions_per_leg"] = round(sum(found) / len(found) / fleet / legs_each, 3)


def bench_standing(benchmark) -> None:
    """10,000 drivers who stand in one depot: nothing happens."""
    watched, ids = city(10_000), drivers(LEGS)
    watched.put([Geofence(geofence_id="depot", type="Point", coordinates=[LONGITUDE, LATITUDE], radius=500.0)])
    rng = np.random.default_rng(3)
    place = LATITUDE + rng.uniform(-1e-3, 1e-3, LEGS), LONGITUDE + rng.uniform(-1e-3, 1e-3, LEGS)
    sigma, length = np.full(LEGS, 5.0), np.zeros(LEGS)

    def tick(i: int) -> Legs:
        t0, t1 = np.full(LEGS, T0 + 60.0 * i), np.full(LEGS, T0 + 60.0 * (i + 1))
        return Legs(np.arange(LEGS), t0, *place, t1, *place, sigma, length, t1)

    ticks = iter([tick(i) for i in range(100)])
    for _ in range(5):
        watched.advance(next(ticks), ids)
    benchmark.pedantic(watched.advance, setup=lambda: ((next(ticks), ids), {}), rounds=20)
    note(benchmark, LEGS)


def bench_change(benchmark) -> None:
    """One of 100,000 geofences changes, and then come ten legs."""
    watched, ids, traffic = city(100_000), drivers(10), city_traffic(10, 1, seed=2)
    watched.advance(next(traffic), ids)
    changes = iter(city_fences(1_000, seed=4))

    def run(geofence: Geofence, legs: Legs) -> None:
        watched.put([geofence])
        watched.advance(legs, ids)

    benchmark.pedantic(run, setup=lambda: ((next(changes), next(traffic)), {}), rounds=20, warmup_rounds=2)
