"""F1: real Android logs, shuffled into late and repeated batches: what is stored, and told, against the run in order.

Each log is a phone; its fixes are of two or three interleaved providers. Of several fixes with one time the first is
used, in either run: a phone sends what it has in the order in which it has it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from api.files import Fixes
from api.recorded import Recorded
from benchmarks.accuracy.data import rows
from benchmarks.accuracy.report import Row
from geo.earth import distance, metric_scale
from tracker.amend import NOTICES, newest_versions
from tracker.codec import source_of
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.records import Delivery, Event, FixBatch, Geofence, Ints, Transition
from tracker.settings import EngineSettings

SEEDS = range(5)
RADII_M = (30.0, 60.0, 100.0)
SETTINGS = EngineSettings()
SAME_M = 0.01


@dataclass(slots=True)
class Outcome:
    """What is recorded and told in the end, and of fixes that came late where the driver was then."""

    recorded: Recorded
    live: dict[str, list[Event]]  # by driver, as it was told at first
    events: dict[str, list[Event]]  # with all that was amended
    place: np.ndarray  # (2, n) latitude and longitude
    late: np.ndarray  # (n,)
    stored: int = 0  # fixes the store has taken


def measure() -> Iterable[Row]:
    """Over all logs and several ways to shuffle them."""
    fixes = read()
    driver = np.unique(fixes.driver_id, return_inverse=True)[1].astype(np.int64)
    n = len(fixes)
    in_order = run(fixes, driver, [np.array([i]) for i in np.argsort(fixes.fix_time, kind="stable")])
    repeats = left = fixes_unlike = untold = unlike = late = off = 0
    for seed in SEEDS:
        arrivals = list(shuffled(driver, fixes, seed))
        repeats += sum(len(part) for part in arrivals) - n
        outcome = run(fixes, driver, arrivals)
        left += outcome.stored - n
        fixes_unlike += unlike_fixes(in_order.recorded, outcome.recorded, driver)
        untold += unlike_events(in_order.events, outcome.live)
        unlike += unlike_events(in_order.events, outcome.events)
        apart = distance(*in_order.place, *outcome.place)
        late += int(outcome.late.sum())
        off += int((~(apart[outcome.late] <= SAME_M)).sum())
    told = sum(map(len, map(known, in_order.events.values())))
    yield Row("F1", f"duplicates left, of {repeats} sent", left, "<= 0", raw=repeats, digits=0)
    yield Row("F1", f"stored fixes unlike in order, of {len(SEEDS) * n}", fixes_unlike, "<= 0", digits=0)
    yield Row("F1", f"positions of late fixes unlike in order, of {late}", off, "<= 0", digits=0)
    yield Row("F1", f"visits unlike in order, of {len(SEEDS) * told}", unlike, "<= 0", raw=untold, digits=0)


def read() -> Fixes:
    """The fixes as a phone would report them; of the 894 rows that repeat a time of their log the first."""
    first: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows("android_fix_logs/fixes.csv.gz"):
        first.setdefault((row["log"], row["UnixTimeMillis"]), row)
    kept = list(first.values())

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name]) if row[name] else np.nan for row in kept])

    time = column("UnixTimeMillis") / 1000.0
    source = [source_of(row["Provider"], row["MockLocation"] == "1.0") for row in kept]
    return Fixes(
        [row["log"] for row in kept],
        time,
        column("LatitudeDegrees"),
        column("LongitudeDegrees"),
        column("SpeedMps"),
        column("BearingDegrees") % 360.0,
        column("AccuracyMeters"),
        time,
        np.array(source, np.uint8),
    )


def shuffled(driver: Ints, fixes: Fixes, seed: int) -> Iterator[Ints]:
    """Batches of all fixes: stretches of each log held back for a while, a third sent again, some out of order."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((fixes.fix_time, driver))
    due = np.empty(len(order))
    due[order] = np.arange(len(order))
    for row in range(int(driver.max()) + 1):
        mine = order[driver[order] == row]
        for _ in range(1 + len(mine) // 40):
            first = rng.integers(len(mine))
            held = mine[first : first + rng.integers(1, 30)]
            due[held] = due[held].max() + rng.uniform(1, 60)
    due += rng.normal(0, 1.5, len(due))
    again = rng.choice(len(due), len(due) // 3, replace=False)
    index = np.concatenate([np.arange(len(due)), again])
    when = np.concatenate([due, due[again] + rng.exponential(50.0, len(again))])
    arrived = index[np.argsort(when, kind="stable")]
    cuts = np.flatnonzero(rng.random(len(arrived)) < 0.15)
    yield from (part for part in np.split(arrived, cuts) if len(part))


def run(fixes: Fixes, driver: Ints, arrivals: list[Ints]) -> Outcome:
    """What is recorded and told, by driver, when fixes arrive so; fences lie along the in-order tracks."""
    engine, now, names = Engine(SETTINGS), -np.inf, sorted(set(fixes.driver_id))
    for name in names:
        engine.driver_row(name)
    for fence in fences(fixes, driver):
        engine.set_geofence(fence)
    recorded = Recorded(engine, fixes, driver, SETTINGS.retell_after_s)
    place, late = np.full((2, len(fixes)), np.nan), np.zeros(len(fixes), np.bool_)
    outcome = Outcome(recorded, {name: [] for name in names}, {name: [] for name in names}, place, late)

    def amend(until: float) -> None:
        for events, index, estimate in recorded.amended(until):
            place[:, index] = estimate[:2]
            for event in events:
                outcome.events[event.driver_id].append(event)

    for part in arrivals:
        now = max(now, float(fixes.fix_time[part].max()))
        columns = (fixes.fix_time, fixes.latitude, fixes.longitude, fixes.speed, fixes.course, fixes.accuracy)
        received = np.full(len(part), now)
        batch = FixBatch(driver[part], *(column[part] for column in columns), received, fixes.sources[part])
        updates = engine.ingest(batch)
        recorded.take(part, batch, updates)
        kept = (updates.flag != Flag.DUPLICATE) & (updates.flag < Flag.REJECTED)
        outcome.stored += int(kept.sum())
        place[:, part[kept]] = updates.latitude[kept], updates.longitude[kept]
        late[part[updates.flag == Flag.LATE]] = True
        for event in updates.events:
            outcome.live[event.driver_id].append(event)
            outcome.events[event.driver_id].append(event)
        amend(now)
    amend(np.inf)
    return outcome


def fences(fixes: Fixes, driver: Ints) -> Iterator[Geofence]:
    """A few circles a log, around fixes moved by up to half a radius."""
    rng = np.random.default_rng(0)
    for row in range(int(driver.max()) + 1):
        mine = np.flatnonzero(driver == row)
        for k, i in enumerate(rng.choice(mine, 5)):
            radius = RADII_M[k % len(RADII_M)]
            east, north = rng.uniform(-radius / 2, radius / 2, 2)
            per_north, per_east = metric_scale(float(fixes.latitude[i]))
            place = [float(fixes.longitude[i]) + east / per_east, float(fixes.latitude[i]) + north / per_north]
            yield Geofence(geofence_id=f"{row}-{k}", type="Point", coordinates=place, radius=radius)


def stored(recorded: Recorded, driver: Ints) -> list[tuple[np.ndarray, np.ndarray]]:
    """Times and kinds of each driver's stored fixes."""
    return [recorded.of_row(row) for row in range(int(driver.max()) + 1)]


def unlike_fixes(one: Recorded, other: Recorded, driver: Ints) -> int:
    """Fixes that are stored, or believed, in one only."""
    count = 0
    for (t, kind), (u, as_kind) in zip(stored(one, driver), stored(other, driver), strict=True):
        believed = [set(x[(k == 0) | (k == 2)].tolist()) for x, k in ((t, kind), (u, as_kind))]
        count += len(set(t.tolist()) ^ set(u.tolist())) + len(believed[0] ^ believed[1])
    return count


def known(events: list[Event]) -> list[tuple[str, str, float]]:
    """Visits as they are known in the end: kind, geofence, time."""
    found = []
    for event in newest_versions(events):
        assert isinstance(event, Transition | Delivery)
        if isinstance(event, Transition) and event.kind not in NOTICES and not event.withdrawn:
            found.append((event.geofence_id, event.kind, event.occurred_at))
    return sorted(found)


def unlike_events(one: dict[str, list[Event]], other: dict[str, list[Event]]) -> int:
    """Visits that are told in one only, or more than 2 ms apart."""
    count = 0
    for name, events in one.items():
        a, b = known(events), known(other[name])
        left = list(b)
        for event in a:
            match = next((e for e in left if e[:2] == event[:2] and abs(e[2] - event[2]) <= 0.002), None)
            if match is None:
                count += 1
            else:
                left.remove(match)
        count += len(left)
    return count
