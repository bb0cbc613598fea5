"""C1, C2: who enters and leaves circles of 30 to 100 m, and when, against the RTK/INS path of the car."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.accuracy.data import Ride, Stressed, rows, stress, whu
from benchmarks.accuracy.report import Row
from geo.earth import metres_per_degree, offset
from tracker.engine import Engine
from tracker.records import FixBatch, Floats, Geofence, Transition
from tracker.settings import EngineSettings

C1_STEPS = {1.0: (0.99, 0.25, 0.990, 0.71), 5.0: (0.99, 0.3, 0.918, 2.58), 10.0: (0.99, 0.6, 0.750, 4.99)} | {
    30.0: (0.975, 2.5, 0.583, 15.6)
}
"""By seconds between fixes: F1 and time error wanted, and those of the last fix's containment (Traccar)."""
C2_STEPS = (1.0, 5.0, 10.0)
C2_TARGET = {30.0: 0.98, 60.0: 0.99, 100.0: 0.99}
STOP_S, STOP_MPS = 20.0, 0.3
OFF_CENTRE = 0.6
"""A fence's centre is off the place by up to this share of its radius, east and north."""
SEEDS = (1, 2)
"""Of the stress set."""

Event = tuple[str, float]  # kind, when


@dataclass(frozen=True, slots=True)
class Watch:
    """A circle on a ride's way, and its true events."""

    ride: int
    geofence: Geofence
    events: tuple[Event, ...]


@dataclass(slots=True)
class Score:
    """How found events agree with true ones."""

    true: int = 0
    found: int = 0
    matched: int = 0
    errors: Floats | None = None

    @property
    def f1(self) -> float:
        return 2 * self.matched / (self.true + self.found)

    @property
    def false_per_true(self) -> float:
        return (self.found - self.matched) / self.true

    @property
    def time_error(self) -> float:
        assert self.errors is not None
        return float(np.abs(self.errors).mean())


def measure() -> Iterator[Row]:
    """C1 on the phones' own fixes, C2 on noisy ones."""
    rides = urban()
    watches = watched(30.0)
    for step, (f1, error, others_f1, others_error) in C1_STEPS.items():
        fixes = [ride.every(step) for ride in rides]
        ours, raw = score(watches, transitions(watches, fixes), step), score(watches, contained(watches, fixes), step)
        name = f"real fixes, 30 m, {step:.0f} s"
        yield Row("C1", f"{name}: F1", ours.f1, f">= {f1}", raw.f1, others_f1, 3)
        yield Row(
            "C1", f"{name}: |crossing time error| s", ours.time_error, f"<= {error}", raw.time_error, others_error
        )
    for radius, target in C2_TARGET.items():
        watches = watched(radius)
        for step in C2_STEPS:
            ours, raw = Score(), Score()
            for seed in SEEDS:
                fixes = [s.ride.every(step) for s in noisy(seed)]
                accuracy = [s.accuracy[np.isin(s.ride.time, f.time)] for s, f in zip(noisy(seed), fixes, strict=True)]
                ours = score(watches, transitions(watches, fixes, accuracy), step, ours)
                raw = score(watches, contained(watches, fixes), step, raw)
            name = f"stress, {radius:.0f} m, {step:.0f} s"
            yield Row("C2", f"{name}: F1", ours.f1, f">= {target}", raw.f1, None, 3)
            yield Row(
                "C2", f"{name}: false events a true one", ours.false_per_true, "<= 0.01", raw.false_per_true, None, 3
            )


@cache
def urban() -> tuple[Ride, ...]:
    """The rides through town."""
    return tuple(ride for ride in whu() if "urban" in ride.scene)


@cache
def noisy(seed: int) -> list[Stressed]:
    """The rides through town under stress."""
    return [stress(ride, seed * 1000 + i) for i, ride in enumerate(urban())]


@cache
def watched(radius: float) -> tuple[Watch, ...]:
    """For each ride a circle at each real stop, and as many at places on its way; seeded."""
    found = []
    for number, ride in enumerate(urban()):
        rng = np.random.default_rng([number, int(radius)])
        time, latitude, longitude = path(ride)
        stops = standing(ride)
        passed = rng.choice(len(time), max(len(stops), 3), replace=False)
        for i in [*np.searchsorted(time, stops).tolist(), *passed.tolist()]:
            east, north = rng.uniform(-OFF_CENTRE * radius, OFF_CENTRE * radius, 2)
            at = [float(x) for x in offset(latitude[i], longitude[i], east, north)]
            events = tuple(crossings(time, *local(latitude, longitude, *at), radius))
            fence = Geofence(geofence_id=f"{number}-{len(found)}", type="Point", coordinates=at[::-1], radius=radius)
            found.append(Watch(number, fence, events))
    return tuple(found)


def path(ride: Ride) -> tuple[Floats, Floats, Floats]:
    """Time, latitude and longitude of the car at 1 Hz, from the ride's first fix to its last."""
    time, latitude, longitude = truth()[ride.route]
    kept = (time >= ride.time[0]) & (time <= ride.time[-1])
    return time[kept], latitude[kept], longitude[kept]


@cache
def truth() -> dict[str, tuple[Floats, Floats, Floats]]:
    """By route."""
    by_route: dict[str, dict[float, tuple[float, float]]] = {}
    for row in rows("whu_smartphone_car/ground_truth.csv.gz"):
        by_route.setdefault(row["route"], {})[float(row["t"])] = float(row["lat"]), float(row["lon"])
    return {
        route: (np.array(sorted(places)), *np.array([places[t] for t in sorted(places)]).T)
        for route, places in by_route.items()
    }


def standing(ride: Ride) -> list[float]:
    """The middle of each stop of at least STOP_S, truly."""
    still = np.concatenate([[False], ride.true_speed < STOP_MPS, [False]])
    start, end = np.flatnonzero(still[1:] & ~still[:-1]), np.flatnonzero(still[:-1] & ~still[1:]) - 1
    return [(a + b) / 2 for a, b in zip(ride.time[start], ride.time[end], strict=True) if b - a >= STOP_S]


def local(latitude: Floats, longitude: Floats, at_latitude: float, at_longitude: float) -> tuple[Floats, Floats]:
    """Metres east and north of a place near them."""
    north, east = metres_per_degree(at_latitude)
    return (longitude - at_longitude) * east, (latitude - at_latitude) * north


def crossings(time: Floats, east: Floats, north: Floats, radius: float) -> Iterator[Event]:
    """Where a path crosses a circle around the origin. Who starts inside enters then."""
    if np.hypot(east[0], north[0]) <= radius:
        yield "enter", float(time[0])
    dx, dy = np.diff(east), np.diff(north)
    a, b = dx * dx + dy * dy, east[:-1] * dx + north[:-1] * dy
    square = b * b - a * (east[:-1] ** 2 + north[:-1] ** 2 - radius**2)
    for i in np.flatnonzero((square > 0) & (a > 0)):
        for sign, kind in ((-1, "enter"), (1, "exit")):
            share = (-b[i] + sign * np.sqrt(square[i])) / a[i]
            if 0 <= share < 1:
                yield kind, float(time[i] + share * (time[i + 1] - time[i]))


def transitions(
    watches: tuple[Watch, ...], fixes: list[Ride], accuracy: list[Floats] | None = None
) -> list[list[Event]]:
    """What the engine tells of each circle."""
    engine = Engine(EngineSettings())
    for watch in watches:
        engine.set_geofence(watch.geofence)
    driver = np.repeat([engine.driver_row(str(i)) for i in range(len(fixes))], [len(ride.time) for ride in fixes])
    time, latitude, longitude = (
        np.concatenate([getattr(ride, name) for ride in fixes]) for name in ("time", "latitude", "longitude")
    )
    nothing = np.full(len(time), np.nan)
    known = nothing if accuracy is None else np.concatenate(accuracy)
    updates = engine.ingest(FixBatch(driver, time, latitude, longitude, nothing, nothing, known, time))
    told: dict[str, list[Event]] = {watch.geofence.geofence_id: [] for watch in watches}
    for event in updates.events:
        own = isinstance(event, Transition) and event.geofence_id.startswith(f"{event.driver_id}-")
        if own and event.kind != "dwell":
            told[event.geofence_id].append((event.kind, event.occurred_at))
    return list(told.values())


def contained(watches: tuple[Watch, ...], fixes: list[Ride]) -> list[list[Event]]:
    """What containment of the last fix tells, stamped with that fix."""
    found = []
    for watch in watches:
        ride, fence = fixes[watch.ride], watch.geofence
        east, north = local(ride.latitude, ride.longitude, *fence.coordinates[::-1])
        inside = np.hypot(east, north) <= fence.radius
        turn = np.flatnonzero(np.diff(inside, prepend=False))
        found.append([("enter" if inside[i] else "exit", float(ride.time[i])) for i in turn])
    return found


def score(watches: tuple[Watch, ...], found: list[list[Event]], step: float, onto: Score | None = None) -> Score:
    """An event matches a true one of its kind within max(10 s, step); the closest pair first, each used once."""
    total = onto or Score()
    within = max(10.0, step)
    errors = [] if total.errors is None else [total.errors]
    for watch, events in zip(watches, found, strict=True):
        total.true += len(watch.events)
        total.found += len(events)
        pairs = sorted(
            (abs(when - true), i, j)
            for i, (kind, when) in enumerate(events)
            for j, (true_kind, true) in enumerate(watch.events)
            if kind == true_kind and abs(when - true) <= within
        )
        used: tuple[set[int], set[int]] = set(), set()
        for error, i, j in pairs:
            if i not in used[0] and j not in used[1]:
                used[0].add(i)
                used[1].add(j)
                errors.append(np.array([error]))
    total.errors = np.concatenate([*errors, np.empty(0)])
    total.matched = len(total.errors)
    return total
