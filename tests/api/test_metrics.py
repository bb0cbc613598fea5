"""Every metric is documented and counts what was done."""

from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from tests.fixes import T0
from tests.site import DRIVER, Site, order_body, site


async def metrics(api: Site) -> dict[tuple[str, str], float]:
    families = list(text_string_to_metric_families((await api.http.get("/metrics")).text))
    assert all(family.documentation.endswith(".") for family in families)
    return {
        (sample.name, sample.labels.get("result", "")): sample.value for family in families for sample in family.samples
    }


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


async def test_open_sockets_are_counted(sqlite_url: str):
    async with site(sqlite_url) as api:
        assert (await metrics(api))["tracker_connections", ""] == 0
        url = f"ws://{api.http.base_url.netloc.decode()}/api/v1/websocket/ws?token={api.token(DRIVER)}"
        async with connect(url), connect(url):
            assert (await metrics(api))["tracker_connections", ""] == 2
