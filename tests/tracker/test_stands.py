import numpy as np
import pytest

from geo.earth import PARTS, distance
from tests.fixes import T0, place
from tracker import stands
from tracker.records import Floats
from tracker.stands import LegColumns


def legs(t: Floats, east: Floats, speed: Floats | float, sigma: float = 2.5) -> LegColumns:
    latitude, longitude = place(np.asarray(east, float))
    latitude0, longitude0 = (
        np.concatenate([latitude[:1], latitude[:-1]]),
        np.concatenate([longitude[:1], longitude[:-1]]),
    )
    t = T0 + np.asarray(t, float)
    return LegColumns(
        np.zeros(len(t), np.int64),
        np.concatenate([t[:1], t[:-1]]),
        latitude0,
        longitude0,
        t,
        latitude,
        longitude,
        np.full(len(t), sigma),
        distance(latitude0, longitude0, latitude, longitude),
        t,
        np.broadcast_to(np.asarray(speed, float), len(t)).copy(),
    )


def follow(columns: LegColumns) -> tuple[Floats, list[float]]:
    """The driver's stand after these legs, and how long he had stood after each."""
    row = np.zeros(1, stands.STAND)[0]
    return row, [stands.advance(row, columns, k, 2.0) for k in range(len(columns.t1))]


def test_who_drives_does_not_stand() -> None:
    t = np.arange(60.0)
    _, stood = follow(legs(t, 10 * t, 10.0))
    assert max(stood) <= 1.0
    _, stood = follow(legs(t, 2.5 * t, 2.5))
    assert max(stood) <= 4.0


@pytest.mark.parametrize("step", [1.0, 5.0, 10.0])
def test_a_stand_begins_when_the_driver_stops(step: float) -> None:
    t = np.arange(3.0, 200.0, step)
    row, stood = follow(legs(t, 10 * np.minimum(t, 100.0), np.where(t < 100, 10.0, 0.0)))
    assert row["since"] - T0 == pytest.approx(100.0, abs=3.0)
    assert stood[-1] == pytest.approx(t[-1] - 100.0, abs=3.0)
    latitude, longitude = place(1000.0)
    assert distance(row["latitude"] / PARTS, row["longitude"] / PARTS, latitude, longitude) < 3.0


def test_one_position_away_is_noise_and_two_are_another_stand() -> None:
    t = np.arange(60.0)
    east = np.where(t == 30, 15.0, 0.0)
    _, stood = follow(legs(t, east, 0.0))
    assert stood[30] < 0
    assert stood[59] == 59.0
    row, stood = follow(legs(t, np.where(t >= 30, 15.0, 0.0), 0.0))
    assert stood[59] == pytest.approx(29.0, abs=1.0)
    assert row["halts"] == pytest.approx(1.0, abs=0.1)


def test_halts_count_and_are_forgotten() -> None:
    t = np.arange(400.0)
    east = np.where(t < 200, 10 * (t // 20), 100 + 10 * (t - 200))
    row, _ = follow(legs(t[:200], east[:200], 0.0))
    assert row["halts"] > 3.0
    row, _ = follow(legs(t, east, np.where(t < 200, 0.0, 10.0)))
    assert row["halts"] < 0.1


def test_sparse_positions_tell_until_when_he_stood() -> None:
    t = np.arange(0.0, 200.0, 10.0)
    columns = legs(
        t, 10 * np.minimum(t, 95.0) + 10 * np.maximum(t - 145.0, 0.0), np.where((t < 95) | (t > 145), 10.0, 0.0)
    )
    row = np.zeros(1, stands.STAND)[0]
    lasted = 0.0
    for k in range(len(t)):
        stands.advance(row, columns, k, 2.0)
        lasted = max(lasted, float(row["lasted"]))
    assert lasted == pytest.approx(50.0, abs=5.0)
