"""Questions to a store, asked of both kinds."""

from msgspec.structs import replace

from storage import Commit, Store
from tests.storage.test_rows import GEOFENCE, ORDER, ROUTE
from tests.tracks import T0, run, runs, same
from tracker.errors import Flag
from tracker.records import Delivery, Event, Geofence, Order, Route, Transition, TransitionKind


def transition(
    event_id: str, kind: TransitionKind, at: float, driver_id: str = "D1", geofence_id: str = "G1", late: bool = False
) -> Transition:
    return Transition(
        event_id=event_id,
        driver_id=driver_id,
        geofence_id=geofence_id,
        kind=kind,
        occurred_at=T0 + at,
        detected_at=T0 + at,
        late=late,
    )


def delivery(event_id: str, at: float, order_id: str = "O1", driver_id: str = "D1") -> Delivery:
    return Delivery(
        event_id=event_id,
        driver_id=driver_id,
        order_id=order_id,
        customer_id="C1",
        kind="en_route",
        occurred_at=T0 + at,
        detected_at=T0 + at,
    )


def ids(events: list[Event]) -> str:
    return " ".join(event.event_id for event in events)


async def test_events_are_filtered_and_in_order_of_time(store: Store):
    events = [
        transition("c", "exit", 30),
        transition("a", "enter", 10),
        delivery("b", 20),
        delivery("e", 40, order_id="O2", driver_id="D2"),
        transition("d", "cross", 30, geofence_id="G2"),
    ]
    await store.commit(Commit(events=events))
    assert ids(await store.events()) == "a b c d e"
    assert ids(await store.events(driver_id="D1")) == "a b c d"
    assert ids(await store.events(order_id="O2")) == "e"
    assert ids(await store.events(geofence_id="G1")) == "a c"
    assert ids(await store.events(start=T0 + 20, end=T0 + 40)) == "b c d"
    assert ids(await store.events(driver_id="D1", geofence_id="G2", start=T0)) == "d"
    assert await store.events(driver_id="nobody") == []


async def test_events_are_paged_without_gaps_or_repeats(store: Store):
    await store.commit(Commit(events=[delivery(f"e{n:02}", n // 3) for n in range(20)]))
    found, after = [], None
    while page := await store.events(after=after, limit=3):
        found += page
        after = (page[-1].occurred_at, page[-1].event_id, page[-1].version)
    assert ids(found) == " ".join(f"e{n:02}" for n in range(20))


async def test_documents_are_found_by_their_columns_and_paged(store: Store):
    orders = [
        replace(ORDER, order_id="O3", driver_id="D2"),
        ORDER,
        replace(ORDER, order_id="O2", customer_id="C2"),
    ]
    await store.commit(Commit(save=[*orders, GEOFENCE, ROUTE]))
    assert [order.order_id for order in await store.find(Order)] == ["O1", "O2", "O3"]
    assert [order.order_id for order in await store.find(Order, driver_id="D1")] == ["O1", "O2"]
    assert [order.order_id for order in await store.find(Order, driver_id="D1", customer_id="C1")] == ["O1"]
    assert [order.order_id for order in await store.find(Order, after="O1", limit=1)] == ["O2"]
    assert await store.find(Route, driver_id="D1") == [ROUTE]
    assert await store.find(Route, driver_id="D2") == []
    assert await store.get(Order, "nothing") is None


async def test_a_filter_that_a_kind_does_not_have_matches_nothing(store: Store):
    await store.commit(Commit(save=[GEOFENCE, ROUTE]))
    assert await store.find(Geofence, driver_id="D1") == []
    assert await store.find(Route, customer_id="C1") == []
    assert await store.find(Geofence) == [GEOFENCE]


async def test_ids_are_never_taken_for_sql(store: Store):
    nasty = "x'; DROP TABLE orders; --"
    await store.commit(Commit(save=[replace(ORDER, order_id=nasty, driver_id=nasty)]))
    assert len(await store.find(Order, driver_id=nasty)) == 1
    assert (await store.get(Order, nasty)) is not None


async def test_load_of_an_empty_store(store: Store):
    snapshot = await store.load(tail_s=600, since=0)
    assert (snapshot.orders, snapshot.geofences, snapshot.routes, snapshot.inside) == ([], [], [], [])
    assert len(snapshot.tails) == 0


async def test_load_gives_what_is_still_open(store: Store):
    ended = [replace(ORDER, order_id=status, status=status) for status in ("delivered", "failed", "cancelled")]
    await store.commit(Commit(save=[ORDER, *ended, GEOFENCE, ROUTE]))
    snapshot = await store.load(tail_s=600, since=0)
    assert (snapshot.orders, snapshot.geofences, snapshot.routes) == ([ORDER], [GEOFENCE], [ROUTE])
    await store.commit(Commit(save=[replace(ORDER, status="delivered")]))
    assert (await store.load(tail_s=600, since=0)).orders == []


async def test_load_tells_who_is_inside(store: Store):
    events = [
        transition("1", "enter", 1),
        transition("2", "exit", 5),
        transition("3", "enter", 9),
        transition("4", "dwell", 10),
        transition("5", "enter", 2, driver_id="D2"),
        transition("6", "exit", 3, driver_id="D2"),
        transition("7", "enter", 2, geofence_id="G2"),
        transition("8", "exit", 4, geofence_id="G3"),
        transition("9", "enter", 4, geofence_id="G3"),  # an exit comes before an enter at the same instant
        transition("10", "enter", 20, driver_id="D3", late=True),
        replace(transition("12", "enter", 20, driver_id="D4"), withdrawn=True),
        delivery("11", 30),
    ]
    await store.commit(Commit(events=events))
    inside = sorted((await store.load(tail_s=600, since=0)).inside)
    assert inside == [("D1", "G1", T0 + 9), ("D1", "G2", T0 + 2), ("D1", "G3", T0 + 4), ("D3", "G1", T0 + 20)]


async def test_load_gives_the_tail_of_each_driver_seen_lately(store: Store):
    await store.commit(Commit(track=runs([run("a", range(0, 100, 10)), run("b", [50, 60]), run("old", [1, 2])])))
    aside = [run("a", [81], kind=Flag.LATE), run("a", [97], kind=Flag.OUTLIER), run("c", [99], kind=Flag.LATE)]
    await store.commit(Commit(track=run("a", [90, 95], connected=True), aside=runs(aside)))
    snapshot = await store.load(tail_s=20, since=T0 + 55)
    assert same(snapshot.tails, runs([run("a", [80, 81, 90, 95]), run("b", [50, 60])]))
    assert snapshot.newest == [("a", T0 + 97), ("b", T0 + 60), ("c", T0 + 99)]
