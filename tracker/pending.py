"""Late fixes whose events are not told again yet: grouped, and due once their driver has gone on for a while."""

from collections.abc import Callable
from dataclasses import dataclass, field

LONGEST_S = 3600.0
"""A group that is as long takes no more."""


@dataclass(slots=True)
class Group:
    """Late fixes of a driver that are close together in time."""

    driver_id: str
    first: float  # fix_time
    last: float
    heard_at: float  # when the newest of them came
    spans: list[tuple[str, float, float]] = field(default_factory=list)  # as the store has noted them


class Pending:
    """Groups in the order in which they began; `settle_s` is how long a driver has to go on."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._groups: list[Group] = []

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, driver_id: str, first: float, last: float, heard_at: float) -> None:
        """Late fixes came; said twice is said once."""
        span = (driver_id, first, last)
        group = self._near(driver_id, first, last)
        if group is None:
            group = Group(driver_id, first, last, heard_at)
            self._groups.append(group)
        group.first, group.last = min(group.first, first), max(group.last, last)
        group.heard_at = max(group.heard_at, heard_at)
        if span not in group.spans:
            group.spans.append(span)

    def take_due(self, newest: Callable[[str], float], now: float) -> list[Group]:
        """Groups whose driver's `newest` fix is long after them, or of whom nothing more was heard for long."""
        due = [
            group
            for group in self._groups
            if newest(group.driver_id) >= group.last + self._settle_s or now >= group.heard_at + 2 * self._settle_s
        ]
        self._groups = [group for group in self._groups if group not in due]
        return due

    def _near(self, driver_id: str, first: float, last: float) -> Group | None:
        for group in self._groups:
            near = first <= group.last + self._settle_s and last >= group.first - self._settle_s
            if group.driver_id == driver_id and near and group.last - group.first < LONGEST_S:
                return group
        return None
