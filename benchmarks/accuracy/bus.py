"""Bus 14 of Liverpool on one evening: when it reaches each later stop, learned from the buses before it."""

from datetime import UTC, datetime

import numpy as np

from benchmarks.accuracy import data
from benchmarks.accuracy.report import Row
from geo.eta import Model, Trips
from geo.routes import Path
from tracker.records import Floats

STOP_M = 500.0
"""The data name no stops: every so many metres along the line stands for one."""
OFF_M = 100.0
"""A fix further from the line than this says nothing of where on it the bus is."""
EARLIER = 9
"""So many buses, by when they start, are learned from; the others are predicted."""


def bus_rows() -> list[Row]:
    """Seconds by which the arrival at each later stop is missed, predicted from each stop. Raises NoData."""
    times = _times()
    past, coming = times[:EARLIER], times[EARLIER:]
    learned, taken = _trips(past, 1)  # each second of a bus once: longer ways are the same seconds again
    asked, truth = _trips(coming)
    low, middle, high = Model.fit(learned, taken).predict(asked).T
    pace = np.sum(taken) / np.sum(learned.metres)
    leg = np.nanmean(np.diff(past, axis=1), axis=0)
    average = asked.sums(np.where(np.isfinite(leg), leg, pace * STOP_M)[asked.edge])
    one_speed = float(np.mean(np.abs(pace * asked.metres - truth)))
    return [
        Row(
            "bus",
            f"bus 14, {len(truth)} pairs of stops, MAE, s",
            float(np.mean(np.abs(middle - truth))),
            raw=one_speed,
            baseline=float(np.mean(np.abs(average - truth))),
        ),
        Row("bus", "bus 14, MAPE, %", 100 * float(np.mean(np.abs(middle - truth) / truth))),
        Row("bus", "bus 14, between p10 and p90, %", 100 * float(np.mean((truth >= low) & (truth <= high)))),
    ]


def _trips(times: Floats, furthest: int = 1000) -> tuple[Trips, Floats]:
    """From each stop to the later ones, up to the `furthest`, of the same bus, and the seconds (n,) that took."""
    pairs = [
        (bus[i], j - i, i, bus[j] - bus[i])
        for bus in times
        for i in range(len(bus))
        for j in range(i + 1, min(i + furthest + 1, len(bus)))
        if np.isfinite(bus[i]) and np.isfinite(bus[j])
    ]
    start, steps, first, taken = (np.array(column) for column in zip(*pairs, strict=True))
    offset = np.concatenate([[0], np.cumsum(steps)])
    edge = np.repeat(first - offset[:-1], steps) + np.arange(offset[-1])
    return Trips.of(offset, edge, STOP_M, start / 60.0), taken


def _times() -> Floats:
    """(buses, stops) Unix seconds at which each bus passes each stop, by when they start; NaN where it does not."""
    fixes = dict[str, list[tuple[float, float, float]]]()
    for row in data.rows("bus14_liverpool/route14_outbound.csv"):
        at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp()
        fixes.setdefault(row["trip_id"], []).append((at, float(row["latitude"]), float(row["longitude"])))
    buses = sorted((np.array(sorted(set(bus))) for bus in fixes.values()), key=lambda bus: float(bus[0, 0]))
    lines = [Path.of(bus[:, 1], bus[:, 2]) for bus in buses]
    line = max(lines[:EARLIER], key=lambda path: float(path.along[-1]))
    stops = np.arange(0.0, line.along[-1], STOP_M)
    return np.array([_passes(bus, line, stops) for bus in buses])


def _passes(bus: Floats, line: Path, stops: Floats) -> Floats:
    """Seconds at which one bus passes each stop, between its fixes."""
    along, at, reached = list[float](), list[float](), 0.0
    for t, latitude, longitude in bus.tolist():
        place, off = line.locate(latitude, longitude, reached) if reached else line.locate(latitude, longitude)
        if off <= OFF_M:
            reached = max(place, reached)
            along.append(reached)
            at.append(t)
    if len(at) < 2:
        return np.full(len(stops), np.nan)
    return np.interp(stops, along, at, left=np.nan, right=np.nan)
