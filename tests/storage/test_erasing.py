"""What is deleted is all of one person or all that is old, and nothing else."""

import pytest
from msgspec.structs import replace

from storage import Commit, Store
from storage.erasing import of_customer, of_driver, older, older_messages
from tests.storage.test_reading import delivery, ids, transition
from tests.storage.test_rows import ROUTE
from tests.storage.test_store import message, track_times
from tests.tracks import T0, run, runs
from tracker.errors import Flag
from tracker.records import Route


def body(**of: str) -> bytes:
    return ("{" + ", ".join(f'"{name}": "{value}"' for name, value in of.items()) + "}").encode()


@pytest.fixture
async def filled(store: Store) -> Store:
    """Two drivers and two customers in every table."""
    await store.commit(
        Commit(
            track=runs([run("D1", [0, 10]), run("D2", [0, 10])]),
            aside=runs([run("D1", [5], kind=Flag.LATE), run("D2", [5], kind=Flag.LATE)]),
            judgements=[("D1", T0 + 10, Flag.OUTLIER)],
            events=[
                transition("enter1", "enter", 1),
                transition("enter2", "enter", 1, driver_id="D2"),
                delivery("o1", 2),
                replace(delivery("o2", 3, order_id="O2", driver_id="D2"), customer_id="C2"),
            ],
            save=[ROUTE, replace(ROUTE, route_id="R2", driver_id="D2")],
            messages=[
                message("m1", "orders", body(driver_id="D1", order_id="O1")),
                message("m2", "orders", body(driver_id="D2", order_id="O2")),
                message("m3", "driver:D1", body(x="y")),
                message("m4", "order:O1@customer:C1", body(x="y")),
                message("m5", "order:O2@customer:C2", body(x="y")),
            ],
        )
    )
    await store.commit(Commit(events=[replace(delivery("o1", 2), version=2)]))
    return store


async def test_a_driver_is_forgotten_wholly_and_alone(filled: Store):
    erased = (await filled.commit(Commit(erase=of_driver("D1")))).erased
    assert erased == {
        "tracks": 2,
        "drivers": 1,
        "driver_hours": 1,
        "judgements": 1,
        "late_spans": 1,
        "events": 2,
        "former_events": 1,
        "eta_scores": 0,
        "routes": 1,
        "messages": 2,
    }
    assert await track_times(filled, "D1") == []
    assert await track_times(filled, "D2") == [0, 5, 10]
    assert ids(await filled.events(versions=True)) == "enter2 o2"
    assert [route.driver_id for route in await filled.find(Route)] == ["D2"]
    assert [stored.event_id for _, stored in await filled.messages("orders", after=0)] == ["m2"]
    again = (await filled.commit(Commit(erase=of_driver("D1")))).erased
    assert set(again.values()) == {0}


async def test_who_was_forgotten_and_comes_back_is_new(filled: Store):
    await filled.commit(Commit(erase=of_driver("D1")))
    await filled.commit(Commit(track=run("D1", [20])))
    assert (await filled.load(tail_s=60, since=0)).newest == [("D1", T0 + 20), ("D2", T0 + 10)]
    assert len(await filled.due(merged=False, before=2e9, limit=9)) == 2


async def test_a_customer_is_forgotten_wholly_and_alone(filled: Store):
    erased = (await filled.commit(Commit(erase=of_customer("C1", ["O1"])))).erased
    assert erased == {"messages": 2, "events": 1, "former_events": 1, "eta_scores": 0}
    assert ids(await filled.events()) == "enter1 enter2 o2"
    assert await filled.messages("order:O1@customer:C1", after=0) == []
    assert len(await filled.messages("order:O2@customer:C2", after=0)) == 1


async def test_what_is_old_goes_in_slices_but_who_is_inside_stays_so(filled: Store):
    await filled.commit(Commit(events=[transition("exit2", "exit", 9, driver_id="D2")]))
    while sum((await filled.commit(Commit(erase=older(T0 + 1000)))).erased.values()):
        pass
    assert ids(await filled.events(versions=True)) == "enter1"
    assert [driver_id for driver_id, _, _ in (await filled.load(tail_s=60, since=0)).inside] == ["D1"]
    assert len(await filled.messages("orders", after=0)) == 2
    assert sum((await filled.commit(Commit(erase=older_messages(T0 + 1)))).erased.values()) == 5
