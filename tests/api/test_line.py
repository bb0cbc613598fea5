import asyncio

import numpy as np
import pytest

from storage.store import Commit, Committed
from tests.fixes import LATITUDE, LONGITUDE, T0
from tests.site import DRIVER, OFFICE, Site, order_body, site
from tracker.codec import Report
from tracker.errors import Flag, StoreUnavailable
from tracker.hub import Outbox
from tracker.messages import Error, LocationAck


@pytest.fixture
async def here(sqlite_url: str):
    async with site(sqlite_url) as running:
        yield running


def report(*t: float, seq: int = 1, latitude: float = LATITUDE) -> Report:
    fixes = [(T0 + x, latitude, LONGITUDE, 0.0, np.nan, 5.0, 0.0) for x in t]
    return Report(seq, np.array(fixes).reshape(-1, 7))


async def put(here: Site, driver_id: str, *reports: Report, now: float = T0) -> list[LocationAck | Error]:
    """Give the line these reports at once; their answers, in the order they came."""
    answers: asyncio.Queue[LocationAck | Error] = asyncio.Queue()
    for each in reports:
        here.services.line.put(driver_id, each, now, answers.put_nowait)
    async with asyncio.timeout(60):
        return [await answers.get() for _ in reports]


class Ear:
    """Hears topics as a connection does."""

    def __init__(self, here: Site, *topics: str) -> None:
        self.heard = b""
        self._more = asyncio.Event()
        outbox = Outbox(self._hear, lambda: None, here.services.hub.counts)
        for topic in topics:
            here.services.hub.join(topic, outbox)

    def _hear(self, data: bytes) -> None:
        self.heard += data
        self._more.set()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(60):
            while text not in self.heard:
                self._more.clear()
                await self._more.wait()


@pytest.mark.parametrize("together", [1, 4, 30])
async def test_second_thoughts_about_outliers_reach_the_store(here: Site, together: int) -> None:
    """What stays where a jump went was none; so it is stored in any batching."""
    t = np.arange(30.0)
    north = 10 * t + np.where(t >= 15, 60.0, 0.0)
    unknown = np.full(30, np.nan)
    latitude, longitude = LATITUDE + north / 110_800, np.full(30, LONGITUDE)
    fixes = np.stack([T0 - 60 + t, latitude, longitude, unknown, unknown, np.full(30, 15.0), np.zeros(30)], axis=1)
    for first in range(0, 30, together):
        await put(here, "d", Report(first, fixes[first : first + together]))
    assert here.services.line.counts["outlier"] > 0
    track, kind = await here.services.store.fixes("d", T0 - 60, T0)
    assert len(track.fix_time) == 30
    assert set(kind.tolist()) == {Flag.ACCEPTED}


async def test_an_answer_comes_after_the_commit_and_accounts_for_everything(here: Site) -> None:
    (first,) = await put(here, "d", report(0, 1, 2))
    assert first == LocationAck(seq=1, accepted=3, duplicates=0, rejected=[])
    stored = await here.services.store.track("d", T0, T0 + 10)
    assert (stored.fix_time - T0).tolist() == [0, 1, 2]
    again, late = await put(here, "d", report(1, 2, seq=2), report(0.5, seq=3))
    assert (again.accepted, again.duplicates) == (0, 2)
    assert (late.accepted, late.duplicates) == (1, 0)
    (out,) = await put(here, "d", report(3, latitude=91.0))
    assert [r.code for r in out.rejected] == ["latitude_out_of_range"]
    assert here.services.line.counts == {"accepted": 3, "duplicate": 2, "late": 1, "latitude_out_of_range": 1}


async def test_the_newest_position_goes_to_those_who_may_see_it(here: Site) -> None:
    await here.put("orders/o1", order_body(driver_id="d"))
    everyone, another = Ear(here, "drivers"), Ear(here, "driver:e")
    allowed = [Ear(here, topic) for topic in ("driver:d", "order:o1", "order:o1@customer:C1")]
    await put(here, "d", report(0, 1, 2))
    await everyone.until(b'"timestamp":"2025-10-09T08:53:22Z"')
    assert everyone.heard.count(b"driver.location") == 1
    for ear in allowed:
        await ear.until(b"driver.location")
    assert another.heard == b""


async def test_a_customer_does_not_see_a_driver_who_is_far_and_has_others_first(here: Site) -> None:
    await here.put("orders/first", order_body(driver_id="d"))
    here.clock.now += 1
    far = {"latitude": LATITUDE + 1, "longitude": LONGITUDE}
    await here.put("orders/second", order_body(driver_id="d", customer_id="C2", destination=far))
    office, customer = Ear(here, "order:second"), Ear(here, "order:second@customer:C2")
    await put(here, "d", report(0, 1, 2))
    await office.until(b"driver.location")
    assert b"driver.location" not in customer.heard


async def test_a_change_of_status_is_told_once_to_those_who_may_see_the_driver(here: Site) -> None:
    await here.put("orders/o1", order_body(driver_id="d"))
    ears = [Ear(here, topic) for topic in ("drivers", "driver:d", "order:o1@customer:C1")]
    await put(here, "d", report(0, 1, 2))
    for age, status in [(0.0, b"live"), (60.0, b"late"), (300.0, b"silent")]:
        here.clock.now = T0 + 2 + age
        for _ in range(2):
            here.services.line.time_passes()
        for ear in ears:
            await ear.until(b'"status":"' + status)
    assert [ear.heard.count(b"driver.status") for ear in ears] == [3, 3, 3]
    assert b'"since":"2025-10-09T08:58:22Z"' in ears[0].heard


async def test_an_area_is_told_of_who_is_inside_and_of_who_left(here: Site) -> None:
    topic = f"area:{LONGITUDE - 0.1},{LATITUDE - 0.1},{LONGITUDE + 0.1},{LATITUDE + 0.1}"
    await put(here, "d", report(0))
    await put(here, "far", report(0, latitude=LATITUDE + 1))
    ear = Ear(here, topic)
    (shown,) = (await here.services.line.positions(topic)).items()
    assert shown[0] == "d"
    assert shown[1].index(b'"driver.status"') < shown[1].index(b'"driver.location"')
    await put(here, "far", report(1, latitude=LATITUDE + 1))
    await put(here, "d", report(1))
    await ear.until(b"2025-10-09T08:53:21Z")
    assert b'"driver_id":"far"' not in ear.heard
    await put(here, "d", report(2000, latitude=LATITUDE + 0.2), now=T0 + 2000)
    await ear.until(b"2025-10-09T09:26:40Z")
    await put(here, "d", report(4000, latitude=LATITUDE + 0.3), now=T0 + 4000)
    await put(here, "far", report(4000), now=T0 + 4000)
    await ear.until(b'"driver_id":"far"')
    located = [
        m.split(b'"timestamp"')[1][13:21] for m in ear.heard.split(b"driver.location") if b'"driver_id":"d"' in m
    ]
    assert located[-1] == b"09:26:40", "once more outside, and then no more"


async def test_a_fault_of_the_engine_is_answered_and_the_next_report_goes_through(here: Site, monkeypatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(here.services.engine, "ingest", lambda batch: 1 / 0)
        (answer,) = await put(here, "d", report(0))
    assert (answer.code, answer.ref) == ("internal_error", 1)
    (answer,) = await put(here, "d", report(1))
    assert isinstance(answer, LocationAck)


async def test_what_the_store_refuses_is_answered_with_its_code(here: Site, monkeypatch) -> None:
    monkeypatch.setattr(here.services.writer, "put", lambda commit: _failed(StoreUnavailable()))
    (answer,) = await put(here, "d", report(0))
    assert (answer.code, answer.ref) == ("store_unavailable", 1)


async def test_what_the_store_refused_is_stored_when_it_comes_again(here: Site, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(here.services.writer, "put", lambda commit: _failed(RuntimeError("a fault")))
        (answer,) = await put(here, "d", report(0, 1))
    assert answer.code == "internal_error"
    (answer,) = await put(here, "d", report(0, 1))
    assert (answer.accepted, answer.duplicates) == (2, 0)
    assert len((await here.services.store.track("d", T0, T0 + 2)).fix_time) == 2
    (answer,) = await put(here, "d", report(0, 1))
    assert (answer.accepted, answer.duplicates) == (0, 2)


async def test_a_repeat_of_what_the_store_then_refuses_is_not_acknowledged(here: Site, monkeypatch) -> None:
    begun, refused = asyncio.Event(), asyncio.Event()

    async def refuse(commit: Commit) -> Committed:
        begun.set()
        await refused.wait()
        patch.undo()
        raise RuntimeError("a fault")

    with monkeypatch.context() as patch:
        patch.setattr(here.services.store, "commit", refuse)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(put(here, "d", report(0, 1)))
            await begun.wait()
            again = tasks.create_task(put(here, "d", report(0, 1)))
            while not here.services.writer.waiting:  # noqa: ASYNC110 nobody tells
                await asyncio.sleep(0)
            refused.set()
    assert [answer.code for answer in (*first.result(), *again.result())] == ["internal_error"] * 2
    (answer,) = await put(here, "d", report(0, 1))
    assert (answer.accepted, answer.duplicates) == (1, 1)
    assert len((await here.services.store.track("d", T0, T0 + 2)).fix_time) == 2


def _failed(error: Exception) -> asyncio.Future:
    future = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


async def test_sessions_wait_while_too_much_is_pending(sqlite_url: str) -> None:
    async with site(sqlite_url, max_pending_fixes=500) as here:
        line = here.services.line
        answers: list[LocationAck | Error] = []
        room = asyncio.Event()
        line.put("d", report(*range(501)), T0 + 501, answers.append)
        assert line.full
        line.when_room(room.set)
        async with asyncio.timeout(60):
            await room.wait()
        assert not line.full


async def test_an_arrival_is_published_once_and_stored_with_its_fixes(here: Site) -> None:
    await here.put("orders/o1", order_body(driver_id="D1"))
    customer = Ear(here, "order:o1@customer:C1")
    await put(here, "D1", report(0, 10, 20, 30))
    await customer.until(b'"driver_arrived"')
    assert customer.heard.count(b'"driver_arrived"') == 1
    order = await here.get(OFFICE, "orders/o1")
    assert order["status"] == "driver_arrived"
    events = await here.get(OFFICE, "events?order=o1")
    assert [e["kind"] for e in events["events"] if e["kind"] == "driver_arrived"] == ["driver_arrived"]
    assert (await here.ask(DRIVER, "GET", "events?order=o1")).is_success


async def test_an_arrival_waits_for_a_customer_who_is_offline_and_is_told_once_to_one_who_listens(here: Site) -> None:
    await here.put("orders/o1", order_body(driver_id="D1"))
    only_personal, both = Ear(here, "user:C1"), Ear(here, "user:C1", "order:o1@customer:C1")
    await put(here, "D1", report(0, 10, 20, 30))
    await only_personal.until(b'"driver_arrived"')
    await both.until(b'"driver_arrived"')
    assert both.heard.count(b'"driver_arrived"') == 1
    ((_, waits),) = await here.services.store.waiting(["user:C1"], here.clock.now)
    assert waits.priority == "critical"


async def test_the_eta_of_a_silent_driver_is_taken_back_from_its_customer(here: Site) -> None:
    await here.put("orders/O1", order_body(destination={"latitude": LATITUDE + 0.05, "longitude": LONGITUDE}))
    ear = Ear(here, "order:O1@customer:C1")
    await put(here, "D1", report(0.0))
    here.services.line.time_passes()
    here.clock.now = T0 + 301.0
    here.services.line.time_passes()
    await ear.until(b'"eta":null')
    assert ear.heard.count(b'"status":"eta_changed"') == 2
    assert "eta" not in await here.get(OFFICE, "orders/O1")
