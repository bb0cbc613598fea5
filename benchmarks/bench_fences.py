"""10,000 legs of a city's drivers against its geofences: candidates, and what of them is cut."""

import pytest

from benchmarks.traffic import city_fences, city_legs
from geo.fences import FenceIndex
from tracker.shapes import geofence_shape

LEGS = 10_000


@pytest.mark.parametrize("fences", [10_000, 100_000])
def test_cut(benchmark, fences: int) -> None:
    """Microseconds a leg."""
    index = FenceIndex()
    for key, geofence in enumerate(city_fences(fences, seed=1)):
        index.put(key, geofence_shape(geofence))
    legs = city_legs(LEGS, seed=2)

    def run() -> int:
        leg, key = index.candidates(*legs)
        return len(index.cut(*legs, leg, key).pair)

    assert benchmark(run) > 0
    benchmark.extra_info["us_per_leg"] = round(benchmark.stats["median"] / LEGS * 1e6, 3)
