"""`tracker import`: recorded files into a store that no server is writing to, as if their drivers had sent them now.

The same gate, filter and transaction as for drivers: what is stored already is a duplicate, so that importing again
changes nothing; what is older than a driver's newest fix is late, and the next server tells what it changes.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from api.assembly import TAIL_S
from api.files import Fixes, read_parts
from storage.store import Commit, Store
from tracker.engine import Engine
from tracker.errors import ASIDE, Flag
from tracker.judgements import judgements
from tracker.records import FixBatch, Transition
from tracker.settings import EngineSettings

PART = 50_000
"""Fixes of one transaction."""


async def import_files(
    store: Store,
    settings: EngineSettings,
    files: Sequence[Path],
    *,
    now: float,
    driver_id: str | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> Counter[str]:
    """All fixes of the files; returns how many became what, by the code of their flag.

    `progress` is called with the number of bytes read since the last call. Raises InvalidInput for a file that cannot
    be read; what came before it is stored.
    """
    engine = await _engine(store, settings)
    counts: Counter[str] = Counter()
    for path in files:
        for fixes in read_parts(path, driver_id, PART, progress):
            counts += await _take(store, engine, fixes, now)
    return counts


async def _engine(store: Store, settings: EngineSettings) -> Engine:
    """As a server's after its start, but without orders: what was driven long ago delivers nothing."""
    engine, snapshot = Engine(settings), await store.load(tail_s=TAIL_S, since=0.0)
    engine.restore(
        orders=(),
        geofences=snapshot.geofences,
        routes=(),
        inside=snapshot.inside,
        tails=snapshot.tails,
        newest=snapshot.newest,
    )
    return engine


async def _take(store: Store, engine: Engine, fixes: Fixes, now: float) -> Counter[str]:
    rows = {driver_id: engine.driver_row(driver_id) for driver_id in dict.fromkeys(fixes.driver_id)}
    batch = FixBatch(
        driver=np.fromiter((rows[driver_id] for driver_id in fixes.driver_id), np.int64, len(fixes)),
        fix_time=fixes.fix_time,
        latitude=fixes.latitude,
        longitude=fixes.longitude,
        speed=fixes.speed,
        course=fixes.course,
        accuracy=fixes.accuracy,
        received_at=np.full(len(fixes), now),
        source=fixes.sources,
    )
    updates = engine.ingest(batch)
    events = [e for e in updates.events if isinstance(e, Transition) and _watched(engine, e)]
    revised = judgements(updates.revised, engine.driver_ids)
    committed = await store.commit(Commit(track=updates.track, aside=updates.aside, events=events, judgements=revised))
    updates.flag[updates.aside_index[committed.duplicate]] = Flag.DUPLICATE
    values, counts = np.unique(updates.flag, return_counts=True)
    return Counter({Flag(value).code: count for value, count in zip(values.tolist(), counts.tolist(), strict=True)})


def _watched(engine: Engine, event: Transition) -> bool:
    """Whether its geofence was there when it happened."""
    since = engine.geofence_since(event.geofence_id)
    return since is not None and since <= event.occurred_at


def summary(counts: Counter[str], files: int, store: str) -> str:
    """One sentence of what became of the fixes."""
    refused = {code: count for code, count in counts.items() if Flag[code.upper()] >= Flag.REJECTED}
    known = counts[Flag.DUPLICATE.code]
    fresh = counts.total() - known - sum(refused.values())
    among = ", ".join(f"{counts[flag.code]} {flag.code}" for flag in ASIDE if counts[flag.code])
    why = "".join(f", {count} {code}" for code, count in sorted(refused.items()))
    new = f"{fresh} new{f' ({among})' if among else ''}"
    return f"{counts.total()} fixes of {files} files: {new}, {known} stored before{why}; in {store}"
