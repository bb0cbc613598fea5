"""`tracker loadtest`: many drivers and subscribers against a running server, and what it did with them."""

import asyncio
import itertools
import resource
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import jwt
import numpy as np

from api.load_sockets import Driver, Socket, Subscriber, Watcher, batch, connect_all
from api.protocol import ENDPOINT
from tracker.channels import Role
from tracker.errors import InvalidInput
from tracker.records import Floats

AHEAD = 2
"""Batches of a driver that are on their way when he sends as fast as he can."""
BACK_S = 86_400.0
"""As fast as they can, drivers send a recording that began so long ago."""
WAIT_S = 15.0
"""So long the last acknowledgements and positions may take."""
BUSY = 0.85
"""A share of a core from which on the client is busy."""
LATE_S = 0.02
"""A client that gets its turn later than this, one time in a hundred, measures itself."""
_TURN_S = 0.01

Tokens = Callable[[str, Role], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do. With `rate` 0 drivers send as fast as they are acknowledged."""

    url: str
    drivers: int
    batch: int  # fixes
    rate: float  # fixes a second of each driver
    subscribers: int
    duration_s: float


@dataclass(slots=True)
class Outcome:
    """What came of it; times in seconds."""

    seconds: float
    sent: int
    accepted: int
    accepted_in_time: int
    duplicates: int
    rejected: int
    errors: Counter[str]
    closed: Counter[str]
    ack_s: Floats
    location_s: Floats
    deliveries: int
    unseen: int  # drivers whose last position the watcher has not heard
    cpu: float  # share of a core that the client took
    late_s: float  # how late the client got its turn, 99 % of the time less
    behind_s: float  # how far its sending fell behind the plan

    @property
    def lost(self) -> int:
        """Fixes nobody has accounted for."""
        return self.sent - self.accepted - self.duplicates - self.rejected

    @property
    def fixes_per_s(self) -> float:
        """Accepted while the load went on."""
        return self.accepted_in_time / self.seconds

    @property
    def ok(self) -> bool:
        """Nothing was lost."""
        return not self.lost and not self.unseen

    @property
    def doubts(self) -> list[str]:
        """Why the figures may be the client's rather than the server's."""
        doubts = []
        if self.cpu > BUSY:
            doubts.append(
                f"the client took {self.cpu:.0%} of a core: it is the bottleneck; run several, or fewer subscribers"
            )
        if self.late_s > LATE_S:
            doubts.append(
                f"the client got its turn up to {self.late_s * 1000:.0f} ms late (p99): latencies include that"
            )
        if self.behind_s > 1.0:
            doubts.append(f"the client fell {self.behind_s:.1f} s behind its plan: the rate was not reached")
        return doubts


@dataclass(slots=True)
class _Load:
    plan: Plan
    drivers: list[Driver]
    names: list[str]
    watcher: Watcher | None
    since: int = 0  # Unix milliseconds of the first fix of all
    started: float = 0.0
    behind_s: float = 0.0
    last: dict[str, str] = field(default_factory=dict)

    def send(self, driver: int, seq: int, times: list[int], due: float) -> None:
        made = batch(driver, seq, times, self.since, due)
        if self.watcher is not None:
            name = self.names[driver]
            self.watcher.due[name, made.last] = due
            self.last[name] = made.last
        self.drivers[driver].send(seq, made)

    async def paced(self) -> None:
        """Each driver's batches at the planned rate, one driver after the other."""
        plan, loop = self.plan, asyncio.get_running_loop()
        step = plan.batch / plan.rate / plan.drivers
        wall = time.time() - loop.time()
        self.since = round((wall + self.started - plan.batch / plan.rate) * 1000)
        for turn in range(int(plan.duration_s / step)):
            due = self.started + turn * step
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            elif turn % 20 == 0:
                await asyncio.sleep(0)
            self.behind_s = max(self.behind_s, loop.time() - due)
            times = [round((wall + due - (plan.batch - 1 - i) / plan.rate) * 1000) for i in range(plan.batch)]
            self.send(turn % plan.drivers, turn // plan.drivers + 1, times, due)

    async def as_fast_as_it_goes(self) -> None:
        """Each driver has a few batches on their way, of a fix a second, until the time is over."""
        self.since = int(time.time() - BACK_S) * 1000
        for place, driver in enumerate(self.drivers):
            driver.then = partial(self._next, place, itertools.count(1))
            for _ in range(AHEAD):
                driver.then()
        await asyncio.sleep(self.plan.duration_s)

    def _next(self, place: int, seqs: Iterator[int]) -> None:
        now, fixes = asyncio.get_running_loop().time(), self.plan.batch
        if now < self.started + self.plan.duration_s:
            seq = next(seqs)
            first = self.since + (seq - 1) * fixes * 1000
            self.send(place, seq, [first + i * 1000 for i in range(fixes)], now)

    async def settled(self) -> None:
        """Wait until all is accounted for and heard, or no hope is left."""
        end = asyncio.get_running_loop().time() + WAIT_S
        while asyncio.get_running_loop().time() < end:
            if not any(driver.waiting and driver.lost is None for driver in self.drivers) and not self.unseen():
                return
            await asyncio.sleep(0.05)

    def unseen(self) -> int:
        """Drivers whose last position has not been heard."""
        if self.watcher is None:
            return 0
        newest = self.watcher.newest
        return sum(newest.get(name) != at for name, at in self.last.items())


def tokens_of_file(path: Path) -> Tokens:
    """Tokens from a file, one a line; each is used once. Raises InvalidInput."""
    by_role: dict[str, list[str]] = {}
    try:
        for line in path.read_text("utf-8").split():
            role = jwt.decode(line, options={"verify_signature": False}).get("role")
            by_role.setdefault("office" if role == "admin" else str(role), []).append(line)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--tokens: {path} cannot be read: {error}") from None
    except jwt.PyJWTError:
        raise InvalidInput(f"--tokens: {path} has a line that is no JWT") from None

    def give(sub: str, role: Role) -> str:
        if not by_role.get(role):
            raise InvalidInput(f"--tokens: {path} has too few tokens of the role {role}")
        return by_role[role].pop()

    return give


async def loadtest(plan: Plan, tokens: Tokens, ready: Callable[[], object] = lambda: None) -> Outcome:
    """Connect everybody, load the server, and wait for what is still on its way. Raises TrackerError.

    `ready` is called when all are connected.
    """
    _check(plan)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    prefix = f"load-{secrets.token_hex(3)}-"
    badges = [tokens(f"{prefix}{i}", "driver") for i in range(plan.drivers)]
    drivers = [Driver(_at(plan.url, "/driver"), badge) for badge in badges]
    subscribers = [
        (Watcher if i == 0 else Subscriber)(_at(plan.url, "/office"), tokens(f"{prefix}office-{i}", "office"))
        for i in range(plan.subscribers)
    ]
    everybody: Sequence[Socket] = [*drivers, *subscribers]
    await connect_all(everybody, loopback=urlsplit(plan.url).hostname in ("127.0.0.1", "localhost"))
    for subscriber in subscribers:
        subscriber.subscribe("drivers")
    watcher = next((s for s in subscribers if isinstance(s, Watcher)), None)
    ready()
    try:
        return await _measure(_Load(plan, drivers, list(map(_driver_of, badges)), watcher), subscribers)
    finally:
        for socket in everybody:
            socket.transport.abort()


async def _measure(load: _Load, subscribers: Sequence[Subscriber]) -> Outcome:
    loop = asyncio.get_running_loop()
    lags: list[float] = []
    watching = asyncio.create_task(_watch_turns(lags))
    before = sum(subscriber.positions for subscriber in subscribers)
    load.started, cpu = loop.time(), time.process_time()
    await (load.paced() if load.plan.rate else load.as_fast_as_it_goes())
    seconds, cpu = loop.time() - load.started, time.process_time() - cpu
    in_time = sum(driver.accepted for driver in load.drivers)
    heard = sum(subscriber.positions for subscriber in subscribers) - before
    watching.cancel()
    await load.settled()
    drivers = load.drivers
    return Outcome(
        seconds=seconds,
        sent=sum(driver.sent for driver in drivers),
        accepted=sum(driver.accepted for driver in drivers),
        accepted_in_time=in_time,
        duplicates=sum(driver.duplicates for driver in drivers),
        rejected=sum(driver.rejected for driver in drivers),
        errors=sum((driver.errors for driver in drivers), Counter()),
        closed=Counter(socket.lost for socket in [*drivers, *subscribers] if socket.lost),
        ack_s=np.concatenate([np.array(driver.latencies) for driver in drivers]),
        location_s=np.array(load.watcher.latencies if load.watcher else []),
        deliveries=heard,
        unseen=load.unseen(),
        cpu=cpu / seconds,
        late_s=float(np.percentile(lags, 99)) if lags else 0.0,
        behind_s=load.behind_s,
    )


async def _watch_turns(lags: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TURN_S
        await asyncio.sleep(_TURN_S)
        lags.append(loop.time() - due)


def report(plan: Plan, outcome: Outcome) -> str:
    """Some lines for a person."""
    o = outcome
    pace = f"{plan.rate:g} fixes/s each" if plan.rate else "as fast as they are acknowledged"
    lines = [
        f"load      {plan.drivers} drivers, batches of {plan.batch}, {pace}; {plan.subscribers} subscribers",
        f"fixes     {o.fixes_per_s:,.0f}/s acknowledged over {o.seconds:.1f} s; {o.sent:,} sent, "
        f"{o.accepted:,} accepted, {o.duplicates:,} duplicates, {o.rejected:,} refused, {o.lost:,} lost",
        f"ack       {_spread(o.ack_s)} from when a batch was due to its acknowledgement",
    ]
    if plan.subscribers:
        lines += [
            f"positions {o.deliveries / o.seconds:,.0f} deliveries/s; last one of {o.unseen:,} drivers not heard",
            f"latency   {_spread(o.location_s)} from when a fix was due to its position at a subscriber",
        ]
    lines.append(f"client    {o.cpu:.0%} of a core, its turns up to {o.late_s * 1000:.1f} ms late (p99)")
    lines += [f"errors    {count:,} {code}" for code, count in o.errors.most_common()]
    lines += [f"ended     {count:,} connections: {reason}" for reason, count in o.closed.most_common(5)]
    lines += [f"NOTE      {doubt}" for doubt in o.doubts]
    return "\n".join(lines)


def _spread(seconds: Floats) -> str:
    if not len(seconds):
        return "none measured"
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def _driver_of(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return str(claims.get("driver_id") or claims["sub"])


def _at(url: str, path: str) -> str:
    """The endpoint of a server, or of the endpoint that was given."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=ENDPOINT + path, query=""))


def _check(plan: Plan) -> None:
    """Raises InvalidInput for what cannot be done."""
    if urlsplit(plan.url).scheme not in ("ws", "wss") or not urlsplit(plan.url).hostname:
        raise InvalidInput(f"--url: {plan.url} is not the address of a WebSocket; give ws://HOST:PORT")
    for name, value, least in (
        ("drivers", plan.drivers, 1),
        ("batch", plan.batch, 1),
        ("subscribers", plan.subscribers, 0),
    ):
        if value < least:
            raise InvalidInput(f"--{name}: must be {least} or more")
    if plan.rate < 0 or plan.rate > 1000:
        raise InvalidInput("--rate: from 0 to 1000 fixes a second of each driver")
    if not plan.duration_s > 0:
        raise InvalidInput("--duration: must be more than 0")
