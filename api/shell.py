"""All WebSockets of a server: whose they are, and the one timer that looks after them."""

import asyncio
from typing import Generic, Protocol, TypeVar

from api.limits import UserConnections
from api.services import Services

SWEEP = 500
"""So many connections are looked after in one go; then others may run."""


class Checked(Protocol):
    """A connection as the timer sees it."""

    def check(self, now: float) -> None:
        """See to whatever is due at this time of the event loop."""


C = TypeVar("C", bound=Checked)


class Shell(Generic[C]):
    """Connections from the upgrade on; `users` has those that have authenticated."""

    def __init__(self, services: Services) -> None:
        config = services.config
        self.services = services
        self.users: UserConnections[C] = UserConnections(config.max_connections_per_user)
        self._sockets: set[C] = set()
        self._sweep_s = min(1.0, config.ping_interval_s / 4, config.idle_timeout_s / 4, config.auth_timeout_s / 4)
        self._sweeping = False

    def __len__(self) -> int:
        return len(self._sockets)

    def add(self, connection: C) -> None:
        """Look after a connection from now on."""
        self._sockets.add(connection)
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)

    def remove(self, connection: C) -> None:
        """Look after it no more."""
        self._sockets.discard(connection)

    def _sweep(self) -> None:
        self._sweeping = bool(self._sockets)
        if self._sweeping:
            asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)
        self._check(list(self._sockets))

    def _check(self, connections: list[C]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in connections[-SWEEP:]:
            connection.check(now)
        del connections[-SWEEP:]
        if connections:
            loop.call_soon(self._check, connections)
