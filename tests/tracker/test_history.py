"""However fixes come, in the end is told what would be had they come in order. With its tools, for other tests too."""

from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from api.files import Fixes
from api.recorded import Recorded
from tests.fixes import T0, batch, place
from tests.tracker.test_deliveries import order
from tracker.amend import NOTICES, newest_versions
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.history import Past, at_once, inside_at, retell
from tracker.records import Delivery, Event, FixBatch, Geofence, Order, Transition
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()
Told = list[tuple[str, str, float]]
Circle = tuple[float, float, float]
"""Metres east and north, radius."""


def fence(geofence_id: str, east: float, north: float = 0.0, radius: float = 50.0) -> Geofence:
    latitude, longitude = (float(x) for x in place(east, north))
    return Geofence(geofence_id=geofence_id, type="Point", coordinates=[longitude, latitude], radius=radius)


def wander(seed: int, n: int = 120) -> Fixes:
    """To and fro for about 20 minutes, with stops, noise, and now and then a fix that is far off."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.integers(1, 20, n)).astype(float)
    speed = np.repeat(rng.choice([0.0, 5.0, 12.0, -9.0, -4.0], n // 20 + 1), 20)[:n]
    east = np.cumsum(speed * np.diff(t, prepend=0)) + rng.normal(0, 3, n)
    east += np.where(rng.random(n) < 0.03, rng.uniform(200, 800, n), 0.0)
    latitude, longitude = place(east, rng.normal(0, 3, n))
    unknown = np.full(n, np.nan)
    return Fixes(["d"] * n, T0 + t, latitude, longitude, unknown, unknown, rng.uniform(3, 15, n), T0 + t)


def fences_of(fixes: Fixes, seed: int) -> list[Circle]:
    """Circles on the way."""
    rng = np.random.default_rng(seed)
    east = (fixes.longitude - place(0.0)[1]) / (place(1.0)[1] - place(0.0)[1])
    return [(float(x), 0.0, float(r)) for x, r in zip(rng.choice(east, 5), rng.uniform(30, 200, 5), strict=True)]


def told(events: Iterable[Event]) -> Told:
    """What is known in the end: kind, geofence or order, and seconds after T0; without notices."""
    known = [event for event in newest_versions(events) if not event.withdrawn]
    found = []
    for event in known:
        assert isinstance(event, Transition | Delivery)
        if event.kind not in NOTICES | {"eta_changed"}:
            subject = event.geofence_id if isinstance(event, Transition) else event.order_id
            found.append((event.kind, subject, event.occurred_at - T0))
    return sorted(found)


def alike(one: Told, other: Told) -> bool:
    """Whether the same is told, times to 2 ms: a retelling leaves what moved by less than one as it was."""
    return [event[:2] for event in one] == [event[:2] for event in other] and all(
        abs(a[2] - b[2]) <= 0.002 for a, b in zip(one, other, strict=True)
    )


def run(
    fixes: Fixes, arrivals: list[list[int]], circles: list[Circle], orders: Sequence[Order] = ()
) -> tuple[list[Event], list[tuple[float, bool]], Recorded]:
    """All versions of all events, and time and belief of each stored fix, when fixes arrive so."""
    engine = Engine(SETTINGS)
    engine.driver_row("d")
    for i, circle in enumerate(circles):
        engine.set_geofence(fence(f"f{i}", *circle))
    for each in orders:
        engine.set_order(each)
    recorded = Recorded(engine, fixes, np.zeros(len(fixes), np.int64), SETTINGS.retell_after_s)
    events: list[Event] = []
    now = T0
    for part in arrivals:
        index = np.array(part)
        now = max(now, float(fixes.fix_time[index].max()))
        columns = (fixes.fix_time, fixes.latitude, fixes.longitude, fixes.speed, fixes.course, fixes.accuracy)
        one = FixBatch(np.zeros(len(index), np.int64), *(c[index] for c in columns), np.full(len(index), now))
        updates = engine.ingest(one)
        recorded.take(index, one, updates)
        events += updates.events
        for more, _, _ in recorded.amended(now):
            events += more
    for more, _, _ in recorded.amended(np.inf):
        events += more
    times, kind = recorded.of_row(0)
    return (
        events,
        list(zip(times.tolist(), (np.isin(kind, [Flag.ACCEPTED, Flag.LATE])).tolist(), strict=True)),
        recorded,
    )


@st.composite
def disorder(draw: st.DrawFn, n: int) -> list[list[int]]:
    """Batches of the fixes 0 to n - 1: some held back for a while, some sent again, some out of order."""
    due = list(range(n))
    for _ in range(draw(st.integers(1, 6))):
        first, length, wait = draw(st.integers(0, n - 1)), draw(st.integers(1, 30)), draw(st.integers(1, 60))
        for i in range(first, min(first + length, n)):
            due[i] = min(first + length, n) + wait
    order = sorted(range(n), key=lambda i: (due[i], i))
    again = draw(st.lists(st.integers(0, n - 1), max_size=8))
    for i in again:
        order.insert(draw(st.integers(order.index(i), len(order))), i)
    cuts = sorted(draw(st.sets(st.integers(1, len(order) - 1), max_size=30)))
    return [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 2**20), arrivals=disorder(120))
def test_in_any_order_and_batching_the_same_is_told_and_stored(seed: int, arrivals: list[list[int]]) -> None:
    fixes = wander(seed)
    circles = fences_of(fixes, seed)
    expected, believed, _ = run(fixes, [[i] for i in range(len(fixes))], circles)
    events, found, _ = run(fixes, arrivals, circles)
    assert alike(told(events), told(expected)), (told(events), told(expected))
    assert found == believed
    first = [event.event_id for event in events if event.version == 1]
    assert len(first) == len(set(first))  # nothing is told twice
    versions = sorted((event.event_id, event.version) for event in events)
    assert versions == sorted(set(versions))


def rounds(seed: int, n: int = 120) -> tuple[Fixes, list[Order]]:
    """A drive with four stops, for some too short, each the destination of an order."""
    rng = np.random.default_rng(seed)
    metres, seconds = rng.uniform(20, 90, n), rng.integers(3, 15, n)
    stops = np.cumsum(rng.integers(8, 14, 4) + rng.integers(0, 14, 4)) - 1
    lengths = rng.integers(0, 14, 4)
    for stop, length in zip(stops, lengths, strict=True):
        metres[stop + 1 : stop + 1 + length] = 0.0
    t, driven = np.cumsum(seconds).astype(float), np.cumsum(metres)
    latitude, longitude = place(driven + rng.normal(0, 2, n), rng.normal(0, 2, n))
    unknown = np.full(n, np.nan)
    fixes = Fixes(["d"] * n, T0 + t, latitude, longitude, unknown, unknown, rng.uniform(3, 10, n), T0 + t)
    orders = [order(f"o{i}", east=float(driven[stop]), created_at=T0 - 100.0 + i) for i, stop in enumerate(stops)]
    return fixes, orders


@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 2**20), arrivals=disorder(120))
def test_in_any_order_and_batching_orders_arrive_alike(seed: int, arrivals: list[list[int]]) -> None:
    fixes, orders = rounds(seed)
    expected, _, _ = run(fixes, [[i] for i in range(len(fixes))], [], orders)
    events, _, _ = run(fixes, arrivals, [], orders)
    assert alike(told(events), told(expected)), (told(events), told(expected))


def dead_zone() -> tuple[Fixes, list[list[int]]]:
    """East at 10 m/s, by way of 400 m north with a stop of five minutes there; all beside the straight comes last."""
    east = np.concatenate([np.arange(0, 2000, 50.0), np.full(60, 2000.0), np.arange(2000, 8000, 50.0)])
    n = len(east)
    t = np.arange(n) * 5.0
    latitude, longitude = place(east, np.clip(500.0 - np.abs(east - 2000.0), 0.0, 400.0))
    unknown = np.full(n, np.nan)
    fixes = Fixes(["d"] * n, T0 + t, latitude, longitude, unknown, unknown, np.full(n, 5.0), T0 + t)
    hidden = [i for i in range(n) if 1500 <= east[i] <= 2500]
    return fixes, [[i] for i in range(n) if i not in hidden] + [hidden]


def test_a_delivery_in_a_dead_zone_is_recorded_late_and_its_order_knows() -> None:
    fixes, arrivals = dead_zone()
    events, _, recorded = run(fixes, arrivals, [], [order("o1", east=2000.0, north=400.0)])
    late = {e.kind: e for e in events if isinstance(e, Delivery) and e.kind in ("driver_arrived", "departed")}
    assert late["driver_arrived"].late
    assert late["departed"].late
    assert abs(late["driver_arrived"].occurred_at - T0 - 195) < 10
    assert recorded._engine.orders["o1"].status == "departed"
    assert recorded._engine.orders["o1"].arrived_at == late["driver_arrived"].occurred_at


def test_an_exit_and_enter_within_a_long_leg_are_new_and_the_rest_keeps_its_identity() -> None:
    fixes, arrivals = dead_zone()
    events, _, _ = run(fixes, arrivals, [(2000.0, 400.0, 40.0), (1490.0, 0.0, 100.0)])
    passed = [e for e in events if isinstance(e, Transition) and e.geofence_id == "f0"]
    assert [(e.kind, e.late, e.version) for e in passed] == [
        ("enter", True, 1),
        ("dwell", True, 1),
        ("exit", True, 1),
    ]
    left = [e for e in events if isinstance(e, Transition) and e.geofence_id == "f1" and e.kind == "exit"]
    assert [(e.late, e.version) for e in left] == [(False, 1), (False, 2)]
    assert left[0].event_id == left[1].event_id
    assert left[1].occurred_at < left[0].occurred_at


def test_what_was_before_the_first_late_fix_is_left_alone() -> None:
    """Even where the stored events lack it: it was told, or not, for reasons of its time."""
    engine = Engine(SETTINGS)
    engine.set_geofence(fence("f0", 500.0))
    track = engine.ingest(batch(engine, "d", np.arange(100.0), np.arange(100.0) * 20, accuracy=5.0)).track
    past = Past(track, np.zeros(100, np.uint8), [], [])
    amendment = at_once(retell(engine.beside(), past, first_late=T0 + 60, last_late=T0 + 60))
    assert amendment.events == []
    assert [e.kind for e in at_once(retell(engine.beside(), past, T0, T0)).events] == ["enter", "exit"]
    assert at_once(retell(engine.beside(), past, T0, T0, until=T0 + 15)).events == []


def test_a_geofence_is_compared_only_since_it_is_as_it_is() -> None:
    engine = Engine(SETTINGS)
    track = engine.ingest(batch(engine, "d", np.arange(100.0), np.arange(100.0) * 20, accuracy=5.0)).track
    past = Past(track, np.zeros(100, np.uint8), [], [])
    engine.set_geofence(replace(fence("f0", 500.0), changed_at=T0 + 1000))
    assert at_once(retell(engine.beside(), past, T0, T0)).events == []


def test_an_order_is_compared_only_since_its_driver_has_it() -> None:
    """What was told of it before was of another driver or another destination."""
    fixes, _ = dead_zone()
    goal = order("o1", east=2000.0, north=400.0)
    (arrived,) = (e for e in run(fixes, [list(range(len(fixes)))], [], [goal])[0] if e.kind == "driver_arrived")
    engine = Engine(SETTINGS)
    row = np.full(len(fixes), engine.driver_row("d"))
    columns = (fixes.fix_time, fixes.latitude, fixes.longitude, fixes.speed, fixes.course, fixes.accuracy)
    track = engine.ingest(FixBatch(row, *columns, fixes.fix_time)).track
    later = replace(goal, assigned_at=T0 + 600.0)
    past = Past(track, np.zeros(len(fixes), np.uint8), [], [arrived], [later])
    assert at_once(retell(engine.beside(), past, T0, T0)).events == []
    longer = Past(track, past.kind, [], [arrived], [replace(goal, assigned_at=T0)])
    assert {e.kind for e in at_once(retell(engine.beside(), longer, T0, T0)).events} >= {"departed"}


def test_who_is_inside_follows_from_what_was_detected_by_then() -> None:
    def event(kind: str, at: float, seen: float, **changes: object) -> Transition:
        return Transition(
            event_id=f"{kind}{at}",
            kind=kind,  # type: ignore[arg-type]
            driver_id="d",
            geofence_id="G",
            occurred_at=at,
            detected_at=seen,
            **changes,  # type: ignore[arg-type]
        )

    events = [event("enter", 10, 11), event("exit", 20, 25), event("enter", 30, 31, withdrawn=True)]
    assert inside_at(events, 24.0) == [("d", "G", 10)]
    assert inside_at(events, 26.0) == []
    assert inside_at(events, 99.0) == []
