import numpy as np
import pytest

from geo.speeds import ANY, hour_of, pace_at
from tests.fixes import T0, place
from tracker.learning import MOST_CELLS, Learned
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()


def drive(learned: Learned, speed: float, *, north: float = 0.0, t0: float = T0, seconds: int = 400, **kind) -> None:
    """A drive east at one speed, a fix each five seconds."""
    t = np.arange(0.0, seconds, 5.0)
    learned.add_trip(t0 + t, *place(speed * t, np.full(len(t), north)), **kind)


def pace(learned: Learned, east: float, north: float, t: float) -> float:
    latitude, longitude = (float(x) for x in place(east, north))
    return 1.0 / pace_at(learned.model(1, SETTINGS).speeds, latitude, longitude, hour_of(t), ANY)


def test_nothing_learned_is_what_the_settings_say() -> None:
    model = Learned().model(1, SETTINGS)
    assert model.speeds.circuity == pytest.approx(SETTINGS.circuity)
    assert model.speeds.anywhere == pytest.approx(1 / SETTINGS.default_speed_mps)
    assert model.service.fleet_s == pytest.approx(SETTINGS.service_s)


def test_much_driven_cells_have_their_own_speed_and_others_lie_between_it_and_the_default() -> None:
    learned = Learned()
    for _ in range(30):
        drive(learned, 12.0)
        drive(learned, 3.0, north=5000.0)
    assert pace(learned, 500.0, 0.0, T0) == pytest.approx(12, rel=0.1)
    assert pace(learned, 500.0, 5000.0, T0) == pytest.approx(3, rel=0.1)
    assert 3 < pace(learned, 500.0, 9000.0, T0) < 12


def test_an_hour_of_the_week_has_its_own_speed_where_much_was_driven_in_it() -> None:
    learned = Learned()
    for _ in range(30):
        drive(learned, 12.0, seconds=200)
        drive(learned, 4.0, t0=T0 + 6 * 3600, seconds=600)
    assert pace(learned, 500.0, 0.0, T0) > 1.8 * pace(learned, 500.0, 0.0, T0 + 6 * 3600)
    assert pace(learned, 500.0, 9000.0, T0) > pace(learned, 500.0, 9000.0, T0 + 6 * 3600)  # elsewhere too
    between = pace(learned, 500.0, 0.0, T0 + 50 * 3600)
    assert 4 < between < 12


def test_a_way_through_a_cell_has_its_own_speed_where_much_was_driven_that_way() -> None:
    learned, t = Learned(), np.arange(0.0, 400.0, 5.0)
    for _ in range(30):
        drive(learned, 12.0)
        learned.add_trip(T0 + t, *place(np.maximum(1600.0 - 6.0 * t, 0.0)))  # and back at half the speed
    speeds = learned.model(1, SETTINGS).speeds
    latitude, longitude = (float(x) for x in place(500.0, 0.0))
    east, north, west = (1.0 / pace_at(speeds, latitude, longitude, hour_of(T0), heading) for heading in (0, 1, 2))
    assert (east, west) == (pytest.approx(12, rel=0.1), pytest.approx(6, rel=0.1))
    assert north == pytest.approx(pace(learned, 500.0, 0.0, T0))


def test_breaks_and_silences_are_not_the_roads() -> None:
    learned = Learned()
    t = np.concatenate([np.arange(0.0, 200.0, 5.0), np.arange(2000.0, 2900.0, 5.0), np.arange(2900.0, 3100.0, 5.0)])
    moving = np.clip(t, 0, 200) + np.clip(t - 2900, 0, 200)
    for _ in range(20):
        learned.add_trip(T0 + t, *place(10 * moving))
    assert pace(learned, 500.0, 0.0, T0) == pytest.approx(10, rel=0.1)


def test_circuity_is_how_much_further_whole_trips_were_than_straight() -> None:
    learned = Learned()
    t = np.arange(0.0, 300.0, 5.0)
    corner = place(np.minimum(10 * t, 1500.0), np.maximum(10 * t - 1500.0, 0.0))
    for _ in range(40):
        learned.add_trip(T0 + t, *corner)
        drive(learned, 10.0, whole=False)
    assert learned.model(1, SETTINGS).speeds.circuity == pytest.approx(np.sqrt(2), abs=0.03)


@pytest.mark.parametrize("fixes", [0, 1, 2])
def test_a_trip_of_hardly_a_fix_is_harmless(fixes: int) -> None:
    learned = Learned()
    learned.add_trip(np.full(fixes, T0), np.full(fixes, 25.0), np.full(fixes, 121.0))
    assert np.isfinite(learned.model(1, SETTINGS).speeds.anywhere).all()


def test_stops_teach_service_times() -> None:
    learned = Learned()
    for _ in range(20):
        learned.add_stop("d", "shop", 60.0)
        learned.add_stop("e", "tower", 1e9)  # at most an hour
    service = learned.model(1, SETTINGS).service
    assert service.expected("d", "shop") == pytest.approx(60, abs=80)
    assert service.expected("e", "tower") > 3000
    assert service.expected("d", "new") < service.expected("f", "new") < service.expected("e", "new")


def test_what_was_learned_fades_and_is_bounded() -> None:
    learned = Learned()
    drive(learned, 12.0)
    learned.add_stop("d", "shop", 60.0)
    before = learned.driven.sum()
    learned.forget(60.0)
    assert learned.driven.sum() == pytest.approx(before / 2)
    learned.forget(1000.0)
    assert learned.by_place == {}
    learned.cell = np.arange(MOST_CELLS + 5)
    learned.driven, learned.headed = np.ones((2, MOST_CELLS + 5, 168)), np.ones((2, MOST_CELLS + 5, 4))
    learned.driven[:, 7] = 0.0
    learned.forget(0.0)
    assert len(learned.cell) == MOST_CELLS
    assert 7 not in learned.cell
