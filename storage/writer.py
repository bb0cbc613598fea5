"""The queue before the store: what waits while one transaction runs becomes the next one (group commit)."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from storage.retry import pause
from storage.rows import key
from storage.segments import concatenate, join
from storage.store import Commit, Committed, Document, Store
from tracker.errors import StoreUnavailable
from tracker.histogram import Histogram
from tracker.records import Delivery

_SIZES = (1, 10, 100, 1000, 10_000, 100_000)  # fixes
_GROUP_FIXES = 50_000
"""A transaction takes no further put when it has so many fixes."""


@dataclass(frozen=True, slots=True)
class _Put:
    commit: Commit
    future: asyncio.Future[Committed]

    @property
    def fixes(self) -> int:
        return len(self.commit.track.fix_time) + len(self.commit.aside.fix_time)


class Writer:
    """Commits in the order of the puts, many at once, and again and again for as long as the store is unavailable."""

    def __init__(self, store: Store, *, max_pending_fixes: int = 200_000) -> None:
        self.refused = 0
        """Puts that failed for good; each failed alone."""
        self.retries = 0
        """Attempts made because the store was unavailable."""
        self.seconds = Histogram()
        """Durations of transactions, with all their attempts."""
        self.sizes = Histogram(_SIZES)
        """Fixes in each of them."""
        self._store = store
        self._max_pending_fixes = max_pending_fixes
        self._queue: deque[_Put] = deque()
        self.pending_fixes = 0
        """In the queue or in the running transaction."""
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whoever puts fixes should wait before the next."""
        return self.pending_fixes > self._max_pending_fixes

    @property
    def waiting(self) -> int:
        """Commits in the queue."""
        return len(self._queue)

    def put(self, commit: Commit) -> asyncio.Future[Committed]:
        """Queue a commit; the future tells when it is durable, or why it never will be."""
        put = _Put(commit, asyncio.get_running_loop().create_future())
        if self._closing:
            put.future.set_exception(StoreUnavailable("the server is stopping; keep the data and send it again"))
            return put.future
        self._queue.append(put)
        self.pending_fixes += put.fixes
        self._wake.set()
        return put.future

    async def start(self) -> None:
        """Begin to commit."""
        self._task = asyncio.create_task(self._work(), name="writer")

    async def close(self) -> None:
        """Commit what is queued, and stop."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _work(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            group = self._next_group()
            started_at = time.perf_counter()
            await self._commit(group)
            self.seconds.add(time.perf_counter() - started_at)
            self.sizes.add(sum(put.fixes for put in group))
            self.pending_fixes -= sum(put.fixes for put in group)

    def _next_group(self) -> list[_Put]:
        group = [self._queue.popleft()]
        fixes = group[0].fixes
        while self._queue and fixes + self._queue[0].fixes <= _GROUP_FIXES:
            group.append(self._queue.popleft())
            fixes += group[-1].fixes
        return group

    async def _commit(self, group: list[_Put]) -> None:
        """One transaction; when the store refuses it, one for each put, so that only the guilty one fails."""
        try:
            committed = await self._persist(merge([put.commit for put in group]))
        except Exception as error:
            if len(group) > 1:
                for put in group:
                    await self._commit([put])
                return
            self.refused += 1
            _settle(group[0].future, error)
        else:
            for put, part in zip(group, split(committed, [put.commit for put in group]), strict=True):
                _settle(put.future, part)

    async def _persist(self, commit: Commit) -> Committed:
        attempt = 0
        while True:
            try:
                return await self._store.commit(commit)
            except StoreUnavailable:
                attempt += 1
                self.retries += 1
                await asyncio.sleep(pause(attempt))


def merge(commits: Sequence[Commit]) -> Commit:
    """One commit that leaves the store as these would one after the other."""
    if len(commits) == 1:
        return commits[0]
    removed: dict[tuple[type[Document], str], None] = {}
    for commit in commits:
        for document in commit.save:
            removed.pop((type(document), key(document)), None)
        removed |= dict.fromkeys(commit.remove)
    return Commit(
        track=join(concatenate([commit.track for commit in commits])),
        aside=concatenate([commit.aside for commit in commits]),
        judgements=[judgement for commit in commits for judgement in commit.judgements],
        events=[event for commit in commits for event in commit.events],
        told=[span for commit in commits for span in commit.told],
        save=[document for commit in commits for document in commit.save],
        remove=list(removed),
        messages=[message for commit in commits for message in commit.messages],
        eta_models=[model for commit in commits for model in commit.eta_models],
        settled=[mail for commit in commits for mail in commit.settled],
        compact=[what for commit in commits for what in commit.compact],
        erase=[what for commit in commits for what in commit.erase],
    )


def split(committed: Committed, commits: Sequence[Commit]) -> list[Committed]:
    """What each of the merged commits would have been told."""
    vertices = np.cumsum([0, *(len(commit.aside.fix_time) for commit in commits)])
    messages = np.cumsum([0, *(len(commit.messages) for commit in commits)])
    arrived = [
        {event.order_id for event in commit.events if isinstance(event, Delivery) and event.kind == "driver_arrived"}
        for commit in commits
    ]
    return [
        Committed(
            committed.duplicate[vertices[i] : vertices[i + 1]],
            committed.seqs[messages[i] : messages[i + 1]],
            committed.late,
            [score for score in committed.scores if score.order_id in arrived[i]],
            crowded_out=committed.crowded_out if i == 0 else 0,
            erased=committed.erased if commits[i].erase else {},
        )
        for i in range(len(commits))
    ]


def _settle(future: asyncio.Future[Committed], outcome: Committed | Exception) -> None:
    if future.done():  # cancelled: nobody waits for it
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
