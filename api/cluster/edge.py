"""A line whose engine is elsewhere: reports go there through a Redis stream, and are answered after its commit.

The stream may lose everything: a report is kept here, and sent again, until it is answered or has waited too long.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import structlog

from api.cluster.bus import Bus
from api.cluster.requests import Requests
from api.cluster.topics import Topics
from api.cluster.wire import Names, Positions, Reports, SentReport, Settle, decode_located, encode
from api.line import Line
from api.services import Services
from storage.store import Commit, Committed
from tracker.codec import Report
from tracker.errors import EngineUnavailable, StoreUnavailable, TrackerError
from tracker.messages import Error, LocationAck

log = structlog.get_logger()

Reply = Callable[[LocationAck | Error], None]
AGAIN_S = 3.0
"""A report without an answer is sent again after so long."""
MOST_ENTRIES = 100_000
"""The stream keeps so many entries at most; the engine removes those it has answered."""


@dataclass(slots=True)
class Waiting:
    """A report that was not answered yet; times of the event loop."""

    driver_id: str
    report: Report
    received_at: float
    reply: Reply
    since: float
    sent: float


class EdgeLine(Line):
    """Takes reports from sessions, as any line does."""

    def __init__(
        self,
        services: Services,
        instance: str,
        bus: Bus,
        names: Names,
        topics: Topics,
        requests: Requests,
        counts: Counter[str],
    ) -> None:
        super().__init__(services)
        self._instance = instance
        self._bus = bus
        self._names = names
        self._topics = topics
        self._requests = requests
        self._cluster_counts = counts
        self._number = 0
        self._reports: dict[int, Waiting] = {}  # in the order they came
        self._fixes = 0
        self._fresh: list[int] = []

    def put(self, driver_id: str, report: Report, received_at: float, reply: Reply) -> None:
        """As in Line."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._number += 1
        self._reports[self._number] = Waiting(driver_id, report, received_at, reply, now, now)
        self._fixes += len(report)
        if not self._fresh:
            loop.call_later(self._config.tick_ms / 1000, self._forward)
        self._fresh.append(self._number)

    @property
    def full(self) -> bool:
        """As in Line."""
        return self._fixes > self._config.max_pending_fixes

    async def positions(self, topic: str) -> dict[str, bytes]:
        """As in Line; nothing while the engine cannot be asked."""
        try:
            fresh = decode_located(await self._requests.ask(Positions(topic)))
        except EngineUnavailable:
            return {}
        for _ in self._services.hub.flush_slices():
            pass  # what is older than these goes out before them
        return self._topics.located(topic, fresh)

    async def look_again(self) -> None:
        """Positions may have been lost, and their drivers may stand still by now."""
        for topic in self._topics:
            with suppress(TrackerError):
                for located in decode_located(await self._requests.ask(Positions(topic))):
                    self._topics.locate(topic, located)

    async def commit(self, commit: Commit) -> Committed:
        """Never: what is committed is asked of the engine. Raises EngineUnavailable."""
        raise EngineUnavailable("This instance does not write; publish over HTTP, to any instance.")

    def commit_soon(self, commit: Commit) -> "asyncio.Future[Committed]":
        """As in Line; of what an edge commits there are personal messages that wait no longer."""
        return asyncio.ensure_future(self._settle_elsewhere(commit) if commit.settled else self.commit(commit))

    async def _settle_elsewhere(self, commit: Commit) -> Committed:
        try:
            await self._requests.ask(Settle(list(commit.settled)))
        except TrackerError:
            log.warning("not settled", messages=len(commit.settled))  # they are sent again, and acknowledged again
        return Committed(np.zeros(0, np.bool_), [])

    # Out and back

    def _forward(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._send(number for number in fresh if number in self._reports)

    def _send(self, numbers: Iterable[int]) -> None:
        now = asyncio.get_running_loop().time()
        entry = Reports(self._instance, [])
        for number in numbers:
            waiting = self._reports[number]
            waiting.sent = now
            entry.reports.append(SentReport.of(number, waiting.driver_id, waiting.report, waiting.received_at))
        if entry.reports:
            self._cluster_counts["forwarded"] += len(entry.reports)
            self._bus.send("XADD", self._names.reports, "MAXLEN", "~", MOST_ENTRIES, "*", "r", encode(entry))

    def settle(self, replies: Iterable[tuple[int, LocationAck | Error]]) -> None:
        """The engine answered reports."""
        for number, reply in replies:
            waiting = self._reports.pop(number, None)
            if waiting is not None:
                self._cluster_counts["answered"] += 1
                self._end(waiting, reply)
        self._make_room()

    def _end(self, waiting: Waiting, reply: LocationAck | Error) -> None:
        self._fixes -= len(waiting.report)
        waiting.reply(reply)

    def _make_room(self) -> None:
        if self._waiting and not self.full:
            callbacks, self._waiting = self._waiting, []
            for callback in callbacks:
                callback()

    def send_again(self) -> None:
        """What is not answered may be lost."""
        self._cluster_counts["sent_again"] += len(self._reports)
        self._fresh.clear()
        self._send(list(self._reports))

    async def watch(self) -> None:
        """Send again what is not answered, and refuse it in the end, for ever."""
        while True:
            await asyncio.sleep(1.0)
            now = asyncio.get_running_loop().time()
            self._refuse(now - self._config.report_timeout_s)
            overdue = [number for number, waiting in self._reports.items() if waiting.sent < now - AGAIN_S]
            if overdue and self._bus.connected:
                self._cluster_counts["sent_again"] += len(overdue)
                self._send(overdue)

    def _refuse(self, before: float) -> None:
        """A code that every app knows as one after which to send again."""
        late = [number for number, waiting in self._reports.items() if waiting.since < before]
        for number in late:
            waiting = self._reports.pop(number)
            self._cluster_counts["refused"] += 1
            error = StoreUnavailable()
            self._end(waiting, Error(code=error.code, message=error.message, ref=waiting.report.seq))
        self._make_room()

    def hand_over(self, line: Line) -> None:
        """Give another line everything that was not answered: this instance has become the engine."""
        reports, self._reports = self._reports, {}
        for waiting in reports.values():
            line.put(waiting.driver_id, waiting.report, waiting.received_at, waiting.reply)
        callbacks, self._waiting = self._waiting, []
        for callback in callbacks:
            line.when_room(callback) if line.full else callback()
