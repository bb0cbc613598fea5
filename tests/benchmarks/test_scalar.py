"""The scalar engine finds what the engine finds, on traffic in which no rule is close to its threshold."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.scalar import Fix, Happened, ScalarEngine
from benchmarks.traffic import hexagon
from tests.fixes import T0, place, split
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.records import Delivery, Destination, FixBatch, Geofence, Order, Transition
from tracker.settings import EngineSettings

DRIVERS, SECONDS, STOP = 20, 300, range(150, 230)
LANE_M = 3000.0
WITHIN_S = 1.0
"""The two filters differ by metres at most, on fixes without noise; at 12 m/s that is less than a second."""


def drive() -> tuple[np.ndarray, np.ndarray]:
    """Metres east and speed (SECONDS,), at 12 m/s with a stop; it brakes and starts by 1 m/s each second."""
    t = np.arange(SECONDS)
    speed = np.clip(np.maximum(STOP[0] - t, t - STOP[-1]), 0.0, 12.0)
    return np.cumsum(speed), speed


def geofences() -> list[Geofence]:
    """Each lane leads straight through circles and hexagons, and past others at a distance."""
    found = []
    for lane in range(DRIVERS):
        for k in range(6):
            latitude, longitude = (float(x) for x in place(400.0 * k, lane * LANE_M + (0.0 if k % 3 else 900.0)))
            round_ = k % 2 == 0
            found.append(
                Geofence(
                    geofence_id=f"{lane}-{k}",
                    type="Point" if round_ else "Polygon",
                    coordinates=[longitude, latitude] if round_ else [hexagon(latitude, longitude, 120.0)],
                    radius=100.0 if round_ else None,
                )
            )
    return found


def orders() -> list[tuple[int, Order]]:
    stop_east = float(drive()[0][STOP[0]])
    found = []
    for lane in range(DRIVERS):
        latitude, longitude = (float(x) for x in place(stop_east, lane * LANE_M))
        destination = Destination(latitude=latitude, longitude=longitude, radius=60.0)
        found.append((lane, Order(order_id=f"o{lane}", customer_id="c", driver_id=f"d{lane}", destination=destination)))
    return found


def whole() -> FixBatch:
    """All fixes in order of time, some twice, some late, some refused, some far away."""
    east, speed = drive()
    latitude, longitude = place(np.tile(east, DRIVERS), np.repeat(np.arange(DRIVERS) * LANE_M, SECONDS))
    t = np.tile(np.arange(SECONDS, dtype=float), DRIVERS)
    n = len(t)
    everything = FixBatch(
        driver=np.repeat(np.arange(DRIVERS), SECONDS),
        fix_time=T0 + t,
        latitude=latitude,
        longitude=longitude,
        speed=np.tile(speed, DRIVERS),
        course=np.full(n, 90.0),
        accuracy=np.full(n, 3.0),
        received_at=T0 + t + 1.0,
    )
    rng = np.random.default_rng(5)
    order = np.argsort(t + 40.0 * (rng.random(n) < 0.03), kind="stable")  # a few come 40 s later
    batch = split(everything, np.repeat(order, 1 + (rng.random(n) < 0.02)))
    odd = rng.choice(len(batch), 40, replace=False)
    batch.latitude[odd[:10]] = 91.0
    batch.longitude[odd[10:20]] = np.nan
    batch.fix_time[odd[20:30]] += 1e6
    batch.latitude[odd[30:]] += 0.05
    return batch


@pytest.fixture(scope="module")
def both() -> tuple[list[list[Flag]], list[list[Happened]]]:
    """Flags and what happened, as the engine and the scalar one find them."""
    engine, scalar = Engine(EngineSettings()), ScalarEngine(geofences(), orders())
    for lane in range(DRIVERS):
        engine.driver_row(f"d{lane}")
    for geofence in geofences():
        engine.set_geofence(geofence)
    for _, order in orders():
        engine.set_order(order)
    flags: list[list[Flag]] = [[], []]
    found: list[list[Happened]] = [[], []]
    batch = whole()
    for first in range(0, len(batch), 200):
        part = split(batch, slice(first, first + 200))
        updates = engine.ingest(part)
        flags[0] += map(Flag, updates.flag.tolist())
        found[0] += [_happened(event) for event in updates.events]
        columns = (getattr(part, name).tolist() for name in Fix._fields)
        expected, happened = scalar.ingest([Fix(*row) for row in zip(*columns, strict=True)])
        flags[1] += expected
        found[1] += happened
    return flags, found


def _happened(event: Transition | Delivery) -> Happened:
    subject = event.geofence_id if isinstance(event, Transition) else event.order_id
    return Happened(int(event.driver_id[1:]), subject, event.kind, event.occurred_at)


def test_they_judge_every_fix_alike(both) -> None:
    (ours, expected), _ = both
    assert Counter(ours) == Counter(expected)
    assert ours == expected
    assert len(set(expected)) >= 6


@pytest.mark.parametrize("kind", ["enter", "exit", "driver_arrived", "departed"])
def test_they_find_the_same_at_the_same_times(both, kind: str) -> None:
    _, found = both
    ours, expected = ({one[:3]: one.occurred_at for one in some if one.kind == kind} for some in found)
    assert ours.keys() == expected.keys()
    assert len(expected) >= DRIVERS
    assert [key for key in ours if abs(ours[key] - expected[key]) > WITHIN_S] == []


def test_each_once(both) -> None:
    for some in both[1]:
        assert max(Counter(one[:3] for one in some if one.kind != "eta_changed").values()) == 1
