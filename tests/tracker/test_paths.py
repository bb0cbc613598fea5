import numpy as np
import pytest

from geo.speeds import HOURS, cell_of, flat_speeds, known_speeds
from tests.fixes import T0, place
from tracker.paths import PathTable, planned, reckon, seconds_at
from tracker.records import Legs, Route


def route(*corners: tuple[float, float]) -> Route:
    """A route along corners, metres east and north of the place."""
    path = [[float(x) for x in reversed(place(east, north))] for east, north in corners]
    return Route(route_id="r", driver_id="d", stops=[], path=path)


def table(*routes: Route) -> PathTable:
    paths = PathTable()
    paths.fit(len(routes))
    for driver, each in enumerate(routes):
        paths.put(driver, planned(each))
    return paths


def drive(driver: int, east: list[float], north: list[float]) -> Legs:
    """Legs of a driver from point to point, ten seconds each."""
    latitude, longitude = place(np.array(east), np.array(north))
    t = T0 + 10.0 * np.arange(len(east))
    n = len(east) - 1
    drivers, sigma, length = np.full(n, driver), np.full(n, 3.0), np.full(n, np.nan)
    return Legs(
        drivers, t[:-1], latitude[:-1], longitude[:-1], t[1:], latitude[1:], longitude[1:], sigma, length, t[1:]
    )


def test_a_driver_is_followed_along_his_own_path_and_lost_far_off_it() -> None:
    paths = table(route((0, 0), (3000, 0)), route((0, 0), (0, 3000)))
    assert paths.follow(drive(0, [0, 100, 200], [0, 5, 0])) == pytest.approx([100, 200], abs=1)
    assert paths.follow(drive(1, [0, 0, 900], [0, 300, 400])) == pytest.approx([300, np.nan], abs=1, nan_ok=True)


def test_stops_lie_along_the_path_in_turn_and_may_be_off_it() -> None:
    paths = table(route((0, 0), (1000, 0), (1000, 20), (0, 20)))
    stops = [place(east, north) for east, north in [(400, 0), (600, 2), (400, 18), (400, 900)]]
    latitude, longitude = (np.array(column, float) for column in zip(*stops, strict=True))
    assert paths.place(0, latitude, longitude) == pytest.approx([400, 600, 1620, np.nan], abs=2, nan_ok=True)


@pytest.mark.parametrize(
    "path", [None, [], [[121.0, 25.0]], [[121.0, 25.0], [121.0, 25.0]], [[121.0, 25.0], [float("nan"), 25.0]]]
)
def test_a_path_that_is_no_way_is_no_path(path: list[list[float]] | None) -> None:
    paths = table(Route(route_id="r", driver_id="d", stops=[], path=path))
    assert np.isnan(paths.follow(drive(0, [0, 100], [0, 0]))).all()
    assert np.isnan(paths.place(0, np.array([25.0]), np.array([121.0]))).all()


def test_seconds_along_a_path_are_those_of_its_cells_in_this_hour() -> None:
    paths = table(route((0, 0), (500, 0), (1500, 0)))
    latitude, longitude = (float(x) for x in place(1375.0))
    speeds = flat_speeds(5.0, 1.35)
    times = paths.times
    reckon(times, 0, speeds, T0)
    assert seconds_at(times, 0, 1000.0) == pytest.approx(200, rel=1e-3)
    cell, one_way = np.array([cell_of(latitude, longitude)]), np.array([[2.0], [1.0], [1.0], [1.0]])
    slow = known_speeds(cell, np.full((HOURS, 1), 0.6), one_way, speeds.anywhere, speeds.circuity)
    reckon(times, 0, slow, T0)
    assert seconds_at(times, 0, 1500.0) == pytest.approx(300, rel=1e-3)  # reckoned already
    paths.forget_times()
    reckon(times, 0, slow, T0)
    assert seconds_at(times, 0, 1500.0) == pytest.approx(300 + 250, rel=1e-3)


def test_many_paths_come_and_go() -> None:
    paths = table(*[route((0, 0), (1000.0 + i, 0)) for i in range(20)])
    for i in range(0, 20, 2):
        paths.put(i, planned(None))
    paths.put(4, planned(route((0, 0), (0, 500))))
    for driver in (1, 19, 4):
        reckon(paths.times, driver, flat_speeds(1.0, 1.35), T0)
    assert seconds_at(paths.times, 19, 2000.0) == pytest.approx(1019, rel=1e-3)
    assert seconds_at(paths.times, 4, 2000.0) == pytest.approx(500, rel=1e-3)
