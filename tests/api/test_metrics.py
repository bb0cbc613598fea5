"""Every metric is documented and counts what was done."""

import json

from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from api.metrics import METRICS
from tests.fixes import LATITUDE, LONGITUDE, T0
from tests.site import DRIVER, OFFICE, Site, order_body, site
from tests.sockets import until
from tracker.channels import Viewer


async def metrics(api: Site) -> dict[tuple[str, str], float]:
    families = list(text_string_to_metric_families(await api.metrics()))
    assert all(family.documentation.endswith(".") for family in families if family.name.startswith("tracker_"))
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in families
        for sample in family.samples
    }


def address(api: Site, viewer: Viewer) -> str:
    return f"ws://{api.http.base_url.netloc.decode()}/api/v1/websocket/ws?token={api.token(viewer)}"


async def test_fixes_are_counted_by_what_became_of_them(sqlite_url: str):
    async with site(sqlite_url) as api:
        fix = {"latitude": 25.0, "longitude": 121.5, "timestamp": T0}
        fixes = [fix, fix, fix | {"latitude": 91}, {"latitude": 25.0}]
        await api.ask(DRIVER, "POST", "locations", json={"fixes": fixes})
        counted = await metrics(api)
        assert {result: n for (name, result), n in counted.items() if name == "tracker_fixes_total"} == {
            "accepted": 1, "duplicate": 1, "latitude_out_of_range": 1, "missing_field": 1,
        }  # fmt: skip


async def test_what_goes_to_subscribers_and_the_store_is_counted(sqlite_url: str):
    async with site(sqlite_url) as api:
        await api.put("orders/O1", order_body())
        await api.drive("D1", [0.0], [0.0])
        api.services.hub.counts.update(delivered=7, conflated=3, slow=1)
        api.services.writer.retries = 2
        counted = await metrics(api)
        assert counted["tracker_frames_total", "delivered"] == 7
        assert counted["tracker_frames_total", "conflated"] == 3
        assert counted["tracker_frames_total", "dropped"] == 0
        assert counted["tracker_slow_connections_total", ""] == 1
        assert counted["tracker_commit_retries_total", ""] == 2
        assert counted["tracker_commits_refused_total", ""] == 0
        assert counted["tracker_line_full", ""] == 0
        assert counted["tracker_drivers", ""] == 1
        assert counted["tracker_orders", ""] == 1


async def test_sockets_are_counted_by_role_and_by_how_they_end(sqlite_url: str):
    async with site(sqlite_url) as api:
        async with connect(address(api, DRIVER)), connect(address(api, OFFICE)), connect(address(api, OFFICE)) as third:
            await third.recv()
            counted = await metrics(api)
            assert counted["tracker_connections", "driver"] == 1
            assert counted["tracker_connections", "office"] == 2
        await until(lambda: not api.services.meters.connections.total())
        async with connect(address(api, DRIVER)) as again:
            await again.recv()
        await until(lambda: not api.services.meters.connections.total())
        counted = await metrics(api)
        assert counted["tracker_connections", "office"] == 0
        assert counted["tracker_closes_total", "1000"] == 4
        assert counted["tracker_reconnections_total", ""] == 1
        assert counted["tracker_connection_seconds_count", ""] == 4
        assert counted["tracker_connection_seconds_bucket", "1.0"] == 4
        assert counted["process_resident_memory_bytes", ""] > 10**7


async def test_messages_are_counted_by_type_and_timed(sqlite_url: str):
    async with site(sqlite_url, flush_interval_ms=1.0) as api:
        await api.put("orders/O1", order_body())
        fix = {"latitude": LATITUDE, "longitude": LONGITUDE, "timestamp": T0}
        async with connect(address(api, OFFICE)) as office, connect(address(api, DRIVER)) as driver:
            await office.send('{"type":"subscribe","channel":"drivers"}')
            await office.send('{"type":"subscribe","channel":"orders","since":{"epoch":"another","seq":3}}')
            await office.send('{"type":"subscribe","channel":"nonsense"}')
            await until(lambda: api.services.meters.answered["error"] == 1)
            await driver.send(json.dumps({"type": "location_batch", "seq": 1, "fixes": [fix]}))
            heard = ""
            while "driver.location" not in heard:
                heard = str(await office.recv())
            while "location.ack" not in str(await driver.recv()):
                pass
            await until(lambda: api.services.meters.location_seconds.count > 0)
            counted = await metrics(api)
    assert counted["tracker_messages_received_total", "subscribe"] == 3
    assert counted["tracker_messages_received_total", "location"] == 1
    assert counted["tracker_messages_sent_total", "connection"] == 2
    assert counted["tracker_messages_sent_total", "location.ack"] == 1
    assert counted["tracker_messages_sent_total", "driver.location"] == 1
    assert counted["tracker_errors_total", "unknown_channel"] == 1
    assert counted["tracker_resumes_total", "not_recovered"] == 1
    assert counted["tracker_ack_seconds_count", ""] == 1
    assert counted["tracker_location_seconds_count", ""] == 1
    assert counted["tracker_commit_seconds_count", ""] >= 2
    assert counted["tracker_commit_fixes_sum", ""] == 1
    assert counted["tracker_http_requests_total", "201"] == 1


def test_names_follow_the_conventions():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("tracker_")
        assert not metric.name.endswith("_total")
        assert metric.meaning.endswith(".")
