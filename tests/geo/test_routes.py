import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.routes import Floats, Path, Paths, Progress, follow
from tests.fixes import place


def path(*points: tuple[float, float]) -> Path:
    east, north = np.array(points, float).T
    return Path.of(*place(east, north))


def test_distance_along_and_off() -> None:
    street = path((0, 0), (1000, 0), (1000, 500))
    latitude, longitude = place(400.0, 30.0)
    along, off = street.locate(float(latitude), float(longitude))
    assert along == pytest.approx(400, abs=0.5)
    assert off == pytest.approx(30, abs=0.1)
    assert street.along[-1] == pytest.approx(1500, abs=1)


def test_a_window_keeps_to_the_right_pass_of_a_path_that_comes_back() -> None:
    there_and_back = path((0, 0), (1000, 0), (1000, 10), (0, 10))
    latitude, longitude = (float(x) for x in place(400.0, 6.0))
    assert there_and_back.locate(latitude, longitude)[0] == pytest.approx(1610, abs=1)
    assert there_and_back.locate(latitude, longitude, since=300, until=700)[0] == pytest.approx(400, abs=1)


def test_an_empty_window_is_nowhere() -> None:
    assert np.isnan(path((0, 0), (10, 0)).locate(25.0, 121.5, since=11)).all()


def test_a_vertex_twice_does_no_harm() -> None:
    latitude, longitude = (float(x) for x in place(0.0, 0.0))
    assert path((0, 0), (0, 0), (10, 0)).locate(latitude, longitude) == (0.0, 0.0)


@given(st.floats(0, 1), st.integers(0, 3))
def test_a_point_on_the_path_is_found_on_it(share: float, leg: int) -> None:
    points = [(0, 0), (300, 0), (300, 400), (-100, 900), (-700, 900)]
    street = path(*points)
    (x0, y0), (x1, y1) = points[leg], points[leg + 1]
    latitude, longitude = place(x0 + share * (x1 - x0), y0 + share * (y1 - y0))
    along, off = street.locate(float(latitude), float(longitude))
    assert off < 0.5
    expected = street.along[leg] + share * (street.along[leg + 1] - street.along[leg])
    assert along == pytest.approx(expected, abs=1.0)


# Many drivers along their paths

OUT_AND_BACK = [(0, 0), (2000, 0), (2000, 12), (0, 12)]
FIGURE_OF_EIGHT = [(0, 0), (1000, 0), (1000, 500), (500, 500), (500, -500), (0, -500)]


def drive(
    path: list[tuple[float, float]], positions: list[tuple[float, float]], step_s: float = 5.0
) -> tuple[Floats, Floats]:
    """Metres along and off at each of the positions of one driver, `step_s` apart."""
    paths, progress = one(path), Progress.empty(1)
    return advance(paths, progress, positions, step_s)


def one(path: list[tuple[float, float]]) -> Paths:
    paths = Paths()
    paths.put(0, *place(*np.array(path, float).T))
    return paths


def advance(
    paths: Paths, progress: Progress, positions: list[tuple[float, float]], step_s: float = 5.0, first: int = 0
) -> tuple[Floats, Floats]:
    latitude, longitude = place(*np.array(positions, float).T)
    n = len(latitude)
    time = step_s * np.arange(first, first + n)
    before = [np.concatenate([column[:1], column[:-1]]) for column in (latitude, longitude)]
    return follow(paths, progress, np.zeros(n, np.int64), time, *before, latitude, longitude, np.full(n, 3.0))


def along_line(start: tuple[float, float], end: tuple[float, float], n: int) -> list[tuple[float, float]]:
    return list(zip(*np.linspace(start, end, n).T.tolist(), strict=True))


def test_a_street_driven_twice_is_driven_in_turn() -> None:
    there, back = along_line((0, 7), (1990, 7), 40), along_line((1990, 7), (0, 7), 40)
    along, _ = drive(OUT_AND_BACK, there + back[1:])
    np.testing.assert_allclose(along[:40], [x for x, _ in there], atol=20)
    np.testing.assert_allclose(along[40:], [4012 - x for x, _ in back[1:]], atol=20)


def test_a_path_that_crosses_itself_is_not_cut_short() -> None:
    along, _ = drive(FIGURE_OF_EIGHT, along_line((0, 0), (1000, 0), 21))
    np.testing.assert_allclose(along, np.linspace(0, 1000, 21), atol=20)


def test_a_driver_who_starts_in_the_middle() -> None:
    along, _ = drive(FIGURE_OF_EIGHT, along_line((1000, 200), (1000, 500), 7))
    np.testing.assert_allclose(along, np.linspace(1200, 1500, 7), atol=1)


def test_a_round_starts_at_its_start() -> None:
    along, _ = drive([(0, 0), (1000, 0), (1000, 1000), (0, 1000), (0, 0)], [(0, 1)])
    assert along == pytest.approx(0, abs=2)


def test_a_skipped_loop_is_skipped() -> None:
    loop = [(0, 0), (500, 0), (500, 800), (600, 800), (600, 0), (2000, 0)]
    along, _ = drive(loop, along_line((0, 0), (2000, 0), 41))
    assert along[-1] == pytest.approx(3600, abs=1)
    np.testing.assert_allclose(along[-20:], np.linspace(1050, 2000, 20) + 1600, atol=5)


def test_a_detour_is_off_the_route_and_joins_it_further_on() -> None:
    detour = [*along_line((0, 0), (500, 0), 11), *along_line((500, 60), (500, 410), 8)]
    detour += [*along_line((550, 410), (1000, 410), 10), *along_line((1000, 350), (1000, 0), 8)]
    detour += along_line((1050, 0), (1500, 0), 10)
    paths, progress = one([(0, 0), (2000, 0)]), Progress.empty(1)
    along, off = advance(paths, progress, detour[:20])
    assert off[-1] == pytest.approx(410, abs=1) and along[-1] == pytest.approx(500, abs=1)
    assert progress.off_since[0] == 55.0
    along, off = advance(paths, progress, detour[20:], first=20)
    np.testing.assert_allclose(along[-10:], np.linspace(1050, 1500, 10), atol=1)
    assert np.isnan(progress.off_since[0])


def test_a_driver_who_goes_back_is_found_there() -> None:
    back = [*along_line((0, 0), (1000, 0), 21), *along_line((950, 0), (200, 0), 16), *along_line((200, 0), (400, 0), 5)]
    along, _ = drive([(0, 0), (2000, 0)], back)
    assert along[-1] == pytest.approx(400, abs=1)


def test_a_driver_who_stands_does_not_get_on() -> None:
    noise = np.array([1990.0, 0.0]) + np.random.default_rng(3).normal(0, 3, (60, 2))
    along, _ = drive(OUT_AND_BACK, [*along_line((1800, 0), (1990, 0), 5), *map(tuple, noise)])
    assert along[-1] < 2005


def test_no_path_no_progress() -> None:
    paths, progress = one([(0, 0), (10, 0)]), Progress.empty(3)
    rows, at = np.array([0, 1, 2]), [np.full(3, float(x)) for x in place(5.0, 0.0)]
    along, _ = follow(paths, progress, rows, np.zeros(3), *at, *at, np.ones(3))
    np.testing.assert_array_equal(np.isnan(along), [False, True, True])
    np.testing.assert_array_equal(paths.has(rows), [True, False, False])
    assert not Paths().has(rows).any()


def test_a_path_is_replaced_and_dropped_in_bounded_memory() -> None:
    paths = Paths()
    for i in range(500):
        latitude, longitude = place(np.linspace(0, 100 + i, 20), np.zeros(20))
        paths.put(i % 7, latitude, longitude)
    np.testing.assert_allclose(
        paths.length(np.arange(7)), [100 + i for i in (497, 498, 499, 493, 494, 495, 496)], rtol=1e-3
    )
    assert paths.vertices.shape[1] <= 4 * 7 * 20
    paths.drop(3)
    np.testing.assert_array_equal(paths.has(np.arange(8)), [True, True, True, False, True, True, True, False])


def test_stops_are_made_in_turn_also_where_the_path_comes_back() -> None:
    latitude, longitude = place(np.array([1500.0, 500.0, 1500.0, 400.0]), np.array([3.0, 3.0, 8.0, 8.0]))
    along, off = one(OUT_AND_BACK).stops_along(0, latitude[[1, 2, 3]], longitude[[1, 2, 3]])
    np.testing.assert_allclose(along, [500, 2512, 3612], atol=1)
    np.testing.assert_allclose(off, [3, 4, 4], atol=0.1)
    along, _ = one(OUT_AND_BACK).stops_along(0, latitude[:2], longitude[:2])
    np.testing.assert_allclose(along, [1500, 3512], atol=1)


def test_a_path_over_the_antimeridian() -> None:
    paths, progress = Paths(), Progress.empty(1)
    paths.put(0, np.zeros(3), np.array([179.99, -179.99, -179.98]))
    longitude = np.array([179.995, -179.995, -179.985])
    along, off = follow(
        paths,
        progress,
        np.zeros(3, np.int64),
        np.array([0.0, 60, 120]),
        *np.zeros((2, 3)),
        np.zeros(3),
        longitude,
        np.ones(3),
    )
    np.testing.assert_allclose(along, np.array([0.005, 0.015, 0.025]) * 111_319.5, rtol=1e-3)
    assert off.max() < 0.1


POINT = st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000))


@settings(deadline=None)
@given(st.lists(POINT, min_size=2, max_size=12), st.lists(POINT, min_size=1, max_size=40), st.floats(0, 120), st.data())
def test_progress_is_on_the_path_and_any_batching_gives_the_same(
    path: list[tuple[float, float]], positions: list[tuple[float, float]], step_s: float, data: st.DataObject
) -> None:
    whole, _ = drive(path, positions, step_s)
    paths, progress = one(path), Progress.empty(1)
    cut = data.draw(st.integers(0, len(positions)))
    parts: list[Floats] = []
    known = ~np.isnan(whole)
    assert (whole[known] >= 0).all() and (whole[known] <= paths.length(np.array([0]))[0] + 1e-6).all()
    assert not np.isinf(whole).any()
    latitude, longitude = place(*np.array(positions, float).T)
    before = [np.concatenate([column[:1], column[:-1]]) for column in (latitude, longitude)]
    time = step_s * np.arange(len(positions))
    for part in (slice(0, cut), slice(cut, None)):
        columns = [column[part] for column in (time, *before, latitude, longitude)]
        n = len(columns[0])
        parts.append(follow(paths, progress, np.zeros(n, np.int64), *columns, np.full(n, 3.0))[0])
    np.testing.assert_array_equal(np.concatenate(parts), whole)
