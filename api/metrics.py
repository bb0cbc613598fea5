"""What Prometheus sees, read from the parts of the server when it asks."""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from api.services import Services
from tracker.histogram import Histogram

Value = float | Mapping[str, float] | Histogram


class Described(NamedTuple):
    """A metric of the table below; with a `label`, `read` gives the values by it."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    meaning: str
    read: Callable[[Services], Value]
    label: str | None = None

    @property
    def exposed(self) -> str:
        """The name as Prometheus stores it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def counter(name: str, meaning: str, read: Callable[[Services], Value], label: str | None = None) -> Described:
    """Something that only grows."""
    return Described("counter", name, meaning, read, label)


def gauge(name: str, meaning: str, read: Callable[[Services], Value], label: str | None = None) -> Described:
    """Something as it is now."""
    return Described("gauge", name, meaning, read, label)


def histogram(name: str, meaning: str, read: Callable[[Services], Histogram]) -> Described:
    """Values by size."""
    return Described("histogram", name, meaning, read)


def _of_frames(s: Services) -> Mapping[str, float]:
    return {result: s.hub.counts[result] for result in ("delivered", "conflated", "dropped")}


def _sent(s: Services) -> Mapping[str, float]:
    sent = s.meters.answered + s.hub.published
    sent["driver.location"] += s.hub.counts["located"]
    return sent


def _letters(s: Services) -> Mapping[str, float]:
    return {result: s.mailroom.counts[result] for result in ("acknowledged", "expired", "retried", "crowded_out")}


def _retold(s: Services) -> Mapping[str, float]:
    return {result: s.historian.counts[result] for result in ("late", "amended", "withdrawn")}


def _between(s: Services, *results: str) -> Mapping[str, float]:
    return {result: 0 if s.instance is None else s.instance.counts[result] for result in results}


METRICS = (
    # Connections
    gauge("tracker_connections", "WebSockets open and authenticated now.", lambda s: s.meters.connections, "role"),
    histogram("tracker_connection_seconds", "How long connections lasted.", lambda s: s.meters.connection_seconds),
    counter(
        "tracker_closes", "Connections that have ended, by close code; 1006 is none.", lambda s: s.meters.closes, "code"
    ),
    counter(
        "tracker_reconnections",
        "Connections of users whose last one ended less than two minutes before.",
        lambda s: s.meters.reconnections,
    ),
    counter(
        "tracker_resumes",
        "Subscriptions with `since`: recovered, or not_recovered and read the snapshot.",
        lambda s: s.meters.resumes,
        "result",
    ),
    counter(
        "tracker_slow_connections",
        "Connections closed because they did not read what they subscribed to.",
        lambda s: s.hub.counts["slow"],
    ),
    gauge(
        "tracker_paused_connections",
        "Connections that cannot be written to now because their peers do not read.",
        lambda s: s.hub.paused(),
    ),
    # Messages
    counter(
        "tracker_messages_received",
        "Messages of clients by type; location_update and location_batch are `location`.",
        lambda s: s.meters.received,
        "type",
    ),
    counter("tracker_messages_sent", "Messages to clients by type, counted once for each who gets it.", _sent, "type"),
    counter("tracker_errors", "Errors told to clients of the sockets, by code.", lambda s: s.meters.errors, "code"),
    counter(
        "tracker_frames",
        "Frames to subscribers: delivered, conflated (a newer position overtook it), dropped with a slow reader.",
        _of_frames,
        "result",
    ),
    counter("tracker_http_requests", "HTTP requests, by status.", lambda s: s.meters.requests, "status"),
    # Latency
    histogram(
        "tracker_ack_seconds",
        "From the receipt of a report to its acknowledgement, through the commit.",
        lambda s: s.meters.ack_seconds,
    ),
    histogram(
        "tracker_location_seconds",
        "From the receipt of a fix to the position written to its subscribers.",
        lambda s: s.meters.location_seconds,
    ),
    histogram(
        "tracker_event_seconds",
        "From the receipt of fixes to what they caused being published, through the commit.",
        lambda s: s.meters.event_seconds,
    ),
    histogram(
        "tracker_loop_lag_seconds", "How late the event loop turns to what is due.", lambda s: s.meters.lag_seconds
    ),
    # Fixes and the store
    counter(
        "tracker_fixes",
        "Fixes by what became of them: accepted, outlier, late, coarse, duplicate, or the code of the refusal.",
        lambda s: s.line.counts,
        "result",
    ),
    counter(
        "tracker_retold_events",
        "Events that late fixes told or changed: late, amended (a new version), withdrawn.",
        _retold,
        "result",
    ),
    gauge("tracker_intake_fixes", "Fixes that wait for the engine.", lambda s: s.line.waiting_fixes),
    gauge(
        "tracker_writer_fixes",
        "Fixes that wait for the store, or are in its running transaction.",
        lambda s: s.writer.pending_fixes,
    ),
    gauge("tracker_writer_commits", "Commits that wait for the store.", lambda s: s.writer.waiting),
    histogram(
        "tracker_commit_seconds", "How long transactions took, with all their attempts.", lambda s: s.writer.seconds
    ),
    histogram("tracker_commit_fixes", "Fixes in one transaction.", lambda s: s.writer.sizes),
    counter(
        "tracker_commit_retries",
        "Transactions tried again because the store was unavailable.",
        lambda s: s.writer.retries,
    ),
    counter("tracker_commits_refused", "Commits that the store refused for good.", lambda s: s.writer.refused),
    gauge("tracker_line_full", "1 while reports wait because the store is behind.", lambda s: s.line.full),
    counter(
        "tracker_failures",
        "Failures inside the server, by part; each is an error in the log.",
        lambda s: s.meters.failures,
        "part",
    ),
    counter(
        "tracker_personal_messages",
        "Personal messages: acknowledged, expired, retried (sent again), crowded_out (too many waited).",
        _letters,
        "result",
    ),
    counter(
        "tracker_upkeep",
        "What was done for the store: merged_hours, simplified_hours, dropped_tracks, deleted_rows.",
        lambda s: s.upkeep.counts,
        "work",
    ),
    # The engine
    gauge("tracker_drivers", "Drivers the engine knows.", lambda s: len(s.engine.driver_ids)),
    gauge("tracker_orders", "Orders that have not ended.", lambda s: len(s.engine.orders)),
    counter(
        "tracker_eta_predictions",
        "Announced ETAs whose order was reached since the start, by distance to go when they were announced.",
        lambda s: s.scoreboard.predictions,
        "distance",
    ),
    counter(
        "tracker_eta_held",
        "Of those, reached within `eta_low` to `eta_high`: 0.8 of them should be.",
        lambda s: s.scoreboard.held,
        "distance",
    ),
    counter(
        "tracker_eta_error_seconds",
        "Sum of their absolute errors; divided by their number it is the mean absolute error.",
        lambda s: s.scoreboard.error_s,
        "distance",
    ),
    gauge(
        "tracker_eta_bias_seconds",
        "Sum of actual less predicted arrivals; above 0, drivers come later than was said.",
        lambda s: s.scoreboard.bias_s,
        "distance",
    ),
    gauge(
        "tracker_eta_model",
        "Version of the model that arrivals are predicted by; 0 has learned nothing.",
        lambda s: s.engine.eta_model.version,
    ),
    # Several instances
    counter(
        "tracker_instance_reports",
        "Reports between instances: forwarded by an edge, sent_again, answered, refused; taken by the engine.",
        lambda s: _between(s, "forwarded", "sent_again", "answered", "refused", "taken"),
        "result",
    ),
    counter(
        "tracker_instance_heard",
        "What an edge heard of the engine: locations, messages; and messages repaired from the store.",
        lambda s: _between(s, "locations", "messages", "repaired"),
        "kind",
    ),
    counter(
        "tracker_instance_losses",
        "Topics in which messages were missing, by what showed it: a gap of numbers, Redis reconnected, a look "
        "at the store (silent), a takeover; also disconnects of Redis, unsent commands and unanswered requests.",
        lambda s: _between(s, "gap", "reconnected", "silent", "takeover", "disconnects", "unsent", "unanswered"),
        "reason",
    ),
    counter(
        "tracker_instance_evictions",
        "Connections that ended here as their user has newer ones, here or elsewhere.",
        lambda s: 0 if s.instance is None else s.instance.counts["evicted"],
    ),
    gauge(
        "tracker_redis_connected",
        "1 while Redis is there, by which several instances work together.",
        lambda s: s.instance is not None and s.instance.bus.connected,
    ),
)
"""All of ours, in the order they are shown; of the process itself the client library tells memory, CPU and files."""


class ServerCollector(Collector):
    """Counts are kept by those who do the work; this only names them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it is now."""
        for described in METRICS:
            value = described.read(self._services)
            if isinstance(value, Histogram):
                yield _buckets(described, value)
            else:
                yield _family(described, value)


def _family(described: Described, value: float | Mapping[str, float]) -> Metric:
    kind = CounterMetricFamily if described.kind == "counter" else GaugeMetricFamily
    if not isinstance(value, Mapping):
        return kind(described.name, described.meaning, value=value)
    family = kind(described.name, described.meaning, labels=[described.label or ""])
    for name, count in sorted(value.items()):
        family.add_metric([name], count)
    return family


def _buckets(described: Described, values: Histogram) -> Metric:
    family = HistogramMetricFamily(described.name, described.meaning)
    buckets = [("+Inf" if bound == float("inf") else repr(bound), count) for bound, count in values.cumulated()]
    family.add_metric([], buckets, values.sum)
    return family
