"""What a replay has recorded so far, as a store would have it: fixes once each, events in their newest versions."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from api.files import Fixes
from tracker.amend import with_milestones
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.history import AROUND_S, WARM_UP_S, Past, at_once, inside_at, retell, start_of
from tracker.judgements import Judgement, judgements
from tracker.pending import Group, Pending
from tracker.records import Event, FixBatch, Flags, Floats, Ints, Track, Updates

_NOT_STORED = 255


class Recorded:
    """Takes what the engine made of each batch; tells again what late fixes change."""

    def __init__(self, engine: Engine, fixes: Fixes, driver: Ints, settle_s: float) -> None:
        self._engine = engine
        self._fixes = fixes
        self._driver = driver
        self._kind = np.full(len(fixes), _NOT_STORED, np.uint8)
        self._late = np.zeros(len(fixes), np.bool_)
        self._times: dict[int, set[float]] = defaultdict(set)
        self._events: dict[str, dict[str, Event]] = defaultdict(dict)
        self._pending = Pending(settle_s)
        order = np.lexsort((fixes.fix_time, driver))
        starts = np.searchsorted(driver[order], np.arange(len(engine.driver_ids) + 1))
        self._of_driver = [order[starts[row] : starts[row + 1]] for row in range(len(engine.driver_ids))]

    def take(self, index: Ints, batch: FixBatch, updates: Updates) -> None:
        """Keep what is new of the fixes `index`; a late fix or another aside that is there already is a duplicate."""
        stored = np.isin(np.arange(len(index)), updates.aside_index, invert=True)
        for i in np.flatnonzero(stored & (updates.flag == Flag.ACCEPTED)).tolist():
            self._times[int(batch.driver[i])].add(float(batch.fix_time[i]))
        for i in updates.aside_index.tolist():
            known, fix_time = self._times[int(batch.driver[i])], float(batch.fix_time[i])
            if fix_time in known:
                updates.flag[i] = Flag.DUPLICATE
            known.add(fix_time)
        kept = (updates.flag != Flag.DUPLICATE) & (updates.flag < Flag.REJECTED)
        self._kind[index[kept]] = updates.flag[kept]
        self._judge(judgements(updates.revised, self._engine.driver_ids))
        late = updates.flag == Flag.LATE
        self._late[index[late]] = True
        for row in np.unique(batch.driver[late]).tolist():
            times = batch.fix_time[late & (batch.driver == row)]
            heard_at = float(batch.received_at[late].max())
            self._pending.add(self._engine.driver_ids[row], float(times.min()), float(times.max()), heard_at)
        for event in updates.events:
            self._events[event.driver_id][event.event_id] = event

    def amended(self, now: float) -> Iterator[tuple[list[Event], Ints, Floats]]:
        """Versions of events that are due at `now`, late fixes and their estimates (5, k)."""
        if not len(self._pending):
            return
        newest = {latest.driver_id: latest.fix_time for latest in self._engine.latest()}
        for group in self._pending.take_due(lambda driver_id: newest.get(driver_id, -np.inf), now):
            yield self._retell(group)

    def _retell(self, group: Group) -> tuple[list[Event], Ints, Floats]:
        driver_id, start, fix_time = group.driver_id, start_of(group.first), self._fixes.fix_time
        mine = self._of_driver[self._engine.driver_row(driver_id)]
        known = (fix_time[mine] >= start - WARM_UP_S) & (fix_time[mine] <= group.last + AROUND_S)
        mine = mine[known & (self._kind[mine] != _NOT_STORED)]
        events = self._events[driver_id]
        orders = [order for order in self._engine.orders.values() if order.driver_id == driver_id]
        past = Past(
            self._track(mine, driver_id),
            self._kind[mine],
            inside_at(events.values(), start),
            [event for event in events.values() if event.detected_at >= start],
            orders,
        )
        amendment = at_once(retell(self._engine.beside(), past, group.first, group.last))
        events |= {event.event_id: event for event in amendment.events}
        self._judge(amendment.judgements)
        for order in orders:
            after = with_milestones(order, amendment.events)
            if after != order:
                self._engine.set_order(after)
        late = mine[self._late[mine]]
        return amendment.events, late, amendment.estimate[:, np.searchsorted(amendment.fix_time, fix_time[late])]

    def _judge(self, judged: list[Judgement]) -> None:
        """Say of fixes of which kind they are after all."""
        for driver_id, fix_time, kind in judged:
            mine = self._of_driver[self._engine.driver_row(driver_id)]
            times = self._fixes.fix_time[mine]
            same = mine[np.searchsorted(times, fix_time) : np.searchsorted(times, fix_time, side="right")]
            self._kind[same[self._kind[same] != _NOT_STORED]] = kind

    def _track(self, index: Ints, driver_id: str) -> Track:
        """These fixes of a driver, sorted by time, as one run."""
        f, one = self._fixes, np.zeros(1, np.uint8)
        return Track(
            (driver_id,),
            one,
            one.astype(np.bool_),
            np.array([0, len(index)]),
            f.fix_time[index],
            f.latitude[index],
            f.longitude[index],
            f.speed[index],
            f.course[index],
            f.accuracy[index],
            f.sources[index],
        )

    def tell(self, flag: Flags) -> None:
        """Put into `flag`, a flag a fix, of which kind each recorded one is after all."""
        stored = self._kind != _NOT_STORED
        flag[stored] = self._kind[stored]

    def of_row(self, row: int) -> tuple[Floats, Flags]:
        """fix_time and kind of all that is recorded of a driver, by time."""
        mine = self._of_driver[row]
        mine = mine[self._kind[mine] != _NOT_STORED]
        return self._fixes.fix_time[mine], self._kind[mine]
