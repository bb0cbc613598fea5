"""One of several servers on a store: the engine, which writes, or an edge, which becomes the engine when that dies.

Who holds the store's lock is the engine, and nothing else decides it. A key in Redis that expires tells edges when to
try for the lock, and nothing more: while the engine lives they cannot get it.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal

import structlog

from api.assembly import assemble, keep_going, restore, start, stop
from api.auth import Authenticator
from api.cluster.bus import AGAIN_S, UNREACHABLE, Bus, end
from api.cluster.edge import EdgeLine
from api.cluster.fanout import Fanout
from api.cluster.relay import Relay
from api.cluster.requests import EdgeOffice, Requests
from api.cluster.topics import Topics
from api.cluster.users import Users
from api.cluster.wire import Acks, Close, Names, decode_to_instance
from api.config import Config
from api.services import Services
from storage.postgis import PostGIS
from tracker.areas import AREA
from tracker.errors import ConfigurationError, EngineUnavailable, StoreInUse, StoreUnavailable, TrackerError

log = structlog.get_logger()

SCHEMA_S = 30.0
"""So long an edge waits for the engine to make the schema."""
Role = Literal["engine", "edge"]


class Instance:
    """Puts the parts of its role together, and others in their place when it changes."""

    def __init__(self, config: Config, clock: Callable[[], float], authenticator: Authenticator) -> None:
        self.id = secrets.token_hex(6)
        self.role: Role = "edge"
        self.counts: Counter[str] = Counter()
        """What became of reports, publications and connections between instances."""
        self.engine_seen = False
        """Whether an engine has said lately that it lives."""
        self.services: Services
        self.users: Users
        self.bus: Bus
        self._config = config
        self._clock = clock
        self._authenticator = authenticator
        self._hub: Fanout
        self._names: Names
        self._topics: Topics | None = None
        self._requests: Requests
        self._edge_line: EdgeLine | None = None
        self._relay: Relay | None = None
        self._tasks: list[asyncio.Task[None]] = []  # of its role
        self._always: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._alone_since: float | None = None

    def check(self) -> None:
        """Reports would be taken now. Raises EngineUnavailable."""
        if self.role == "edge" and not (self.bus.connected and self.engine_seen):
            raise EngineUnavailable

    # Beginning and end

    async def open(self) -> Services:
        """Become the engine where nobody is, else an edge. Raises TrackerError."""
        store = PostGIS(self._config.store)
        try:
            await store.open()
            writes = True
        except StoreInUse:
            writes = False
            await self._open_to_read(store)
        try:
            self._names = Names(store.epoch)
            self.bus = Bus(self._config.redis, self.counts, self._heard, self._up)
            loop = asyncio.get_running_loop()
            self._hub = Fanout(loop.call_soon, self.bus, self._names, self._clock)
            limit = self._config.max_connections_per_user
            self.users = Users(self.id, limit, self.bus, self._names, self._clock, self.counts)
            self._requests = Requests(self.id, self.bus, self._names, self.counts)
            self.services = assemble(self._config, self._clock, store, self._hub, self._authenticator)
            self.services.instance = self
            self.bus.subscribe([self._names.instance(self.id)])
            if writes:
                await restore(self.services)
                self._tasks = await start(self.services)
                await self._be_engine(self.services)
            else:
                self._be_edge()
        except BaseException:
            await store.close()
            raise
        self.bus.start()
        self._always = keep_going(self.services, users=self.users.work(), life=self._live())
        log.info("instance", role=self.role, instance=self.id, redis=self._config.redis_name)
        return self.services

    async def close(self) -> None:
        """Hand over and end."""
        await end(self._always + [task for task in (self._looking,) if task])
        services = self.services
        if self._edge_line is None:  # else drivers send again elsewhere what was not answered
            await stop(services, self._tasks)
        await end(self._tasks)
        await services.store.close()
        gone = [self._names.instance(self.id)] + [self._names.engine] * (self.role == "engine")
        self.bus.send("DEL", *gone)
        await self.bus.close()

    async def _open_to_read(self, store: PostGIS) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + SCHEMA_S
        while True:
            try:
                await store.open(read_only=True)
                return
            except (ConfigurationError, StoreUnavailable):
                if loop.time() > until:
                    raise
                await asyncio.sleep(AGAIN_S)

    # Roles

    def _be_edge(self) -> None:
        services = self.services
        topics = self._topics = Topics(services, self._hub, self.bus, self._names, self.counts)
        line = EdgeLine(services, self.id, self.bus, self._names, topics, self._requests, self.counts)
        services.line = self._edge_line = line
        services.office = EdgeOffice(services, self._requests)
        services.forward = self._requests.forward
        self._tasks = keep_going(
            services,
            topics=topics.watch(),
            reports=line.watch(),
            flush=self._flush(services),
            beat=services.meters.beat(),
        )

    async def _be_engine(self, services: Services) -> None:
        """Take what other instances send. `services` are going, and may not be those of this instance yet."""
        relay = Relay(services, lambda *call: self.services.app(*call), self.id, self.bus, self._names, self.counts)
        self._hub.sending = True
        with suppress(*UNREACHABLE):
            await relay.look()
            await relay.catch_up()
        self._relay = relay
        self.role, self.engine_seen = "engine", True
        self.bus.subscribe([self._names.engine])
        self._tasks += keep_going(services, reports=relay.read(), topics=relay.keep_looking())

    async def _take_over(self) -> None:
        """Become the engine, if the store lets us; connections stay and notice nothing."""
        store = PostGIS(self._config.store)
        try:
            await store.open()
        except (StoreInUse, StoreUnavailable):
            return
        log.warning("taking over", instance=self.id)
        services, topics, line = self.services, self._topics, self._edge_line
        assert topics is not None
        assert line is not None
        fresh = assemble(self._config, self._clock, store, self._hub, self._authenticator)
        fresh.fail = lambda error: services.fail(error)
        fresh.mailroom, fresh.meters, fresh.scoreboard = services.mailroom, services.meters, services.scoreboard
        try:
            await restore(fresh)
            heard = await topics.stop()
        except TrackerError:
            await store.close()
            raise
        await end(self._tasks)
        self._tasks = await start(fresh)
        await self._be_engine(fresh)
        for topic in heard:
            if topic.startswith(AREA):
                await fresh.line.positions(topic)
        former = services.store
        for part in ("store", "writer", "engine", "line", "office", "historian", "teacher", "upkeep"):
            setattr(services, part, getattr(fresh, part))
        services.works, services.forward = [*self._always, *self._tasks], None
        line.hand_over(services.line)
        self._topics = self._edge_line = None
        await former.close()
        log.info("instance", role=self.role, instance=self.id)

    async def _flush(self, services: Services) -> None:
        """Write to connections what has gathered, for ever."""
        while True:
            await asyncio.sleep(self._config.flush_interval_ms / 1000)
            services.mailroom.tick()
            for _ in self._hub.flush_slices():
                await asyncio.sleep(0)

    # Life

    async def _live(self) -> None:
        """Say that this instance lives, and see whether the engine does."""
        while True:
            with suppress(*UNREACHABLE):
                await self._say_so()
            if self.role == "edge":
                try:
                    await self._watch_engine()
                except TrackerError as error:
                    log.warning("could not take over", error=error.code)
                except Exception:
                    log.exception("could not take over")
                    self.services.meters.failures["takeover"] += 1
            await asyncio.sleep(self._config.lease_s / 4)

    async def _say_so(self) -> None:
        pipeline = self.bus.redis.pipeline(transaction=False)
        lease_ms = max(round(self._config.lease_s * 1000), 1)
        pipeline.set(self._names.instance(self.id), self.role, px=lease_ms)
        if self.role == "engine":
            pipeline.set(self._names.engine, self.id, px=lease_ms)
        await pipeline.execute()

    async def _watch_engine(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self.engine_seen = await self.bus.redis.get(self._names.engine) is not None
            patience = 0.0  # its key has expired, so it has been silent for long enough
        except UNREACHABLE:
            self.engine_seen = False
            patience = self._config.lease_s
        if self.engine_seen:
            self._alone_since = None
            return
        self._alone_since = loop.time() if self._alone_since is None else self._alone_since
        if loop.time() - self._alone_since >= patience:
            self._alone_since = loop.time()
            await self._take_over()

    # What comes through Redis

    def _up(self) -> None:
        """Redis is there, for the first time or again: it may have lost anything in the meantime."""
        self.users.register()
        if self._topics is not None:
            self._topics.reconnected()
        if self._edge_line is not None:
            self._edge_line.send_again()
            self._looking = asyncio.create_task(self._edge_line.look_again())
        if self._relay is not None:
            self._relay.read_again()

    def _heard(self, channel: str, payload: bytes) -> None:
        if channel.startswith(self._names.topics):
            if self._topics is not None:
                self._topics.take(channel.removeprefix(self._names.topics), payload)
        elif channel == self._names.engine:
            if self._relay is not None:
                self._relay.take(payload)
        else:
            self._take(payload)

    def _take(self, payload: bytes) -> None:
        message = decode_to_instance(payload)
        if isinstance(message, Acks):
            if self._edge_line is not None:
                self._edge_line.settle(message.replies)
        elif isinstance(message, Close):
            self.users.close(message.connection_id)
        else:
            self._requests.take(message)


@asynccontextmanager
async def one_of_several(
    config: Config, clock: Callable[[], float], authenticator: Authenticator
) -> AsyncIterator[Services]:
    """A server that works with others on one store. Raises ConfigurationError where the store is for one alone."""
    if not config.store.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError(
            "redis: several instances need one PostGIS store; give store as postgresql://USER@HOST/DATABASE, "
            "or leave redis out",
            field="redis",
        )
    instance = Instance(config, clock, authenticator)
    services = await instance.open()
    try:
        yield services
    finally:
        await instance.close()
