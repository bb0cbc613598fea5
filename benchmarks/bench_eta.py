"""The ETA model: learning a fleet's year of trips, and predicting a delivery's, on one core."""

import numpy as np
import pytest

from geo.eta import Model, Trips

SIDE = 60  # streets each way


def city_trips(n: int, seed: int) -> tuple[Trips, np.ndarray]:
    """n trips of about 45 blocks over a city of SIDE x SIDE crossings, and the seconds (n,) they took."""
    rng, town = np.random.default_rng(seed), np.random.default_rng(1)
    steps = rng.integers(20, 70, n)
    offset = np.concatenate([[0], np.cumsum(steps)])
    trip, place = np.repeat(np.arange(n), steps), np.arange(offset[-1]) - np.repeat(offset[:-1], steps)
    turn_after = rng.integers(5, 40, n)[trip]
    east = place < turn_after  # first along one street, then along another
    column = (rng.integers(0, SIDE, n)[trip] + np.minimum(place, turn_after)) % SIDE
    row = (rng.integers(0, SIDE, n)[trip] + np.maximum(place - turn_after, 0)) % SIDE
    edge = (row * SIDE + column) * 2 + east
    latitude = 41.15 + np.stack([row, row + ~east], 1) * 0.0009
    longitude = -8.61 + np.stack([column, column + east], 1) * 0.0012
    slowness = np.exp(town.normal(0, 0.3, 2 * SIDE * SIDE)) / 8.0
    seconds = np.bincount(trip, slowness[edge] * 100.0) * np.exp(rng.normal(0, 0.2, n))
    road = (row % 4 == 0).astype(int)
    trips = Trips.of(
        offset, edge, 100.0, rng.uniform(0, 10_080, n), road=road, classes=("residential", "primary"),
        latitude=latitude, longitude=longitude,
    )  # fmt: skip
    return trips, seconds


@pytest.mark.parametrize("trips", [10_000, 100_000])
def bench_fit(benchmark, trips: int) -> None:
    Model.fit(*city_trips(300, seed=2))  # compiles
    benchmark.pedantic(Model.fit, city_trips(trips, seed=3), rounds=1)


def bench_predict_10000(benchmark) -> None:
    model, asked = Model.fit(*city_trips(5000, seed=2)), city_trips(10_000, seed=4)[0]
    benchmark(model.predict, asked)
    benchmark.extra_info["us_per_trip"] = round(benchmark.stats["median"] / len(asked) * 1e6, 2)
