from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixes import T0, batch, place, split
from tracker.drivers import DriverTable
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.gate import admit, in_order, run_starts
from tracker.records import FixBatch, Geofence, Source, Updates
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()


def seen(newest: float) -> DriverTable:
    """One driver with this newest fix."""
    drivers = DriverTable()
    drivers.newest[drivers.row("d")] = newest
    return drivers


def one(**changes: float) -> FixBatch:
    values = dict(
        driver=0, fix_time=T0, latitude=25.0, longitude=121.5, speed=1.0, course=0.0, accuracy=5.0, received_at=T0
    )
    values.update(changes)
    return FixBatch(**{name: np.array([value]) for name, value in values.items()})


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({}, Flag.ACCEPTED),
        ({"latitude": 90.0001}, Flag.LATITUDE_OUT_OF_RANGE),
        ({"latitude": -90.0}, Flag.ACCEPTED),
        ({"longitude": 180.0001}, Flag.LONGITUDE_OUT_OF_RANGE),
        ({"latitude": np.nan}, Flag.NOT_A_NUMBER),
        ({"longitude": np.inf}, Flag.NOT_A_NUMBER),
        ({"fix_time": T0 + SETTINGS.future_limit_s + 1}, Flag.TIMESTAMP_IN_FUTURE),
        ({"fix_time": T0 + SETTINGS.future_limit_s}, Flag.ACCEPTED),
        ({"fix_time": T0 - SETTINGS.age_limit_s - 1}, Flag.TIMESTAMP_TOO_OLD),
        ({"fix_time": np.nan}, Flag.INVALID_TIMESTAMP),
        ({"fix_time": np.inf}, Flag.INVALID_TIMESTAMP),
        ({"speed": np.nan, "course": np.nan, "accuracy": np.nan}, Flag.ACCEPTED),
    ],
)
def test_each_refusal_has_its_reason(changes: dict[str, float], flag: Flag) -> None:
    assert admit(one(**changes), seen(-np.inf), SETTINGS).tolist() == [flag]


def test_what_is_not_newer_is_late_or_a_duplicate() -> None:
    assert admit(one(), seen(T0), SETTINGS).tolist() == [Flag.DUPLICATE]
    assert admit(one(), seen(T0 + 1), SETTINGS).tolist() == [Flag.LATE]
    assert admit(one(), seen(T0 - 1), SETTINGS).tolist() == [Flag.ACCEPTED]


def test_made_up_locations_are_kept_unless_refused() -> None:
    made_up = replace(one(), source=np.array([Source.MOCK | Source.GPS], np.uint8))
    assert admit(made_up, seen(-np.inf), SETTINGS).tolist() == [Flag.ACCEPTED]
    assert admit(made_up, seen(-np.inf), EngineSettings(refuse_mock=True)).tolist() == [Flag.MOCK_LOCATION]
    assert admit(one(), seen(-np.inf), EngineSettings(refuse_mock=True)).tolist() == [Flag.ACCEPTED]


WEEK_S = 7 * 86400.0


@pytest.mark.parametrize("fix_time", [0.0, 315964800.0, T0 - 1024 * WEEK_S, T0 + 1024 * WEEK_S, -1e300, 1e300, -np.inf])
def test_clocks_of_1970_1980_and_of_rolled_over_weeks_are_refused(fix_time: float) -> None:
    assert admit(one(fix_time=fix_time), seen(-np.inf), SETTINGS)[0] > Flag.REJECTED


def interleaved(provider: int, accuracy: float) -> tuple[Engine, FixBatch]:
    """Satellite fixes of a drive each 2 s, and 300 m beside them each 2 s others of this provider and accuracy."""
    engine, t = Engine(SETTINGS), np.arange(60.0)
    coarse = t % 2 == 1
    north, metres = np.where(coarse, 300.0, 0.0), np.where(coarse, accuracy, 5.0)
    whole = batch(engine, "d", t, t * 10, north, accuracy=metres)
    return engine, replace(whole, source=np.where(coarse, provider, Source.GPS).astype(np.uint8))


@pytest.mark.parametrize(("provider", "accuracy"), [(Source.NETWORK, 30.0), (Source.NETWORK, np.nan), (0, 400.0)])
def test_coarse_fixes_between_good_ones_move_nothing(provider: int, accuracy: float) -> None:
    engine, whole = interleaved(provider, accuracy)
    latitude, longitude = place(300.0, 300.0)
    circle = Geofence(geofence_id="beside", type="Point", coordinates=[float(longitude), float(latitude)], radius=80.0)
    engine.set_geofence(circle)
    updates = engine.ingest(whole)
    assert updates.flag.tolist() == [Flag.ACCEPTED, Flag.COARSE] * 30
    assert updates.events == []
    assert updates.aside.kind.tolist() == [Flag.COARSE]
    assert len(updates.aside.fix_time) == 30
    alone = Engine(SETTINGS)
    alone.driver_row("d")
    expected = alone.ingest(split(whole, slice(0, None, 2)))
    np.testing.assert_array_equal(updates.latitude[::2], expected.latitude)


def test_without_a_better_one_a_network_fix_is_all_there_is() -> None:
    engine, whole = interleaved(Source.NETWORK, 30.0)
    assert engine.ingest(split(whole, slice(1, None, 2))).flag.tolist() == [Flag.ACCEPTED] * 30
    later = batch(engine, "d", [100.0, 121.0], [1000.0, 1200.0], accuracy=[5.0, 150.0])
    assert engine.ingest(later).flag.tolist() == [Flag.ACCEPTED] * 2


def test_a_coarse_fix_makes_no_good_one_late() -> None:
    engine = Engine(SETTINGS)
    engine.ingest(batch(engine, "d", [0.0, 3.0], 0.0, accuracy=[5.0, 800.0]))
    assert engine.ingest(batch(engine, "d", 2.0, 0.0, accuracy=5.0)).flag.tolist() == [Flag.ACCEPTED]


absurd = st.sampled_from([np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 0.0, -0.0, 91.0, 181.0, 2.0**63, -1.0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 29), absurd), max_size=12))
def test_absurd_values_harm_no_other_fix(spoilt: list[tuple[int, int, float]]) -> None:
    """Fixes of one driver, some made absurd; those of others, and what is told of them, stay to the bit."""
    names = ("latitude", "longitude", "speed", "course", "accuracy", "fix_time", "sent_at")

    def run(spoil: bool) -> tuple[FixBatch, Updates]:
        engine = Engine(SETTINGS)
        t = np.tile(np.arange(30.0), 2)
        whole = batch(engine, ["bad"] * 30 + ["good"] * 30, t, t * 8, speed=8.0, course=90.0, accuracy=5.0)
        whole = FixBatch(*(np.array(getattr(whole, name)) for name in FixBatch.__slots__))
        if spoil:
            for name, place, value in spoilt:
                getattr(whole, names[name])[place] = value
        return whole, engine.ingest(whole)

    _, clean = run(False)
    _, updates = run(True)
    for name in ("flag", "latitude", "longitude", "speed", "course", "sigma"):
        np.testing.assert_array_equal(getattr(updates, name)[30:], getattr(clean, name)[30:])
    kept = (updates.flag != Flag.DUPLICATE) & (updates.flag < Flag.REJECTED)
    assert np.isfinite(updates.latitude[kept]).all()
    assert np.isfinite(updates.longitude[kept]).all()


def test_order_is_by_driver_then_time_and_the_first_of_two_alike_stays() -> None:
    whole = batch(Engine(SETTINGS), ["b", "a", "b", "b", "a"], [5, 1, 3, 5, 0], 0.0)
    flag = np.zeros(5, np.uint8)
    assert in_order(whole, flag, Flag.ACCEPTED).tolist() == [2, 0, 4, 1]
    assert flag.tolist() == [0, 0, 0, Flag.DUPLICATE, 0]


def test_runs_start_where_the_driver_changes() -> None:
    assert run_starts(np.array([0, 0, 0, 2, 5, 5])).tolist() == [0, 3, 4]
    assert run_starts(np.empty(0, np.int64)).tolist() == []
