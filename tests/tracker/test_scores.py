import msgspec
import numpy as np
import pytest

from geo.intervals import COLD, cold_intervals, quantiles
from tests.tracker.test_announce import delivery
from tracker.scores import Score, accuracy, distance_group, learned_intervals, scores

ASSUMED = cold_intervals()


def score(**changes) -> Score:
    given = dict(
        event_id="e", order_id="o", driver_id="d", predicted_at=0.0, arrived_at=600.0, eta=600.0, eta_low=500.0,
        eta_high=800.0, reckoned_s=600.0, metres=3000.0, stops=0, model=1,
    )  # fmt: skip
    return Score(**(given | changes))


def test_what_was_announced_for_the_driver_who_came_is_scored() -> None:
    arrival = delivery(occurred_at=1000.0)
    told = [
        delivery(event_id="a", kind="eta_changed", detected_at=400.0, eta=900.0, eta_low=800.0, eta_high=1200.0,
                 evidence={"metres": 4000, "stops": 2, "reckoned": 450.0, "model": 7}),
        delivery(event_id="b", kind="en_route", detected_at=500.0, eta=990.0),
        delivery(event_id="c", kind="eta_changed", detected_at=500.0),  # withdrawn: nothing was promised
        delivery(event_id="d", kind="eta_changed", detected_at=500.0, eta=900.0, driver_id="another"),
        delivery(event_id="e", kind="eta_changed", detected_at=1001.0, eta=1002.0),
    ]  # fmt: skip
    first, second = scores(told, arrival)
    assert (first.event_id, first.predicted_at, first.arrived_at, first.eta) == ("a", 400.0, 1000.0, 900.0)
    assert (first.reckoned_s, first.metres, first.stops, first.model) == (450.0, 4000, 2, 7)
    assert (second.event_id, second.eta_low, second.eta_high, second.metres) == ("b", 990.0, 990.0, None)


def test_errors_and_coverage_by_group() -> None:
    found = [
        score(arrived_at=700.0),
        score(arrived_at=550.0, driver_id="e"),
        score(arrived_at=450.0, driver_id="e"),
        score(arrived_at=900.0, driver_id="e"),
    ]
    (whole,) = accuracy(found)
    assert whole.group == "all"
    assert (whole.predictions, whole.mae_s, whole.bias_s) == (4, 150.0, 50.0)
    assert (whole.coverage, whole.early, whole.late) == (0.5, 0.25, 0.25)
    assert whole.mape == pytest.approx(np.mean([100 / 700, 50 / 550, 150 / 450, 300 / 900]), abs=1e-4)
    assert [(g.group, g.predictions, g.mae_s) for g in accuracy(found, "driver")] == [("d", 1, 100.0), ("e", 3, 166.7)]
    assert accuracy([]) == []


def test_groups_are_in_order() -> None:
    found = [score(metres=m, predicted_at=t) for m, t in [(12_000.0, 36_000.0), (400.0, 7200.0), (None, 90_000.0)]]
    assert [g.group for g in accuracy(found, "distance")] == ["unknown", "under 0.5 km", "10-20 km"]
    assert [g.group for g in accuracy(found, "hour")] == ["01", "02", "10"]
    assert distance_group(1e9)[1] == "over 50 km"
    assert accuracy([score(predicted_at=590.0)])[0].mape is None


def test_without_scores_intervals_are_as_assumed() -> None:
    strayed = learned_intervals([], ASSUMED).strayed
    assert strayed[0, 2] == pytest.approx(COLD, abs=0.06)


def test_intervals_hold_four_of_five_of_the_trips_to_come() -> None:
    rng = np.random.default_rng(1)

    def trips(n: int) -> list[Score]:
        reckoned = np.exp(rng.uniform(np.log(120), np.log(3000), n))
        actual = reckoned * 1.3 * np.exp(rng.normal(0, 0.25, n))  # slower than reckoned
        return [score(reckoned_s=float(r), arrived_at=float(a), model=2) for r, a in zip(reckoned, actual, strict=True)]

    intervals = learned_intervals(trips(1500), ASSUMED)
    coming = trips(1500)
    low, middle, high = np.array([quantiles(intervals, s.reckoned_s, 0) for s in coming]).T
    actual = np.array([s.arrived_at for s in coming])
    assert ((low <= actual) & (actual <= high)).mean() == pytest.approx(0.8, abs=0.04)
    assert (actual < middle).mean() == pytest.approx(0.5, abs=0.05)
    before = [msgspec.structs.replace(s, model=model) for model in (None, 0) for s in trips(300)]
    assert learned_intervals(before, ASSUMED).strayed[0, 2] == pytest.approx(
        COLD, abs=0.06
    )  # of before anything was learned
    assert learned_intervals(trips(1500), ASSUMED).strayed[1, 2] == pytest.approx(
        COLD, abs=0.06
    )  # through stops: unknown yet
