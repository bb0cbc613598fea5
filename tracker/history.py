"""What late fixes change of what was told: a driver's merged track goes through the engine once more.

The very same rules run over what is known by now, from some time before the first late fix, on an engine beside the
live one. What they find is compared with what is stored (`tracker.amend`): so however the fixes came, in the end the
store tells what it would had they come in order.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from msgspec.structs import replace

from tracker import tracks
from tracker.amend import MILESTONE, compare
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.judgements import Judgement, judgements
from tracker.records import Bools, Delivery, Event, FixBatch, Flags, Floats, Order, Route, Track, Transition

AROUND_S = 3600.0
"""So much of the track before the first late fix, and after the last, is gone through again."""
WARM_UP_S = 600.0
"""So much before that sets the filter going."""
REVISED = 2
"""So many fixes before a fix may be judged anew by it."""
SLICE = 2000
"""So many fixes at once; other work goes on in between."""

_ENDS = frozenset({"delivered", "failed"})
_OF_PEOPLE = frozenset({"assigned", "en_route", "eta_changed"}) | _ENDS
"""What does not follow from where a driver was."""

_Change = tuple[float, Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Past:
    """What is stored of a driver around late fixes."""

    fixes: Track  # everything since WARM_UP_S before the start, of every kind, one run
    kind: Flags  # (k,) of each
    inside: Sequence[tuple[str, str, float]]  # driver_id, geofence_id, entered_at, as it was at the start
    events: Sequence[Event]  # the newest version of each, withdrawn ones too, detected since the start
    orders: Sequence[Order] = ()
    routes: Sequence[Route] = ()


@dataclass(frozen=True, slots=True)
class Amendment:
    """What has to be stored, and the estimates (5, n), as `Updates` has them, of the fixes `fix_time` (n,)."""

    judgements: list[Judgement]
    events: list[Event]
    fix_time: Floats
    estimate: Floats


def start_of(first_late: float) -> float:
    """From when on a driver's track is gone through again."""
    return first_late - AROUND_S


def retell(
    engine: Engine, past: Past, first_late: float, last_late: float, until: float = np.inf
) -> Generator[None, None, Amendment]:
    """What has to be amended of what was detected from `first_late` to `until`; pauses after each slice.

    `engine` is one beside the live one, which this uses up.
    """
    fixes, start = past.fixes, start_of(first_late)
    before = fixes.fix_time < start
    believed = (past.kind == Flag.ACCEPTED) | (past.kind == Flag.LATE)
    engine.restore(
        orders=[],
        geofences=[],
        routes=past.routes,
        inside=past.inside,
        tails=_only(fixes, before & believed),
    )
    orders = {order.order_id: order for order in map(partial(_as_of, past, start), past.orders) if order is not None}
    changes = sorted(_changes(engine, orders, past), key=lambda change: change[0])
    batch = tracks.batch_of(_only(fixes, ~before), engine.driver_row)
    flag, estimate, told = np.empty(len(batch), np.uint8), np.full((5, len(batch)), np.nan), list[Event]()
    for part in _slices(batch.fix_time, [moment for moment, _ in changes]):
        while changes and changes[0][0] <= batch.fix_time[part.start]:
            changes.pop(0)[1]()
        updates = engine.ingest(FixBatch(*(getattr(batch, name)[part] for name in FixBatch.__slots__)))
        flag[part] = updates.flag
        for _, fix_time, kind in judgements(updates.revised, engine.driver_ids):
            flag[np.searchsorted(batch.fix_time, fix_time)] = kind
        estimate[:, part] = updates.latitude, updates.longitude, updates.speed, updates.course, updates.sigma
        told += updates.events
        yield
    until = min(until, float(batch.fix_time[-1])) if len(batch) else -np.inf
    judged = _unlike(past.kind[~before], flag) & _in_new_light(batch.fix_time, flag, first_late, last_late)
    driver_id = fixes.driver_id[0] if len(fixes) else ""
    return Amendment(
        [(driver_id, float(batch.fix_time[i]), Flag(int(flag[i]))) for i in np.flatnonzero(judged)],
        compare(told, past.events, partial(_comparable, engine, orders), first_late, until),
        batch.fix_time,
        estimate,
    )


def at_once(retelling: Generator[None, None, Amendment]) -> Amendment:
    """All slices one after the other."""
    while True:
        try:
            next(retelling)
        except StopIteration as end:
            amendment: Amendment = end.value
            return amendment


def inside_at(events: Iterable[Event], moment: float) -> list[tuple[str, str, float]]:
    """Who is inside which geofence since when, by what was detected before a moment: driver_id, geofence_id, time."""
    inside: dict[tuple[str, str], float] = {}
    visits = (e for e in events if isinstance(e, Transition) and e.kind in ("enter", "exit") and not e.withdrawn)
    for event in sorted(visits, key=lambda e: (e.occurred_at, e.kind == "enter")):
        if event.detected_at < moment:
            inside.pop((event.driver_id, event.geofence_id), None)
            if event.kind == "enter":
                inside[event.driver_id, event.geofence_id] = event.occurred_at
    return [(driver_id, geofence_id, since) for (driver_id, geofence_id), since in inside.items()]


def _as_of(past: Past, start: float, order: Order) -> Order | None:
    """The order as it was at the start, under way; None where nobody knows when it ended."""
    since = {event.kind for event in past.events if isinstance(event, Delivery) and event.order_id == order.order_id}
    if order.ended and not since & _ENDS:
        return None
    open_again = {
        name: None for kind, name in MILESTONE.items() if kind in since or (getattr(order, name) or 0) >= start
    }
    return replace(order, status="assigned", **open_again)


def _changes(engine: Engine, orders: dict[str, Order], past: Past) -> list[_Change]:
    """When orders came to their driver, and ended."""
    changes: list[_Change] = [(_since(order), partial(engine.set_order, order)) for order in orders.values()]
    ends = (event for event in past.events if isinstance(event, Delivery) and event.kind in _ENDS)
    changes += [
        (event.detected_at, partial(engine.remove_order, event.order_id)) for event in ends if event.order_id in orders
    ]
    return changes


def _since(order: Order) -> float:
    """Since when the order has this driver and this destination."""
    return order.created_at if order.assigned_at is None else order.assigned_at


def _comparable(engine: Engine, orders: dict[str, Order], event: Event) -> bool:
    """Whether what was told may differ: of geofences and orders as they are now, and what orders show by themselves."""
    if isinstance(event, Transition):
        since = engine.geofence_since(event.geofence_id)
        return since is not None and event.detected_at >= since
    assert isinstance(event, Delivery)
    order = orders.get(event.order_id)
    if order is None or event.kind in _OF_PEOPLE:
        return False
    return order.assigned_at is None or event.detected_at >= order.assigned_at


def _in_new_light(fix_time: Floats, flag: Flags, first_late: float, last_late: float) -> Bools:
    """Which fixes late ones may show otherwise: from the two before the first, which it is judged by and judges.

    So long after the last they show nothing, and there what is after the end of these fixes might.
    """
    judges = fix_time[(flag == Flag.ACCEPTED) | (flag == Flag.OUTLIER)]
    first = int(np.searchsorted(judges, first_late))
    since = judges[max(first - REVISED, 0)] if len(judges) else first_late
    return (fix_time >= min(since, first_late)) & (fix_time <= last_late + AROUND_S / 2)


def _unlike(kind: Flags, flag: Flags) -> Bools:
    """Fixes that are judged otherwise now than they are stored; late is as good as accepted."""
    stored = np.where(kind == Flag.LATE, np.uint8(Flag.ACCEPTED), kind)
    return np.asarray((stored != flag) & np.isin(flag, [Flag.ACCEPTED, Flag.OUTLIER, Flag.COARSE]))


def _slices(fix_time: Floats, moments: Sequence[float]) -> list[slice]:
    """At most SLICE fixes each, cut where something changes."""
    bounds = {0, len(fix_time), *range(0, len(fix_time), SLICE), *np.searchsorted(fix_time, moments).tolist()}
    edges = sorted(bounds)
    return [slice(start, end) for start, end in pairwise(edges)]


def _only(track: Track, wanted: Bools) -> Track:
    """Some fixes of a track of at most one run."""
    if not wanted.any():
        return Track.empty()
    names = ("fix_time", "latitude", "longitude", "speed", "course", "accuracy", "source")
    columns = [getattr(track, name)[wanted] for name in names]
    return Track(track.driver_id, track.kind, track.connected, np.array([0, len(columns[0])]), *columns)
