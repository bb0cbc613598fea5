"""How many connections a user has on all instances: past the limit the oldest anywhere ends."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from api.cluster.bus import AGAIN_S, UNREACHABLE, Bus
from api.cluster.wire import Close, Names, encode

ADMIT = """
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[5])
local alive, ended = {}, {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('EXISTS', ARGV[4] .. string.match(member, '^%S+')) == 1 then
    table.insert(alive, member)
  else
    redis.call('ZREM', KEYS[1], member)
  end
end
for i = 1, #alive - tonumber(ARGV[3]) do
  redis.call('ZREM', KEYS[1], alive[i])
  table.insert(ended, alive[i])
end
return ended
"""
"""Counts a connection in, forgets those of dead instances, and returns the oldest ones past the limit."""
REGISTER_S = 60.0
"""So often every connection is counted in again, as Redis may have forgotten it."""
KEPT_S = 300
TOGETHER = 500
"""So many connections are counted in one go."""


@dataclass(slots=True)
class Connected:
    """A connection of a user here."""

    user_id: str
    opened_at: float
    close: Callable[[], None]


class Users:
    """Counts in Redis, where each connection stands under its user as long as its instance lives.

    Without Redis each instance counts its own, as one alone does.
    """

    def __init__(
        self, instance: str, limit: int, bus: Bus, names: Names, clock: Callable[[], float], counts: Counter[str]
    ) -> None:
        self._instance = instance
        self._limit = limit
        self._bus = bus
        self._names = names
        self._clock = clock
        self._counts = counts
        self._connections: dict[str, Connected] = {}
        self._due: dict[str, str] = {}  # connections whose place in Redis is to be set right, with their users
        self._wake = asyncio.Event()

    def opened(self, user_id: str, connection_id: str, close: Callable[[], None]) -> None:
        """A user has connected here; `close` ends the connection in favour of newer ones."""
        self._connections[connection_id] = Connected(user_id, self._clock(), close)
        self._set_right(user_id, connection_id)

    def closed(self, user_id: str, connection_id: str) -> None:
        """A connection has ended."""
        if self._connections.pop(connection_id, None) is not None:
            self._set_right(user_id, connection_id)

    def close(self, connection_id: str) -> None:
        """End a connection in favour of newer ones, if it is still there."""
        connected = self._connections.get(connection_id)
        if connected is not None:
            self._counts["evicted"] += 1
            connected.close()

    def register(self) -> None:
        """Count everything in again."""
        self._due |= {key: connected.user_id for key, connected in self._connections.items()}
        self._wake.set()

    async def work(self) -> None:
        """Keep Redis right, for ever."""
        loop = asyncio.get_running_loop()
        again_at = loop.time() + REGISTER_S
        while True:
            try:
                async with asyncio.timeout_at(again_at):
                    await self._wake.wait()
            except TimeoutError:
                again_at = loop.time() + REGISTER_S
                self.register()
            self._wake.clear()
            while self._due:
                try:
                    await self._work_off()
                except UNREACHABLE:
                    await asyncio.sleep(AGAIN_S)

    def _set_right(self, user_id: str, connection_id: str) -> None:
        self._due[connection_id] = user_id
        self._wake.set()

    async def _work_off(self) -> None:
        """As each connection is now, in one pipeline."""
        due = list(self._due.items())[:TOGETHER]
        pipeline = self._bus.redis.pipeline(transaction=False)
        for connection_id, user_id in due:
            key, member = self._names.users + user_id, f"{self._instance} {connection_id}"
            connected = self._connections.get(connection_id)
            if connected is None:
                pipeline.zrem(key, member)
            else:
                instances = self._names.instance("")
                pipeline.eval(ADMIT, 1, key, member, connected.opened_at, self._limit, instances, KEPT_S)
        seen = {connection_id: connection_id in self._connections for connection_id, _ in due}
        answers = await pipeline.execute()
        for (connection_id, _), answer in zip(due, answers, strict=True):
            if (connection_id in self._connections) == seen[connection_id]:  # else it has to be set right again
                self._due.pop(connection_id, None)
            for ended in answer if isinstance(answer, list) else ():
                self._end(ended.decode())

    def _end(self, member: str) -> None:
        instance, _, connection_id = member.partition(" ")
        if instance == self._instance:
            self.close(connection_id)
        else:
            self._bus.publish(self._names.instance(instance), encode(Close(connection_id)))
