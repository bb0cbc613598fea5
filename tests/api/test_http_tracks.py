"""Fixes posted over HTTP become a track that can be read in each format, and events."""

import csv
import io
from collections.abc import AsyncIterator
from xml.etree import ElementTree

import pytest
import pytest_asyncio

from geo.earth import metres_per_degree
from storage.store import Commit
from tests.fixes import LATITUDE, LONGITUDE, T0
from tests.site import CUSTOMER, DRIVER, OFFICE, STRANGERS, Site, order_body, refused, site
from tracker.codec import iso, parse_time
from tracker.records import Delivery

FIX = {"latitude": LATITUDE, "longitude": LONGITUDE, "speed": 8.3, "heading": 45, "accuracy": 10, "timestamp": T0}
DEPOT = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [LONGITUDE, LATITUDE]}, "radius": 100}


@pytest_asyncio.fixture
async def api(sqlite_url: str) -> AsyncIterator[Site]:
    async with site(sqlite_url) as api:
        yield api


async def test_a_batch_is_acknowledged_as_on_a_socket(api: Site):
    fixes = [FIX, FIX | {"timestamp": T0 + 1, "latitude": 91}, FIX | {"timestamp": "yesterday"}, FIX]
    answer = await api.ask(DRIVER, "POST", "locations", json={"type": "location_batch", "seq": 17, "fixes": fixes})
    assert answer.status_code == 200
    ack = answer.json()
    assert [(item["index"], item["code"]) for item in ack.pop("rejected")] == [
        (1, "latitude_out_of_range"),
        (2, "invalid_timestamp"),
    ]
    assert ack == {"type": "location.ack", "seq": 17, "accepted": 1, "duplicates": 1}


async def test_an_acknowledged_fix_is_in_the_store_and_sent_again_a_duplicate(api: Site):
    for duplicates in (0, 1):
        ack = (await api.ask(DRIVER, "POST", "locations", json={"fixes": [FIX]})).json()
        assert (ack["accepted"], ack["duplicates"], ack["rejected"]) == (1 - duplicates, duplicates, [])
        assert (await api.services.store.track("D1", T0, T0 + 1)).fix_time.tolist() == [T0]


@pytest.mark.parametrize("body", [b"{}", b" { } ", b'{"fixes":[],"columns":{}}', b'{"type":"heartbeat"}', b"[]", b"7"])
async def test_a_body_that_is_no_batch_is_refused(api: Site, body: bytes):
    answer = await api.ask(DRIVER, "POST", "locations", content=body)
    assert refused(answer)[:2] == (400, "invalid_message")


@pytest.mark.parametrize("viewer", [OFFICE, CUSTOMER])
async def test_only_drivers_report(api: Site, viewer):
    assert refused(await api.ask(viewer, "POST", "locations", json={"fixes": [FIX]}))[:2] == (403, "not_allowed")


async def test_while_the_store_is_behind_a_driver_is_asked_to_wait(sqlite_url: str):
    async with site(sqlite_url, max_pending_fixes=1) as api:
        api.services.writer.pending_fixes = 2
        answer = await api.ask(DRIVER, "POST", "locations", json={"fixes": [FIX]})
        assert refused(answer)[:2] == (503, "overloaded")
        assert answer.headers["retry-after"] == "1"
        api.services.writer.pending_fixes = 0
        assert (await api.ask(DRIVER, "POST", "locations", json={"fixes": [FIX]})).status_code == 200


async def test_a_report_that_cannot_be_stored_any_more_is_refused(api: Site):
    await api.services.writer.close()
    answer = await api.ask(DRIVER, "POST", "locations", json={"fixes": [FIX]})
    assert refused(answer)[:2] == (503, "store_unavailable")


async def test_a_track_comes_in_every_format(api: Site):
    await api.drive("D1", [0.0, 5.0, 10.0], [0.0, 40.0, 80.0], speed=[8.0, 8.0, 8.0], accuracy=[5.0, 5.0, 5.0])
    path = f"drivers/D1/track?from={T0}&to={T0 + 60}"
    feature = await api.ask(OFFICE, "GET", path)
    assert feature.headers["content-type"] == "application/geo+json"
    assert feature.json()["properties"]["datetimes"] == [iso(T0), iso(T0 + 5), iso(T0 + 10)]
    gpx = await api.ask(DRIVER, "GET", f"{path}&format=gpx")
    assert gpx.headers["content-type"] == "application/gpx+xml"
    assert len(ElementTree.fromstring(gpx.content).findall(".//{*}trkpt")) == 3
    table = await api.ask(DRIVER, "GET", f"{path}&format=csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["timestamp"] for row in rows] == feature.json()["properties"]["datetimes"]
    assert float(rows[0]["latitude"]) == LATITUDE
    assert refused(await api.ask(OFFICE, "GET", f"{path}&format=shp")) == (400, "invalid_input", "format")


async def test_a_track_is_of_a_half_open_time_and_by_default_the_last_day(api: Site):
    await api.drive("D1", [0.0, 5.0, 10.0], [0.0, 40.0, 80.0])

    async def times(query: str) -> list[str]:
        return (await api.get(DRIVER, f"drivers/D1/track?{query}"))["properties"]["datetimes"]

    assert await times(f"from={T0}&to={T0 + 10}") == [iso(T0), iso(T0 + 5)]
    api.clock.now = T0 + 86400 * 30
    assert await times("") == [iso(T0), iso(T0 + 5), iso(T0 + 10)]  # the last day that there is
    assert await times(f"from={T0}") == [iso(T0), iso(T0 + 5), iso(T0 + 10)]
    assert await times(f"to={T0 + 5}") == [iso(T0)]
    assert await times(f"from={T0}&to={T0}") == []


async def test_a_track_is_smoothed_where_that_is_asked_for_and_stays_stored_as_measured(api: Site):
    t = [float(s) for s in range(20)]
    measured = [10.0 * s + (3.0 if s % 2 else -3.0) + (400.0 if s == 9 else 0.0) for s in t]
    await api.drive("D1", t, measured, accuracy=[10.0] * 20)
    path = f"drivers/D1/track?from={T0 + 5}&to={T0 + 15}"

    async def east(query: str) -> dict[float, float]:
        rows = csv.DictReader(io.StringIO((await api.ask(OFFICE, "GET", f"{path}&format=csv{query}")).text))
        per_degree = metres_per_degree(LATITUDE)[1]
        return {parse_time(row["timestamp"]) - T0: (float(row["longitude"]) - LONGITUDE) * per_degree for row in rows}

    raw, smooth = await east("&smooth=false"), await east("&smooth=true")
    assert list(raw) == list(smooth) == [5, 6, 7, 8, 10, 11, 12, 13, 14]  # the ninth is an outlier
    assert max(abs(raw[s] - measured[int(s)]) for s in raw) < 0.01
    assert max(abs(smooth[s] - 10 * s) for s in smooth) < 2 < max(abs(raw[s] - 10 * s) for s in raw)
    assert refused(await api.ask(OFFICE, "GET", f"{path}&smooth=1")) == (400, "invalid_input", "smooth")


async def test_a_time_that_ends_before_it_begins_or_is_too_long_is_refused(api: Site):
    for query in (f"from={T0 + 1}&to={T0}", f"from={T0}&to={T0 + 32 * 86400}"):
        assert refused(await api.ask(OFFICE, "GET", f"drivers/D1/track?{query}")) == (400, "invalid_input", "from")
    answer = await api.ask(OFFICE, "GET", f"events?from={T0 + 1}&to={T0}")
    assert refused(answer) == (400, "invalid_input", "from")


async def test_only_the_driver_and_the_office_see_a_track(api: Site):
    await api.put("orders/O1", order_body())
    for viewer in (*STRANGERS, CUSTOMER):
        assert refused(await api.ask(viewer, "GET", "drivers/D1/track"))[:2] == (403, "not_allowed")


async def test_what_happened_is_listed_with_its_evidence_to_those_it_concerns(api: Site):
    await api.put("geofences/depot", DEPOT)
    await api.put("orders/O1", order_body())
    await api.put("orders/O2", order_body(customer_id="C2", driver_id="D2"))
    await api.drive("D1", [0, 10, 20, 40, 60], [300, 200, 0, 0, 0], speed=[10, 10, 0, 0, 0])

    async def kinds(viewer, **query: str) -> list[str]:
        answer = await api.get(viewer, "events", params=query)
        assert answer["next"] is None
        return [event["kind"] for event in answer["events"]]

    everything = await kinds(OFFICE)
    assert everything.count("assigned") == 2
    assert await kinds(OFFICE, geofence="depot") == ["enter"]
    assert await kinds(OFFICE, driver="D2") == ["assigned"]
    assert await kinds(DRIVER) == await kinds(OFFICE, driver="D1")
    of_order = await kinds(CUSTOMER, order="O1")
    assert of_order == await kinds(OFFICE, order="O1")
    assert "driver_arrived" in of_order
    assert await kinds(DRIVER, order="O2") == []
    arrival = (await api.get(CUSTOMER, "events?order=O1"))["events"][-1]
    assert arrival["type"] == "delivery.update"
    assert arrival["evidence"]["fixes"] >= 1
    assert iso(T0 + 10) < arrival["occurred_at"] < iso(T0 + 20)
    crossing = (await api.get(OFFICE, "events?geofence=depot"))["events"][0]
    assert (crossing["type"], crossing["geofence_id"]) == ("geofence.event", "depot")


async def test_events_of_others_are_refused(api: Site):
    await api.put("orders/O2", order_body(customer_id="C2", driver_id="D2"))
    assert refused(await api.ask(DRIVER, "GET", "events?driver=D2"))[:2] == (403, "not_allowed")
    assert refused(await api.ask(CUSTOMER, "GET", "events?order=O2"))[:2] == (403, "not_allowed")
    assert refused(await api.ask(CUSTOMER, "GET", "events")) == (400, "invalid_input", "order")


async def test_a_customer_never_sees_what_was_found_late(api: Site):
    await api.put("orders/O1", order_body())
    late = Delivery(
        event_id="e", kind="driver_arrived", order_id="O1", customer_id="C1", driver_id="D1",
        occurred_at=T0 - 900, detected_at=T0 - 890, late=True,
    )  # fmt: skip
    await api.services.line.commit(Commit(events=[late]))
    assert [event["kind"] for event in (await api.get(CUSTOMER, "events?order=O1"))["events"]] == ["assigned"]
    assert [event["late"] for event in (await api.get(DRIVER, "events?order=O1"))["events"]] == [True, False]


async def test_events_come_in_pages_each_once(api: Site):
    for number in range(5):
        await api.put(f"orders/O{number}", order_body())  # all at the same time
    seen, path = [], "/api/v1/events?limit=2"
    while path:
        answer = (await api.http.get(path, headers={"Authorization": f"Bearer {api.token(OFFICE)}"})).json()
        seen += [event["order_id"] for event in answer["events"]]
        path = answer["next"]
    assert sorted(seen) == [f"O{number}" for number in range(5)]
    assert refused(await api.ask(OFFICE, "GET", "events?cursor=oops")) == (400, "invalid_input", "cursor")
