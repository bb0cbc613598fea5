"""Arrivals on real rides: is the driver reported where he stops, once and in time, and nowhere that he only passes?

Destinations of WHU rides: a circle of 50 m at each true stop of 30 s or more, its centre displaced by up to 0.6 radii
per axis; and passes, on the same street (up to 15 m from the path) and on others (20 to 60 m), wherever no such stop is
near: shorter ones, at red lights, are part of them. Each destination is the order of a driver of its own. Every second
route is for tuning and left out here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.accuracy import data
from benchmarks.accuracy.data import Ride
from benchmarks.accuracy.report import Row
from geo.earth import distance, offset
from tracker.engine import Engine
from tracker.records import Bools, Delivery, Destination, FixBatch, Floats, Order
from tracker.settings import EngineSettings

STEPS = (1.0, 5.0, 10.0, 30.0)
RADIUS_M = 50.0
STOP_S = 30.0
STILL_MPS = 0.3
DRAWS = 4
"""Destinations a stop."""
PASS_EVERY_M = 250.0
PASSES_A_STOP = 5.0
"""How often drivers pass destinations for each they stop at, in the share of what is told that is right."""
AFTER_S = 60.0
"""An arrival is right that is told during the visit of the stop's circle, or so soon after."""


@dataclass(frozen=True, slots=True)
class Case:
    """A destination on a ride. Of a stop: when the circle is entered, the stop begins and ends, the circle is left."""

    ride: int
    latitude: float
    longitude: float
    times: tuple[float, float, float, float] | None = None  # None: a pass


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a case: arrived (occurred, detected), departed (occurred); NaN where it was not."""

    occurred_at: float = np.nan
    detected_at: float = np.nan
    departed_at: float = np.nan


def rides(*, tuning: bool = False) -> list[Ride]:
    """The rides of every second route, one a phone. Raises NoData."""
    routes = sorted({ride.route for ride in data.whu()})
    wanted = set(routes[tuning::2])
    return [ride for ride in data.whu() if ride.route in wanted]


def stops(ride: Ride, least_s: float) -> list[tuple[int, int]]:
    """First and last fix of each true stop."""
    edges = np.flatnonzero(np.diff(ride.true_speed < STILL_MPS, prepend=False, append=False))
    pairs = zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
    return [(a, b) for a, b in pairs if ride.time[b] - ride.time[a] >= least_s]


def cases(all_rides: list[Ride], radius_m: float = RADIUS_M) -> list[Case]:
    """Stops and passes of all rides."""
    found = []
    for number, ride in enumerate(all_rides):
        rng = np.random.default_rng(number)
        found += [
            case
            for a, b in stops(ride, STOP_S)
            for _ in range(DRAWS)
            if (case := _stop(number, ride, a, b, rng.uniform(-0.6, 0.6, 2) * radius_m, radius_m))
        ]
        found += _passes(number, ride, rng, radius_m)
    return found


def _off(ride: Ride, latitude: float, longitude: float) -> Floats:
    result: Floats = distance(ride.true_latitude, ride.true_longitude, latitude, longitude)
    return result


def _stop(number: int, ride: Ride, a: int, b: int, by: Floats, radius_m: float) -> Case | None:
    latitude, longitude = offset(ride.true_latitude[a], ride.true_longitude[a], *by)
    off = _off(ride, latitude, longitude) - radius_m
    a, b = next(
        (first, last) for first, last in stops(ride, STOP_S) if off[first] <= 0
    )  # he may have stopped here before
    before, after = np.flatnonzero(off[:a] > 0), b + np.flatnonzero(off[b:] > 0)
    if not len(before) or not len(after):  # the ride begins or ends inside
        return None
    entered, left = _crossing(ride.time, off, int(before[-1])), _crossing(ride.time, off, int(after[0]) - 1)
    return Case(number, float(latitude), float(longitude), (entered, float(ride.time[a]), float(ride.time[b]), left))


def _crossing(time: Floats, off: Floats, i: int) -> float:
    """When `off` crosses zero between i and i + 1."""
    return float(time[i] + off[i] / (off[i] - off[i + 1]) * (time[i + 1] - time[i]))


def _passes(number: int, ride: Ride, rng: np.random.Generator, radius_m: float) -> Iterator[Case]:
    lat, lon = ride.true_latitude, ride.true_longitude
    along = np.cumsum(distance(lat[:-1], lon[:-1], lat[1:], lon[1:]))
    long_stops = stops(ride, STOP_S)
    for turn, metres in enumerate(np.arange(PASS_EVERY_M, along[-1] if len(along) else 0.0, PASS_EVERY_M)):
        i = int(np.searchsorted(along, metres))
        least, most = ((0.0, 15.0), (20.0, 60.0))[turn % 2]
        course, far = rng.uniform(0, 2 * np.pi), rng.uniform(least, most)
        latitude, longitude = offset(lat[i], lon[i], far * np.sin(course), far * np.cos(course))
        off = _off(ride, latitude, longitude)
        beside = any(off[a : b + 1].min() < radius_m + 30.0 for a, b in long_stops)
        if least <= off.min() <= most and off.min() < radius_m and not beside and min(off[0], off[-1]) > 2 * radius_m:
            yield Case(number, float(latitude), float(longitude))


def follow(all_rides: list[Ride], accuracy: list[Floats], all_cases: list[Case], **changes: float) -> list[Told]:
    """What the engine tells of each case, each with a driver of its own."""
    engine = Engine(EngineSettings(arrival_radius_m=RADIUS_M, **changes))
    rows = np.array([engine.driver_row(f"d{i}") for i in range(len(all_cases))])
    for i, case in enumerate(all_cases):
        destination = Destination(latitude=case.latitude, longitude=case.longitude)
        engine.set_order(Order(order_id=str(i), customer_id="c", driver_id=f"d{i}", destination=destination))
    picked = [all_rides[case.ride] for case in all_cases]
    counts = [len(ride.time) for ride in picked]

    def column(name: str) -> Floats:
        return np.concatenate([getattr(ride, name) for ride in picked])

    unknown, time = np.full(sum(counts), np.nan), column("time")
    updates = engine.ingest(
        FixBatch(
            np.repeat(rows, counts),
            time,
            column("latitude"),
            column("longitude"),
            unknown,
            unknown,
            np.concatenate([accuracy[case.ride] for case in all_cases]),
            time,
        )
    )
    told: dict[str, dict[str, Delivery]] = {}
    for event in updates.events:
        if isinstance(event, Delivery) and event.kind in ("driver_arrived", "departed"):
            assert event.kind not in told.setdefault(event.order_id, {}), "told twice"
            told[event.order_id][event.kind] = event
    return [_told(told.get(str(i), {})) for i in range(len(all_cases))]


def _told(events: dict[str, Delivery]) -> Told:
    arrived, departed = events.get("driver_arrived"), events.get("departed")
    if arrived is None:
        return Told()
    return Told(arrived.occurred_at, arrived.detected_at, departed.occurred_at if departed else np.nan)


def baseline(all_rides: list[Ride], all_cases: list[Case]) -> list[Told]:
    """As others do it: the first fix within the radius is the arrival, the first one outside after it the departure."""
    result = []
    for case in all_cases:
        ride = all_rides[case.ride]
        inside = distance(ride.latitude, ride.longitude, case.latitude, case.longitude) <= RADIUS_M
        first = int(np.argmax(inside))
        if not inside[first]:
            result.append(Told())
            continue
        out = first + np.flatnonzero(~inside[first:])
        left = float(ride.time[out[0]]) if len(out) else np.nan
        result.append(Told(float(ride.time[first]), float(ride.time[first]), left))
    return result


@dataclass(frozen=True, slots=True)
class Score:
    """How good what was told is."""

    stops: int
    passes: int
    precision: float
    recall: float
    false_share: float  # of the passes
    arrival_s: Floats  # p50, p95 of the error
    departure_s: Floats
    delay_s: Floats  # of the notice after the stop began


def score(all_cases: list[Case], told: list[Told]) -> Score:
    """Compare with the truth."""
    times = np.array([case.times or (np.nan,) * 4 for case in all_cases])
    occurred, detected, departed = np.array([(t.occurred_at, t.detected_at, t.departed_at) for t in told]).T
    entered, begun, _, left = times.T
    stop = np.isfinite(begun)
    arrived = np.isfinite(detected)
    right: Bools = arrived & stop & (detected >= entered) & (detected <= left + AFTER_S)
    stops, recall, false_share = max(int(stop.sum()), 1), right.sum() / max(stop.sum(), 1), arrived[~stop].mean()
    wrong = (arrived & stop & ~right).sum() / stops + PASSES_A_STOP * false_share
    return Score(
        stops,
        int((~stop).sum()),
        float(recall / max(recall + wrong, 1e-9)),
        float(recall),
        float(false_share),
        _spread(np.abs(occurred - entered)[right]),
        _spread(np.abs(departed - left)[right & np.isfinite(departed)]),
        _spread((detected - begun)[right]),
    )


def _spread(values: Floats) -> Floats:
    result: Floats = np.percentile(values, [50, 95]) if len(values) else np.full(2, np.nan)
    return result


@cache
def _inputs(*, stressed: bool, step_s: float, tuning: bool = False) -> tuple[list[Ride], list[Floats]]:
    if stressed:
        made = [data.stress(ride, seed) for seed, ride in enumerate(rides(tuning=tuning))]
        kept = [np.isin(each.ride.time, each.ride.every(step_s).time) for each in made]
        return (
            [each.ride.take(np.flatnonzero(k)) for each, k in zip(made, kept, strict=True)],
            [each.accuracy[k] for each, k in zip(made, kept, strict=True)],
        )
    sampled = [ride.every(step_s) for ride in rides(tuning=tuning)]
    return sampled, [np.full(len(ride.time), np.nan) for ride in sampled]


def measure() -> Iterator[Row]:
    """Every step of sampling, on the phones' own fixes and on the stress set."""
    every = cases(rides())
    for stressed in (False, True):
        for step in STEPS:
            sampled, accuracy = _inputs(stressed=stressed, step_s=step)
            ours, plain = score(every, follow(sampled, accuracy, every)), score(every, baseline(sampled, every))
            yield from _rows(
                f"{'stress' if stressed else 'WHU'} {step:.0f} s", ours, plain, not stressed and step <= 10
            )


def _rows(name: str, ours: Score, plain: Score, aimed: bool) -> Iterator[Row]:
    """The figures of one input; baseline: the first fix within the radius is an arrival."""

    def row(metric: str, one: float, other: float, target: str = "", digits: int = 1) -> Row:
        return Row("G1", f"{name}: {metric}", one, target if aimed else "", None, other, digits)

    yield row(f"right of told, {PASSES_A_STOP:.0f} passes a stop", ours.precision, plain.precision, ">= .99", 3)
    yield row(f"told of {ours.stops} stops", ours.recall, plain.recall, ">= .98", 3)
    yield row(f"told on {ours.passes} passes, %", 100 * ours.false_share, 100 * plain.false_share, digits=2)
    for what, one, other in (
        ("arrival off", ours.arrival_s, plain.arrival_s),
        ("departure off", ours.departure_s, plain.departure_s),
        ("told after the stop began", ours.delay_s, plain.delay_s),
    ):
        yield row(f"{what}, p50 s", one[0], other[0])
        yield row(f"{what}, p95 s", one[1], other[1])
