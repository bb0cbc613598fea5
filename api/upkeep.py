"""What keeps a store small and fast, step by step between all else: compaction, retention, partitions ahead."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from api.config import Config
from api.meters import Meters
from storage.erasing import older, older_messages
from storage.segments import HOUR_S
from storage.store import Commit, Committed, Compaction, Store
from tracker.errors import StoreUnavailable

log = structlog.get_logger()

DAY_S = 86400.0
HOURS_A_STEP = 2
"""Drivers' hours that one transaction compacts: fixes that come in wait for no more."""
SHARE = 0.1
"""Of the time that steps may take, so that there is always more time between them."""


class Upkeep:
    """The work that is due by the settings, step by step; `put` is how commits reach the store."""

    def __init__(
        self, store: Store, put: Callable[[Commit], Awaitable[Committed]], config: Config, clock: Callable[[], float]
    ) -> None:
        self._store, self._put, self._config, self._clock = store, put, config, clock
        self.counts: Counter[str] = Counter(merged_hours=0, simplified_hours=0, dropped_tracks=0, deleted_rows=0)
        """What was done since the start."""

    async def work(self, meters: Meters) -> None:
        """For ever; what fails is logged and counted, and due again the next time."""
        while True:
            try:
                async for took in self.steps():
                    await asyncio.sleep(took / SHARE - took)
            except StoreUnavailable:
                log.info("upkeep waits for the store")
            except Exception:
                log.exception("upkeep failed")
                meters.failures["upkeep"] += 1
            await asyncio.sleep(max(self._config.upkeep_every_s, 1.0))

    async def steps(self) -> AsyncIterator[float]:
        """Do all that is due; gives the seconds that each step took."""
        now, config = self._clock(), self._config
        began = time.perf_counter()
        await self._store.prepare(now)
        works = [self._compact(merged=False, before=now - HOUR_S - config.merge_after_s)]
        if config.raw_days:
            works.append(self._compact(merged=True, before=now - HOUR_S - config.raw_days * DAY_S))
        if config.track_days:
            works.append(self._drop(now - config.track_days * DAY_S))
        if config.message_days:
            works.append(self._erase(now - config.message_days * DAY_S, messages=True))
        for work in works:
            async for _ in work:
                yield time.perf_counter() - began
                began = time.perf_counter()

    async def _compact(self, *, merged: bool, before: float) -> AsyncIterator[None]:
        bound_m = self._config.simplify_bound_m if merged else None
        while due := await self._store.due(merged=merged, before=before, limit=HOURS_A_STEP):
            await self._put(Commit(compact=[Compaction(driver_id, hour, bound_m) for driver_id, hour in due]))
            self.counts["simplified_hours" if merged else "merged_hours"] += len(due)
            yield

    async def _drop(self, before: float) -> AsyncIterator[None]:
        while dropped := await self._store.drop_tracks(before):
            self.counts["dropped_tracks"] += dropped
            yield
        async for _ in self._erase(before, messages=False):
            yield

    async def _erase(self, before: float, *, messages: bool) -> AsyncIterator[None]:
        while True:
            erase = older_messages(before) if messages else older(before)
            erased = sum((await self._put(Commit(erase=erase))).erased.values())
            self.counts["deleted_rows"] += erased
            if not erased:
                return
            yield
