"""Every ETA that was announced against the arrival: how far off it was, and whether its interval held."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np

from geo.intervals import Intervals, fitted
from tracker.records import Delivery

Grouping = Literal["hour", "driver", "distance", "stops", "model"]
DISTANCES_M = (500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0, 50_000.0)
"""Bounds between the groups of a distance to go."""
FRESH = 3.0
"""Power by which an earlier version counts less than the newest."""
LEAST_TIME_S = 60.0
"""Predictions less than this before the arrival do not count in MAPE: a share of next to nothing says nothing."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One announced prediction and what happened. Unix seconds."""

    event_id: str  # of the announcement
    order_id: str
    driver_id: str
    predicted_at: float
    arrived_at: float
    eta: float
    eta_low: float
    eta_high: float
    reckoned_s: float | None = None
    metres: float | None = None
    stops: int | None = None
    model: int | None = None


def scores(predictions: Iterable[Delivery], arrival: Delivery) -> list[Score]:
    """Of the announcements of an order, those that its driver's arrival decides."""
    return [
        Score(
            event_id=event.event_id,
            order_id=event.order_id,
            driver_id=event.driver_id,
            predicted_at=event.detected_at,
            arrived_at=arrival.occurred_at,
            eta=event.eta,
            eta_low=event.eta if event.eta_low is None else event.eta_low,
            eta_high=event.eta if event.eta_high is None else event.eta_high,
            reckoned_s=event.evidence.get("reckoned"),
            metres=event.evidence.get("metres"),
            stops=event.evidence.get("stops"),
            model=event.evidence.get("model"),
        )
        for event in predictions
        if event.eta is not None
        and event.driver_id == arrival.driver_id
        and event.detected_at <= arrival.occurred_at
        and not event.withdrawn
    ]


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Of a group of predictions."""

    group: str
    predictions: int
    mae_s: float
    bias_s: float
    """Mean of actual less predicted; above 0, drivers come later than was said."""
    mape: float | None
    """Mean of |error| / time to go, of predictions a minute or more ahead."""
    coverage: float
    """Share of arrivals within the interval; 0.8 is what it should be."""
    early: float
    """Share before it; 0.1 is what it should be."""
    late: float
    """Share after it; 0.1 is what it should be."""


def accuracy(found: Sequence[Score], by: Grouping | None = None) -> list[Accuracy]:
    """How good predictions were, by group in order; one group `all` where `by` is None."""
    groups: dict[tuple[float, str], list[Score]] = {}
    for score in found:
        groups.setdefault((0.0, "all") if by is None else _GROUPS[by](score), []).append(score)
    return [_accuracy(name, groups[order, name]) for order, name in sorted(groups)]


def _accuracy(group: str, members: Sequence[Score]) -> Accuracy:
    columns = [(s.predicted_at, s.arrived_at, s.eta, s.eta_low, s.eta_high) for s in members]
    predicted_at, arrived, eta, low, high = np.array(columns).T
    error, to_go = arrived - eta, arrived - predicted_at
    ahead = to_go >= LEAST_TIME_S
    return Accuracy(
        group=group,
        predictions=len(members),
        mae_s=round(float(np.abs(error).mean()), 1),
        bias_s=round(float(error.mean()), 1),
        mape=round(float((np.abs(error[ahead]) / to_go[ahead]).mean()), 4) if ahead.any() else None,
        coverage=round(float(((low <= arrived) & (arrived <= high)).mean()), 4),
        early=round(float((arrived < low).mean()), 4),
        late=round(float((arrived > high).mean()), 4),
    )


def distance_groups() -> list[str]:
    """The names of all groups of a distance to go, the nearest first."""
    return [distance_group(metres)[1] for metres in (None, 0.0, *DISTANCES_M)]


def distance_group(metres: float | None) -> tuple[float, str]:
    """The group of a distance to go: what it is sorted by, and its name, such as 1-2 km."""
    if metres is None:
        return -1.0, "unknown"
    i = int(np.searchsorted(DISTANCES_M, metres, "right"))
    names = [f"{bound / 1000:g}" for bound in DISTANCES_M]
    if i == 0:
        return 0.0, f"under {names[0]} km"
    return float(i), f"{names[i - 1]}-{names[i]} km" if i < len(names) else f"over {names[-1]} km"


_GROUPS: dict[Grouping, Callable[[Score], tuple[float, str]]] = {
    "hour": lambda score: (hour := score.predicted_at // 3600 % 24, f"{hour:02.0f}"),
    "driver": lambda score: (0.0, score.driver_id),
    "distance": lambda score: distance_group(score.metres),
    "stops": lambda score: (-1.0, "unknown") if score.stops is None else (score.stops, str(score.stops)),
    "model": lambda score: (-1.0, "unknown") if score.model is None else (score.model, str(score.model)),
}


def learned_intervals(found: Sequence[Score], assumed: Intervals) -> Intervals:
    """Intervals from how far trips strayed from what was reckoned, drawn to those that are assumed without any.

    What an earlier model reckoned counts less, and what was reckoned before anything was learned not at all: else what
    speeds have learned would be corrected a second time.
    """
    known = [(s.reckoned_s, s.arrived_at - s.predicted_at, s.stops, s.model) for s in found if s.model and s.reckoned_s]
    reckoned, actual, stops, model = np.array(known, np.float64).reshape(-1, 4).T
    fresh = (model / model.max(initial=1.0)) ** FRESH
    return fitted(reckoned, actual, stops, fresh, assumed)
