"""What Prometheus sees, read from the parts of the server when it asks."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from api.services import Services


class ServerCollector(Collector):
    """Counts are kept by those who do the work; this only names and documents them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it is now."""
        s = self._services
        yield _counters("tracker_fixes", "Fixes by what became of them.", "result", s.line.counts)
        retold = "Events that late fixes told or changed: late, amended (a new version), withdrawn."
        told = Counter({result: s.historian.counts[result] for result in ("late", "amended", "withdrawn")})
        yield _counters("tracker_retold_events", retold, "result", told)
        frames = Counter({result: s.hub.counts[result] for result in ("delivered", "conflated", "dropped")})
        yield _counters(
            "tracker_frames",
            "Messages to subscribers: delivered, conflated (a newer position overtook it), dropped with a slow reader.",
            "result",
            frames,
        )
        letters = "Personal messages by what became of them: acknowledged, expired, retried, crowded_out."
        mail = {result: s.mailroom.counts[result] for result in ("acknowledged", "expired", "retried", "crowded_out")}
        yield _counters("tracker_personal_messages", letters, "result", mail)
        slow = "Connections that were closed because they did not read what they subscribed to."
        yield CounterMetricFamily("tracker_slow_connections", slow, s.hub.counts["slow"])
        retries = "Transactions tried again because the store was unavailable."
        yield CounterMetricFamily("tracker_commit_retries", retries, s.writer.retries)
        refused = "Commits that the store refused for good."
        yield CounterMetricFamily("tracker_commits_refused", refused, s.writer.refused)
        upkeep = "What was done for the store: merged_hours, simplified_hours, dropped_tracks, deleted_rows."
        yield _counters("tracker_upkeep", upkeep, "work", s.upkeep.counts)
        yield GaugeMetricFamily("tracker_line_full", "1 while reports wait because the store is behind.", s.line.full)
        yield GaugeMetricFamily("tracker_drivers", "Drivers the engine knows.", len(s.engine.driver_ids))
        yield GaugeMetricFamily("tracker_orders", "Orders that have not ended.", len(s.engine.orders))
        yield from self._eta()

    def _eta(self) -> Iterator[Metric]:
        board = self._services.scoreboard
        label = "distance"
        yield _counters("tracker_eta_predictions", "Announced ETAs whose order was reached.", label, board.predictions)
        held = "Of those, how many were reached within the interval; 0.8 of them should be."
        yield _counters("tracker_eta_held", held, label, board.held)
        error = "Sum of their absolute errors; divided by their number it is the mean absolute error."
        yield _counters("tracker_eta_error_seconds", error, label, board.error_s)
        late = "Sum of actual less predicted arrivals; above 0, drivers come later than was said."
        bias = GaugeMetricFamily("tracker_eta_bias_seconds", late, labels=[label])
        for group, total in board.bias_s.items():
            bias.add_metric([group], total)
        yield bias
        model = "Version of the model that arrivals are predicted by; 0 has learned nothing."
        yield GaugeMetricFamily("tracker_eta_model", model, self._services.engine.eta_model.version)


def _counters(name: str, documentation: str, label: str, counts: Mapping[str, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
