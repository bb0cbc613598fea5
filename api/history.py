"""A driver's stored track as it is asked for: in parts, smoothed, with fewer vertices."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from storage.segments import keep
from storage.store import Store
from tracker.engine import Engine
from tracker.errors import Flag
from tracker.records import Delivery, Floats, Stay, Track, Transition
from tracker.settings import EngineSettings
from tracker.thinning import Thinner
from tracker.tracks import batch_of

AROUND_S = 300.0
"""A smoothed track is smoothed in the light of so much before and after it."""
STAYS_AROUND_S = 3600.0
"""Stays are looked for so far before and after a track."""
PAGE = 1000
"""Events that are read at once."""
_CROSSINGS = frozenset({"enter", "exit", "cross", "driver_arrived", "departed", "passed"})


async def smoothed(store: Store, engine: Engine, driver_id: str, start: float, end: float) -> AsyncIterator[Track]:
    """The track in parts, each in the light of what lies around it, without the outliers among all."""
    async for since, until in store.stretches(driver_id, start, end):
        around, kind = await store.fixes(driver_id, since - AROUND_S, until + AROUND_S)
        fixes = keep(around, kind != Flag.COARSE)
        if not len(fixes):
            continue
        found = await asyncio.to_thread(engine.smoothed, fixes)
        wanted = (fixes.fix_time >= since) & (fixes.fix_time < until)
        track = keep(found.track, wanted & ~found.outlier)
        if len(track):
            yield track


async def thinned(tracks: AsyncIterator[Track], bound_m: float, moments: Floats) -> AsyncIterator[Track]:
    """Fewer vertices: at no time more than the bound off, and exact at the moments."""
    thinner = Thinner(bound_m, moments)
    async for track in tracks:
        few = thinner.add(track)
        if len(few):
            yield few
    last = thinner.end()
    if len(last):
        yield last


async def boundaries(store: Store, settings: EngineSettings, driver_id: str, start: float, end: float) -> Floats:
    """When the driver crossed a boundary of a geofence or a destination, and when his stays began and ended; sorted."""
    moments = [moment async for moment in _crossings(store, driver_id, start, end)]
    engine = Engine(settings)
    async for part in store.parts(driver_id, start - STAYS_AROUND_S, end + STAYS_AROUND_S):
        spans = (await asyncio.to_thread(engine.ingest, batch_of(part, engine.driver_row))).spans
        moments += [t for span in spans if isinstance(span, Stay) for t in (span.started_at, span.ended_at)]
    moments += [t for span in engine.finish() if isinstance(span, Stay) for t in (span.started_at, span.ended_at)]
    return np.unique(np.array(moments, np.float64))


async def _crossings(store: Store, driver_id: str, start: float, end: float) -> AsyncIterator[float]:
    after: tuple[float, str, int] | None = None
    while True:
        events = await store.events(driver_id=driver_id, start=start, end=end, after=after, limit=PAGE)
        for event in events:
            assert isinstance(event, Transition | Delivery)
            if event.kind in _CROSSINGS:
                yield event.occurred_at
        if len(events) < PAGE:
            return
        after = events[-1].occurred_at, events[-1].event_id, events[-1].version
