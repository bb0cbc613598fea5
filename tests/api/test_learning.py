"""A fleet that drives for days: what the server learns of it from the store, and how its ETAs become better."""

from itertools import pairwise

import numpy as np
import pytest

from api.app import running
from api.config import Config
from api.learning import SETTLE_S, Teacher, load_model
from api.simulator import drive
from geo.eta import UnfitModel
from geo.speeds import ANY, hour_of, pace_at
from storage import open_store
from storage.store import Commit, Store, StoredModel
from tests.fixes import T0, batch, place
from tests.site import SECRET, Clock
from tracker.engine import Engine
from tracker.learning import Learned
from tracker.records import Destination, FixBatch, Order, Route
from tracker.scores import Accuracy, accuracy
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()
DRIVERS, STOPS, DAYS = 6, 6, 5
DAY_S = 86_400.0
CITY_M = 5_000.0


class Fleet:
    """Drivers who deliver in a city whose north is slow and whose stops take long, unlike the settings say."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.engine = Engine(SETTINGS)
        self.teacher = Teacher(store, SETTINGS)
        self._rng = np.random.default_rng(seed)

    async def day(self, day: int) -> None:
        """Every driver makes his round of stops, and the night is for learning."""
        for driver in range(DRIVERS):
            await self._round(f"d{driver}", day)
        learned = await self.teacher.learn(T0 + day * DAY_S + 20 * 3600)
        assert learned is not None
        model, stored = learned
        await self.store.commit(Commit(eta_models=[stored]))
        self.engine.use_model(model)

    async def _round(self, driver_id: str, day: int) -> None:
        rng = self._rng
        places = rng.uniform(-CITY_M, CITY_M, (STOPS + 1, 2))
        points = [tuple(float(x) for x in place(east, north)) for east, north in places]
        names = [f"{driver_id}-{day}-{i}" for i in range(1, STOPS + 1)]
        for name, (latitude, longitude) in zip(names, points[1:], strict=True):
            goal = Destination(latitude=latitude, longitude=longitude, radius=50.0)
            self.engine.set_order(Order(order_id=name, customer_id="c", driver_id=driver_id, destination=goal))
        self.engine.set_route(Route(route_id=driver_id, driver_id=driver_id, stops=names))
        trips = []
        for start, end in pairwise(points):
            trip = drive(start, end, rng, stay_s=rng.uniform(400.0, 500.0))
            slow = 1 + (trip.latitude > place(0.0)[0]).astype(int)
            slow[trip.speed == 0] = 1
            columns = (trip.latitude, trip.longitude, trip.speed / slow)
            trips.append(np.repeat(np.stack(columns), slow, axis=1))
        latitude, longitude, speed = np.concatenate(trips, axis=1)[:, ::5]
        t = T0 + day * DAY_S + 5.0 * np.arange(len(latitude))
        unknown = np.full(len(t), np.nan)
        empty = batch(self.engine, driver_id, 0.0, 0.0)
        fixes = FixBatch(
            **{name: getattr(empty, name) for name in FixBatch.__slots__}
            | {
                "driver": np.full(len(t), empty.driver[0]),
                "fix_time": t,
                "latitude": latitude,
                "longitude": longitude,
                "speed": speed,
                "course": unknown,
                "accuracy": np.full(len(t), 5.0),
                "received_at": t,
            }
        )
        updates = self.engine.ingest(fixes)
        await self.store.commit(
            Commit(track=updates.track, aside=updates.aside, events=updates.events, save=updates.orders)
        )
        for name in names:
            self.engine.remove_order(name)

    async def accuracy(self, day: int) -> Accuracy:
        (found,) = accuracy(await self.store.scores(start=T0 + day * DAY_S, end=T0 + (day + 1) * DAY_S))
        return found


@pytest.fixture
async def fleet(sqlite_url: str):
    store = open_store(sqlite_url)
    await store.open()
    yield Fleet(store, seed=5)
    await store.close()


async def test_every_day_of_operation_makes_predictions_better(fleet: Fleet) -> None:
    for day in range(DAYS):
        await fleet.day(day)
    days = [await fleet.accuracy(day) for day in range(DAYS)]
    first, last = days[0], days[-1]
    assert last.mae_s < 0.7 * first.mae_s
    assert abs(last.bias_s) < 0.5 * abs(first.bias_s)
    assert abs(last.coverage - 0.8) < min(abs(first.coverage - 0.8), 0.15)
    speeds = fleet.engine.eta_model.speeds
    points = {y: [place(x, y) for x in range(-3000, 3001, 500)] for y in (2000.0, -2000.0)}
    north, south = (
        np.mean([pace_at(speeds, float(lat), float(lon), hour_of(T0), ANY) for lat, lon in row])
        for row in points.values()
    )
    assert north > 1.25 * south
    assert fleet.engine.eta_model.service.fleet_s == pytest.approx(450, abs=50)
    assert await fleet.teacher.learn(T0 + DAYS * DAY_S) is None  # nothing new


async def test_learning_goes_on_where_it_was_after_a_restart(fleet: Fleet) -> None:
    await fleet.day(0)
    again = Teacher(fleet.store, SETTINGS)
    model = await again.load()
    assert model is not None
    np.testing.assert_allclose(model.speeds.pace, fleet.engine.eta_model.speeds.pace, rtol=1e-5)
    assert (model.version, again.learned.trips) == (1, DRIVERS * STOPS)
    assert await again.learn(T0 + 20 * 3600) is None
    fleet.teacher = again
    await fleet.day(1)
    assert again.learned.trips == 2 * DRIVERS * STOPS
    newest = await fleet.store.eta_model()
    assert newest is not None
    assert (newest.version, newest.trips) == (2, 2 * DRIVERS * STOPS)


async def test_on_top_of_what_is_loaded_its_own_newest_trips_are_learned_again(fleet: Fleet) -> None:
    await fleet.day(0)
    loaded = Learned(trips=100.0)
    loaded.add_stop("d0", "elsewhere", 60.0)
    model, stored = await fleet.teacher.start_from(loaded, T0 + DAY_S)
    assert (model.version, stored.trips) == (2, 100)
    assert await fleet.teacher.learn(T0 + DAY_S) is not None
    assert fleet.teacher.learned.trips == 100 + DRIVERS * STOPS
    assert "elsewhere" in fleet.teacher.learned.by_place


async def test_what_happened_a_moment_ago_waits_for_the_next_time(fleet: Fleet) -> None:
    fleet.engine.set_order(
        Order(
            order_id="o", customer_id="c", driver_id="d", destination=Destination(latitude=25.033, longitude=121.5654)
        )
    )
    updates = fleet.engine.ingest(batch(fleet.engine, "d", [0.0, 15.0, 30.0], 0.0, speed=0.0))
    await fleet.store.commit(Commit(track=updates.track, events=updates.events, save=updates.orders))
    assert await fleet.teacher.learn(T0 + SETTLE_S - 1) is None
    assert await fleet.teacher.learn(T0 + SETTLE_S + 60) is not None


async def test_a_model_that_does_not_fit_is_refused_and_the_server_starts_without(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    await store.open()
    await store.commit(Commit(eta_models=[StoredModel(3, T0, 9, b"of another program")]))
    with pytest.raises(UnfitModel, match="learned again"):
        await Teacher(store, SETTINGS).load()
    await store.close()
    async with running(Config(jwt_secret=SECRET, store=sqlite_url), Clock()) as services:
        assert services.engine.eta_model.version == 0
        await load_model(services)
        assert services.engine.eta_model.version == 0
