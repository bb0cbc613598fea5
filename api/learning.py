"""Learns from finished trips while the server runs, a trip at a time, in a thread; the engine gets the next model."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress

import structlog

from api.services import Services
from geo.eta import UnfitModel
from storage.store import Commit, Store, StoredModel
from tracker.eta_model import EtaModel, place_of
from tracker.learned_bytes import from_bytes, to_bytes
from tracker.learning import Learned
from tracker.records import Delivery, Order
from tracker.scores import Score, learned_intervals
from tracker.settings import EngineSettings
from tracker.shapes import centre

log = structlog.get_logger()

TRIP_MOST_S = 2 * 3600.0
"""A trip that began longer before its arrival is only learned from its last part."""
SETTLE_S = 600.0
"""What happened less than this ago waits for the next time: the events of a dead zone come late."""
FIRST_S = 14 * 86_400.0
"""What happened longer ago is not learned any more."""
TRIPS_A_TIME = 500
"""So many trips are read in one go at most; of more, the newest."""
SCORES = 3_000
"""Intervals follow from so many announced ETAs, the newest."""
_PAGE = 1_000
_DAY_S = 86_400.0


class Teacher:
    """Reads what a store has of finished trips and stops, adds it to what was learned, and makes models of it."""

    def __init__(self, store: Store, settings: EngineSettings) -> None:
        self._store = store
        self._settings = settings
        self._version = 0
        self.learned = Learned()
        self.turn = asyncio.Lock()
        """Held by who makes the next version, until the engine has it."""

    async def load(self) -> EtaModel | None:
        """Go on from the newest model of the store. Raises UnfitModel."""
        stored = await self._store.eta_model()
        if stored is None:
            return None
        self._version = stored.version
        self.learned = await asyncio.to_thread(from_bytes, stored.model)
        return await asyncio.to_thread(self.learned.model, stored.version, self._settings)

    async def learn(self, now: float) -> tuple[EtaModel, StoredModel] | None:
        """Learn what has happened since the last time up to a little before `now`; None where that is nothing."""
        since, until = max(self.learned.until, now - FIRST_S), now - SETTLE_S
        events = await self._events(since - TRIP_MOST_S, until)
        fresh = [event for event in events if event.occurred_at > since]
        if not fresh:
            return None
        arrivals = [event for event in fresh if event.kind == "driver_arrived"][-TRIPS_A_TIME:]
        left = _left(events)
        for arrival in arrivals:
            await self._add_trip(arrival, left[arrival.driver_id])
        await self._add_stops(events, since)
        scored = await self._store.scores(limit=SCORES)
        await asyncio.to_thread(self._conclude, fresh[-1].occurred_at, scored)
        return await self._next(now)

    async def start_from(self, learned: Learned, now: float) -> tuple[EtaModel, StoredModel]:
        """Forget what was learned for this; what the store has of the last days is learned on top, the next time."""
        learned.until = 0.0
        self.learned = learned
        return await self._next(now)

    async def _next(self, now: float) -> tuple[EtaModel, StoredModel]:
        self._version += 1
        model = await asyncio.to_thread(self.learned.model, self._version, self._settings)
        data = await asyncio.to_thread(to_bytes, self.learned)
        return model, StoredModel(self._version, now, int(self.learned.trips), data)

    def _conclude(self, until: float, scored: Sequence[Score]) -> None:
        if self.learned.until:
            self.learned.forget((until - self.learned.until) / _DAY_S)
        self.learned.until = until
        self.learned.intervals = learned_intervals(scored, self.learned.assumed)

    async def _events(self, start: float, end: float) -> list[Delivery]:
        """Arrivals and departures in [start, end), in order of time."""
        found: list[Delivery] = []
        after: tuple[float, str, int] | None = None
        while True:
            page = await self._store.events(start=start, end=end, after=after, limit=_PAGE)
            found += [
                event
                for event in page
                if isinstance(event, Delivery) and event.kind in ("driver_arrived", "departed") and not event.withdrawn
            ]
            if len(page) < _PAGE:
                return found
            after = page[-1].occurred_at, page[-1].event_id, page[-1].version

    async def _add_trip(self, arrival: Delivery, left: Sequence[float]) -> None:
        """From where the driver left his last stop."""
        began = max((t for t in left if t < arrival.occurred_at), default=0.0)
        start = max(began, arrival.occurred_at - TRIP_MOST_S)
        track = await self._store.track(arrival.driver_id, start, arrival.occurred_at)
        await asyncio.to_thread(
            self.learned.add_trip, track.fix_time, track.latitude, track.longitude, whole=began == start
        )

    async def _add_stops(self, events: Iterable[Delivery], since: float) -> None:
        arrived: dict[str, float] = {}
        for event in events:
            if event.kind == "driver_arrived":
                arrived[event.order_id] = event.occurred_at
            elif event.order_id in arrived and event.occurred_at > since:
                order = await self._store.get(Order, event.order_id)
                if order is not None:
                    place = place_of(*centre(order.destination))
                    self.learned.add_stop(event.driver_id, place, event.occurred_at - arrived[event.order_id])


def _left(events: Iterable[Delivery]) -> dict[str, list[float]]:
    """When each driver left a stop."""
    left: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.kind == "departed":
            left[event.driver_id].append(event.occurred_at)
    return left


async def learn_forever(services: Services) -> None:
    """Every now and then, for as long as the server runs; what fails is logged, and tried again the next time."""
    while True:
        await asyncio.sleep(max(services.config.eta_learn_every_s, 1.0))
        teacher = services.teacher
        try:
            async with teacher.turn:
                learned = await teacher.learn(services.clock())
                if learned is not None:
                    await _use(services, *learned)
        except Exception:
            log.exception("learning arrivals failed")
            services.meters.failures["learning"] += 1


async def start_from(services: Services, learned: Learned) -> None:
    """Predict by what somebody else has learned, and learn on from there. Raises StoreUnavailable."""
    teacher = services.teacher
    async with teacher.turn:
        former = teacher.learned
        try:
            await _use(services, *await teacher.start_from(learned, services.clock()))
        except BaseException:
            teacher.learned = former
            raise


async def put_into(store: Store, settings: EngineSettings, learned: Learned, now: float) -> EtaModel:
    """Have the server that runs on this store next start from it; the model that it will predict by."""
    teacher = Teacher(store, settings)
    with suppress(UnfitModel):  # it is replaced
        await teacher.load()
    model, stored = await teacher.start_from(learned, now)
    await store.commit(Commit(eta_models=[stored]))
    return model


async def _use(services: Services, model: EtaModel, stored: StoredModel) -> None:
    await services.line.commit(Commit(eta_models=[stored]))
    services.engine.use_model(model)
    log.info("learned arrivals", version=model.version, trips=stored.trips, cells=len(model.speeds.cell))


async def load_model(services: Services) -> None:
    """Have the engine go on with the store's model; one that does not fit is named, and learned anew."""
    try:
        model = await services.teacher.load()
    except UnfitModel as error:
        log.error("the ETA model in the store is not used", reason=str(error))
    else:
        if model is not None:
            services.engine.use_model(model)
