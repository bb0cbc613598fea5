import numpy as np
import pytest

from geo.earth import distance
from tests.fixes import place
from tracker import corridors
from tracker.corridors import KEPT, MOST_ENDS, Corridors


def drive(*corners: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Positions each ten metres along corners, metres east and north of the place."""
    east, north = np.array(corners, float).T
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(east), np.diff(north)))])
    at = np.arange(0.0, along[-1] + 1, 10.0)
    return place(np.interp(at, along, east), np.interp(at, along, north))


def point(east: float, north: float = 0.0) -> tuple[float, float]:
    latitude, longitude = place(east, north)
    return float(latitude), float(longitude)


def known(*drives: tuple[np.ndarray, np.ndarray]) -> Corridors:
    found: Corridors = {}
    for each in drives:
        corridors.add(found, *each)
    return found


def length(way: np.ndarray) -> float:
    return float(distance(way[0, :-1], way[1, :-1], way[0, 1:], way[1, 1:]).sum())


AROUND = drive((0, 0), (0, 2000), (3000, 2000), (3000, 0))


def test_the_way_that_was_driven_is_the_usual_one_also_from_half_way() -> None:
    found = known(AROUND)
    whole = corridors.between(found, point(20.0), point(3000.0, 40.0))
    assert whole is not None
    assert length(whole) == pytest.approx(7000, rel=0.02)
    rest = corridors.between(found, point(1500.0, 2060.0), point(3000.0))
    assert rest is not None
    assert length(rest) == pytest.approx(3500, rel=0.05)


@pytest.mark.parametrize(("start", "end"), [((1500, 1000), (3000, 0)), ((0, 0), (3000, 400)), ((3000, 0), (3000, 0))])
def test_no_way_is_known_from_aside_or_to_elsewhere(start: tuple[float, float], end: tuple[float, float]) -> None:
    assert corridors.between(known(AROUND), point(*start), point(*end)) is None
    assert corridors.between({}, point(*start), point(*end)) is None


def test_the_newest_drive_counts_and_few_are_kept() -> None:
    straight = drive((0, 0), (3000, 0))
    found = known(*[AROUND] * 9, straight)
    way = corridors.between(found, point(0.0), point(3000.0))
    assert way is not None
    assert length(way) == pytest.approx(3000, rel=0.02)
    assert [len(drives) for drives in found.values()] == [KEPT]


def test_ends_that_nobody_drives_to_any_more_are_forgotten() -> None:
    found: Corridors = {i: [np.zeros((2, 2))] for i in range(MOST_ENDS)}
    corridors.add(found, *AROUND)
    assert len(found) == MOST_ENDS
    assert 0 not in found


def test_a_round_is_known_as_far_as_its_parts_are() -> None:
    found = known(drive((0, 0), (1000, 0)), drive((1000, 0), (1000, 1000), (2000, 1000)))
    stops = np.array([point(1000), point(2000, 1000), point(9000)])
    assert length(corridors.through(found, point(0), stops)) == pytest.approx(3000, rel=0.03)
    assert corridors.through(found, point(0), stops[::-1]).shape == (2, 0)
