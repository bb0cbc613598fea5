"""What announced ETAs were worth since the server started, by distance to go; read by the metrics."""

from collections.abc import Iterable

from tracker.scores import Score, distance_group, distance_groups


class Scoreboard:
    """Sums by the group of the distance to go, as `scores.distance_group` names it."""

    def __init__(self) -> None:
        self.predictions = dict.fromkeys(distance_groups(), 0.0)
        self.error_s = dict.fromkeys(self.predictions, 0.0)
        """Of the absolute errors."""
        self.bias_s = dict.fromkeys(self.predictions, 0.0)
        """Of actual less predicted."""
        self.held = dict.fromkeys(self.predictions, 0.0)
        """Arrivals within their interval."""

    def add(self, found: Iterable[Score]) -> None:
        """Count these."""
        for score in found:
            _, group = distance_group(score.metres)
            error = score.arrived_at - score.eta
            self.predictions[group] += 1
            self.error_s[group] += abs(error)
            self.bias_s[group] += error
            self.held[group] += score.eta_low <= score.arrived_at <= score.eta_high
