"""How much one connection may say, and how many connections one user may have."""

from typing import Generic, TypeVar

C = TypeVar("C")


class TokenBucket:
    """Lets `burst` messages through at once and `rate_per_s` for long; times are seconds of any clock."""

    __slots__ = ("_at", "_burst", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: int, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more message may pass now."""
        self._tokens = min(self._tokens + (now - self._at) * self._rate_per_s, self._burst)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class UserConnections(Generic[C]):
    """The connections of each user, oldest first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._connections: dict[str, dict[C, None]] = {}

    def add(self, user_id: str, connection: C) -> C | None:
        """Count a connection in. Returns the one that has to end for it, no longer counted."""
        connections = self._connections.setdefault(user_id, {})
        connections[connection] = None
        if len(connections) <= self._limit:
            return None
        oldest = next(iter(connections))
        del connections[oldest]
        return oldest

    def remove(self, user_id: str, connection: C) -> None:
        """Count a connection out, if it is still counted."""
        connections = self._connections.get(user_id, {})
        connections.pop(connection, None)
        if not connections:
            self._connections.pop(user_id, None)

    def __len__(self) -> int:
        return sum(map(len, self._connections.values()))
