import numpy as np
import pytest

from tests.fixes import T0, batch
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.gate import admit, in_order, run_starts
from tracker.records import FixBatch
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()


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
    assert admit(one(**changes), np.array([-np.inf]), SETTINGS).tolist() == [flag]


def test_what_is_not_newer_is_late_or_a_duplicate() -> None:
    assert admit(one(), np.array([T0]), SETTINGS).tolist() == [Flag.DUPLICATE]
    assert admit(one(), np.array([T0 + 1]), SETTINGS).tolist() == [Flag.LATE]
    assert admit(one(), np.array([T0 - 1]), SETTINGS).tolist() == [Flag.ACCEPTED]


def test_order_is_by_driver_then_time_and_the_first_of_two_alike_stays() -> None:
    whole = batch(Engine(SETTINGS), ["b", "a", "b", "b", "a"], [5, 1, 3, 5, 0], 0.0)
    flag = np.zeros(5, np.uint8)
    assert in_order(whole, flag, Flag.ACCEPTED).tolist() == [2, 0, 4, 1]
    assert flag.tolist() == [0, 0, 0, Flag.DUPLICATE, 0]


def test_runs_start_where_the_driver_changes() -> None:
    assert run_starts(np.array([0, 0, 0, 2, 5, 5])).tolist() == [0, 3, 4]
    assert run_starts(np.empty(0, np.int64)).tolist() == []
