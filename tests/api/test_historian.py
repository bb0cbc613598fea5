"""What late fixes change is stored once, in versions, whatever is restarted when; customers never hear of it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from api.files import Fixes
from storage.store import Commit
from tests.fixes import T0, place
from tests.site import DRIVER, OFFICE, Site, order_body, site
from tests.tracker.test_history import alike, dead_zone, fence, fences_of, run, told, wander
from tracker.errors import StoreUnavailable
from tracker.records import Event

DONE = 10_000.0
"""Seconds after which nothing more is waited for."""


@pytest.fixture
async def here(store_url: str) -> AsyncIterator[Site]:
    async with site(store_url) as running:
        yield running


async def post(here: Site, fixes: Fixes, index: list[int]) -> dict:
    """These fixes as D1's app would send them."""
    i = np.array(index)
    here.clock.now = max(here.clock.now, float(fixes.fix_time[i].max()))
    columns = {"timestamp": fixes.fix_time, "latitude": fixes.latitude, "longitude": fixes.longitude}
    columns["accuracy"] = fixes.accuracy
    body = {"columns": {name: column[i].tolist() for name, column in columns.items()}}
    answer = await here.ask(DRIVER, "POST", "locations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def settle(here: Site) -> None:
    here.clock.now += DONE
    await here.services.historian.tell_due()


async def put_fence(here: Site, geofence_id: str, east: float, north: float, radius: float) -> None:
    made = fence(geofence_id, east, north, radius)
    geometry = {"type": "Point", "coordinates": made.coordinates}
    await here.put(f"geofences/{geofence_id}", {"type": "Feature", "geometry": geometry, "radius": radius})


async def events(here: Site, **query: str) -> list[dict]:
    found = await here.get(OFFICE, "events", params={"limit": 1000, **query})
    return [event for event in found["events"] if event["kind"] not in ("eta_changed", "assigned", "approaching")]


async def through_a_dead_zone(here: Site) -> None:
    """Past one fence, through the dead zone with another and a delivery in it, and what was hidden afterwards."""
    here.clock.now = T0 - 1
    await put_fence(here, "edge", 1490.0, 0.0, 100.0)
    await put_fence(here, "hidden", 2000.0, 400.0, 40.0)
    middle = fence("", 2000.0, 400.0).coordinates
    destination = {"longitude": middle[0], "latitude": middle[1], "radius": 50}
    await here.put("orders/o1", order_body(destination=destination))
    fixes, arrivals = dead_zone()
    live = [i for part in arrivals[:-1] for i in part]
    await post(here, fixes, live)
    await post(here, fixes, arrivals[-1])


async def bodies(here: Site, topic: str) -> list[dict]:
    return [json.loads(message.body) for _, message in await here.services.store.messages(topic, after=0)]


async def test_what_happened_in_a_dead_zone_is_recorded_late_and_told_to_the_office_alone(here: Site) -> None:
    await through_a_dead_zone(here)
    assert [e["kind"] for e in await events(here)] == ["enter", "exit"]
    await settle(here)
    found = await events(here)
    assert [(e["kind"], e["late"], e["version"]) for e in found if e.get("geofence_id") == "hidden"] == [
        ("enter", True, 1),
        ("dwell", True, 1),
        ("exit", True, 1),
    ]
    assert [(e["kind"], e["late"]) for e in found if "order_id" in e] == [("driver_arrived", True), ("departed", True)]
    order = await here.get(OFFICE, "orders/o1")
    assert (order["status"], order["arrived_at"] is not None) == ("departed", True)
    assert here.services.engine.orders["o1"].status == "departed"
    heard = [body["status"] for body in await bodies(here, "orders") if body["type"] == "delivery.update"]
    assert heard[-2:] == ["driver_arrived", "departed"]
    customer = [body.get("status") for body in await bodies(here, "order:o1@customer:C1")]
    assert not {"driver_arrived", "departed"} & set(customer)


async def test_a_visit_that_moved_is_amended_and_no_second_notice(here: Site) -> None:
    await through_a_dead_zone(here)
    (before,) = [e for e in await events(here) if e["kind"] == "exit"]
    await settle(here)
    edge = [e for e in await events(here, geofence="edge") if e["kind"] == "exit"]
    assert [(e["event_id"], e["version"], e["late"]) for e in edge] == [(before["event_id"], 2, False)]
    assert edge[0]["occurred_at"] < before["occurred_at"]
    versions = [e for e in await events(here, geofence="edge", versions="true") if e["kind"] == "exit"]
    assert sorted(e["version"] for e in versions) == [1, 2]
    heard = await bodies(here, "geofence:edge")
    assert [body["type"] for body in heard] == ["geofence.event", "geofence.event", "event.amended"]
    assert (heard[-1]["amends"], heard[-1]["version"], heard[-1]["kind"]) == (before["event_id"], 2, "exit")


async def test_telling_again_changes_nothing(here: Site) -> None:
    await through_a_dead_zone(here)
    await settle(here)
    first, counts = await events(here, versions="true"), dict(here.services.historian.counts)
    here.services.historian.note([("D1", T0 + 150, T0 + 540)])
    await settle(here)
    assert await events(here, versions="true") == first
    assert here.services.historian.counts == counts


async def test_a_restart_before_the_telling_tells_it_and_one_after_does_not(store_url: str) -> None:
    async with site(store_url) as here:
        await through_a_dead_zone(here)
        untold = await events(here)
    for _ in range(2):
        async with site(store_url) as here:
            here.clock.now = T0 + DONE
            await settle(here)
            found = await events(here, versions="true")
            assert len(found) > len(untold)
            assert len({(e["event_id"], e["version"]) for e in found}) == len(found)
    async with site(store_url) as here:
        assert not len(here.services.historian._pending)
        assert await events(here, versions="true") == found


async def test_what_the_store_refuses_is_told_later(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await through_a_dead_zone(here)
    real = here.services.store.fixes

    async def unavailable(*args: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(here.services.store, "fixes", unavailable)
    await settle(here)
    assert len(await events(here)) == 2
    monkeypatch.setattr(here.services.store, "fixes", real)
    await settle(here)
    assert len(await events(here)) > 2


async def test_an_arrival_that_is_told_live_meanwhile_is_not_told_again(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await through_a_dead_zone(here)
    real = here.services.store.find
    t = DONE + np.arange(1000.0, 1060.0)
    latitude, longitude = (np.full(len(t), x) for x in place(2000.0, 400.0))
    unknown = np.full(len(t), np.nan)
    at_the_door = Fixes(["D1"] * len(t), T0 + t, latitude, longitude, unknown, unknown, np.full(len(t), 5.0), None)

    async def meanwhile(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(here.services.store, "find", real)
        await post(here, at_the_door, list(range(len(t))))
        return await real(*args, **options)

    monkeypatch.setattr(here.services.store, "find", meanwhile)
    await settle(here)
    assert [e["kind"] for e in await events(here, order="o1")] == ["driver_arrived"]
    await settle(here)
    (arrival,) = [e for e in await events(here, order="o1") if e["kind"] == "driver_arrived"]
    assert (arrival["version"], arrival["late"]) == (2, False)


@pytest.mark.parametrize("seed", [1, 2])
async def test_in_the_end_both_stores_tell_and_hold_what_they_would_in_order(here: Site, seed: int) -> None:
    fixes = wander(seed)
    circles = fences_of(fixes, seed)
    rng = np.random.default_rng(seed)
    here.clock.now = T0 - 1
    for i, circle in enumerate(circles):
        await put_fence(here, f"f{i}", *circle)
    due = np.arange(120)
    for first in rng.integers(0, 100, 4):
        due[first : first + 15] = min(first + 15, 120) + rng.integers(1, 40)
    order = np.argsort(due, kind="stable").tolist()
    order += rng.integers(0, 120, 10).tolist()  # sent again
    for part in np.array_split(order, 25):
        await post(here, fixes, part.tolist())
        await here.services.historian.tell_due()
    await settle(here)
    expected, believed, _ = run(fixes, [[i] for i in range(120)], circles)
    stored: list[Event] = await here.services.store.events()
    assert alike(told(stored), told(expected)), (told(stored), told(expected))
    track = await here.services.store.track("D1", T0, T0 + DONE)
    assert track.fix_time.tolist() == [t for t, is_believed in believed if is_believed]
    everything, _ = await here.services.store.fixes("D1", T0, T0 + DONE)
    np.testing.assert_array_equal(everything.fix_time, fixes.fix_time)
    np.testing.assert_allclose(everything.latitude, fixes.latitude, atol=0.5001e-7)  # as precisely as it is stored


async def test_an_event_of_an_order_that_is_gone_is_left_alone(here: Site) -> None:
    await through_a_dead_zone(here)
    answer = await here.ask(OFFICE, "DELETE", "orders/o1")
    assert answer.is_success
    await settle(here)
    assert [e["kind"] for e in await events(here, order="o1")] == []
    await here.services.line.commit(Commit())
