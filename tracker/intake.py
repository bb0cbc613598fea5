"""Gathers the fixes of all sockets for the next tick; a long backlog goes through in slices, so nobody waits for it."""

from collections import deque
from collections.abc import Callable

import msgspec
import numpy as np
from msgspec import UNSET

from tracker.codec import Report
from tracker.errors import ASIDE, REFUSALS, Flag
from tracker.messages import Error, LocationAck, Rejected
from tracker.records import FixBatch, Flags
from tracker.scan import COLUMNS, Rows

SLICE = 2_000
"""So many fixes of one driver go into a tick: a few milliseconds, by which others wait for a long backlog."""
TICK_FIXES = 20_000
"""So many fixes of all drivers go into a tick."""


class Frame(msgspec.Struct, eq=False):
    """One report on its way, and what is known of its fixes so far."""

    driver: int
    report: Report
    received_at: float
    reply: Callable[[LocationAck | Error], None]
    taken: int = 0
    settled: int = 0
    duplicates: int = 0
    aside: dict[str, int] = {}
    rejected: list[Rejected] = []

    def settle(self, first: int, flag: Flags) -> None:
        """The fate of fixes [first, first + len(flag)) is durable; with the last of them the reply goes out."""
        self.settled += len(flag)
        if flag.any():
            self.duplicates += int(np.count_nonzero(flag == Flag.DUPLICATE))
            for kind in ASIDE:
                count = int(np.count_nonzero(flag == kind))
                if count:
                    self.aside[kind.code] = self.aside.get(kind.code, 0) + count
            for i in np.flatnonzero(flag >= Flag.REJECTED).tolist():
                place = first + i if self.report.index is None else self.report.index[first + i]
                reason = Flag(int(flag[i]))
                self.rejected.append(Rejected(place, reason.code, REFUSALS[reason]))
        if self.settled == len(self.report):
            self.acknowledge()

    def acknowledge(self) -> None:
        """Send the reply that accounts for every index."""
        report = self.report
        accepted = len(report) - self.duplicates - len(self.rejected)
        rejected = sorted(report.rejected + self.rejected, key=lambda r: r.index)
        self.reply(
            LocationAck(
                seq=report.seq,
                accepted=accepted,
                duplicates=self.duplicates,
                rejected=rejected,
                aside=self.aside or UNSET,
            )
        )


class Part(msgspec.Struct, eq=False, gc=False):
    """A stretch of a frame in a batch: `count` fixes from `first` of the frame stand at `start` of the batch."""

    frame: Frame
    first: int
    count: int
    start: int

    @property
    def is_last(self) -> bool:
        """Whether it ends the frame."""
        return self.first + self.count == len(self.frame.report)

    @property
    def fixes(self) -> Rows:
        """The fixes of the stretch, (count, 7)."""
        fixes = self.frame.report.fixes
        return fixes if self.count == len(fixes) else fixes[self.first : self.first + self.count]

    def settle(self, flag: Flags) -> None:
        """Tell the frame, from the flags of the whole batch."""
        self.frame.settle(self.first, flag[self.start : self.start + self.count])


class Intake:
    """Frames in the order they came; a driver's fixes never overtake each other."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self.fixes = 0
        """Fixes waiting."""
        self._rows = np.empty((TICK_FIXES + SLICE, COLUMNS))  # of a tick, kept: fresh memory costs more than the copy

    def put(self, frame: Frame) -> None:
        """Add a frame; one without a usable fix is answered at once."""
        if not len(frame.report):
            frame.acknowledge()
            return
        self._frames.append(frame)
        self.fixes += len(frame.report)

    def take(self) -> tuple[FixBatch, list[Part]]:
        """The next tick's fixes."""
        parts = self._take_parts()
        reports = [part.frame.report for part in parts]
        count = np.array([part.count for part in parts], np.int64)
        fixes = np.concatenate([part.fixes for part in parts], out=self._rows[: count.sum()])
        fix_time, latitude, longitude, speed, course, accuracy, source = fixes.T.copy()
        batch = FixBatch(
            driver=np.repeat(np.array([part.frame.driver for part in parts], np.int64), count),
            fix_time=fix_time,
            latitude=latitude,
            longitude=longitude,
            speed=speed,
            course=course,
            accuracy=accuracy,
            received_at=np.repeat(np.array([part.frame.received_at for part in parts], np.float64), count),
            source=source.astype(np.uint8),
            sent_at=np.repeat(np.array([report.sent_at for report in reports], np.float64), count),
        )
        return batch, parts

    def _take_parts(self) -> list[Part]:
        parts: list[Part] = []
        used: dict[int, int] = {}
        left: deque[Frame] = deque()
        total = 0
        while self._frames and total < TICK_FIXES:
            frame = self._frames.popleft()
            waiting = len(frame.report) - frame.taken
            before = used.get(frame.driver, 0)
            count = min(waiting, SLICE - before)
            if count:
                parts.append(Part(frame, frame.taken, count, total))
                frame.taken += count
                used[frame.driver] = before + count
                total += count
            if count < waiting:  # the driver's slice is full: later frames of his wait behind this one
                left.append(frame)
        self._frames.extendleft(reversed(left))
        self.fixes -= total
        return parts
