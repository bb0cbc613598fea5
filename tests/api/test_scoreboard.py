from api.scoreboard import Scoreboard
from tests.tracker.test_scores import score


def test_sums_by_distance_to_go() -> None:
    board = Scoreboard()
    board.add([score(arrived_at=700.0), score(arrived_at=400.0)])
    board.add([score(metres=100.0)])
    far, near, none = "2-5 km", "under 0.5 km", "over 50 km"
    assert [board.predictions[group] for group in (far, near, none)] == [2, 1, 0]
    assert [board.error_s[group] for group in (far, near, none)] == [300.0, 0.0, 0.0]
    assert [board.bias_s[group] for group in (far, near, none)] == [-100.0, 0.0, 0.0]
    assert [board.held[group] for group in (far, near, none)] == [1, 1, 0]
