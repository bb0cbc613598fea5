"""Where was a driver then, who passed here, who was inside: asked over HTTP, with what may be asked by whom."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fixes import LATITUDE, LONGITUDE, T0, place
from tests.site import CUSTOMER, DRIVER, OFFICE, STRANGERS, Site, refused, site
from tracker.codec import iso, parse_time

NEAR = f"near={LATITUDE},{LONGITUDE}"
TIME = f"from={T0}&to={T0 + 600}"


@pytest_asyncio.fixture
async def api(sqlite_url: str) -> AsyncIterator[Site]:
    """D1 comes from the west and goes to the east; D2 stands beside the place."""
    async with site(sqlite_url) as api:
        await api.drive("D2", [0.0, 100.0], [60.0, 60.0])
        await api.drive("D1", [0.0, 100.0, 200.0], [-1000.0, 0.0, 1000.0])
        yield api


def square(metres: float) -> dict:
    latitude, longitude = place(
        [-metres, metres, metres, -metres, -metres], [-metres, -metres, metres, metres, -metres]
    )
    ring = [[float(x), float(y)] for x, y in zip(longitude, latitude, strict=True)]
    return {"type": "Polygon", "coordinates": [ring]}


async def test_a_position_at_a_time_comes_with_the_fixes_around_it(api: Site):
    found = await api.get(DRIVER, f"drivers/D1/position?at={T0 + 50}")
    _, longitude = place(-500.0)
    assert (found["status"], found["gap_s"]) == ("between", 100.0)
    assert found["longitude"] == pytest.approx(float(longitude), abs=1e-6)
    assert (found["before"]["timestamp"], found["after"]["timestamp"]) == (iso(T0), iso(T0 + 100))
    assert (await api.get(OFFICE, f"drivers/D1/position?at={iso(T0 + 100)}"))["status"] == "measured"
    last = await api.get(OFFICE, f"drivers/D1/position?at={T0 + 201}")
    assert (last["status"], last["latitude"], last["after"]) == ("after_last", None, None)
    assert (await api.get(OFFICE, f"drivers/D1/position?at={T0 - 1}"))["status"] == "before_first"
    await api.drive("D1", [5000.0], [1000.0])
    silent = await api.get(OFFICE, f"drivers/D1/position?at={T0 + 300}")
    assert (silent["status"], silent["longitude"], silent["gap_s"]) == ("silent", None, 4800.0)


async def test_who_passed_near_a_point_when_and_how_close(api: Site):
    passes = (await api.get(OFFICE, f"tracks?{NEAR}&radius=50&{TIME}"))["passes"]
    (one,) = passes
    assert (one["driver_id"], one["entered"], one["left"], one["gap_s"]) == ("D1", True, True, 100)
    assert one["distance"] < 0.1
    assert parse_time(one["closest_at"]) == pytest.approx(T0 + 100, abs=0.01)
    assert one["seconds"] == pytest.approx(10, abs=0.01)
    both = (await api.get(OFFICE, f"tracks?{NEAR}&{TIME}"))["passes"]
    assert [(p["driver_id"], round(p["distance"])) for p in both] == [("D2", 60), ("D1", 0)]
    features = await api.get(OFFICE, f"tracks?{NEAR}&{TIME}&format=geojson")
    assert [f["geometry"]["coordinates"] for f in features["features"]] == [
        [p["longitude"], p["latitude"]] for p in both
    ]


async def test_passes_come_in_pages_each_once(api: Site):
    seen, path = [], f"/api/v1/tracks?{NEAR}&{TIME}&limit=1"
    while path:
        answer = (await api.http.get(path, headers={"Authorization": f"Bearer {api.token(OFFICE)}"})).json()
        seen += [p["driver_id"] for p in answer["passes"]]
        path = answer["next"]
    assert seen == ["D2", "D1"]


async def test_who_passed_through_a_box(api: Site):
    south, west = (float(x) for x in place(-200.0, -200.0))
    north, east = (float(x) for x in place(30.0, 200.0))
    south, west, north, east = min(south, north), west, max(south, north), east
    passes = (await api.get(OFFICE, f"tracks?bbox={west},{south},{east},{north}&{TIME}"))["passes"]
    (one,) = passes
    assert (one["driver_id"], "distance" in one) == ("D1", False)
    assert one["seconds"] == pytest.approx(23, abs=0.1)
    world = (await api.get(OFFICE, f"tracks?bbox=-170,-80,170,80&{TIME}"))["passes"]
    assert [(p["driver_id"], p["seconds"]) for p in world] == [("D1", 200), ("D2", 100)]
    across = (await api.get(OFFICE, f"tracks?bbox=100,0,-100,80&{TIME}"))["passes"]
    assert [p["driver_id"] for p in across] == ["D1", "D2"]


async def test_who_was_inside_an_area_and_for_how_long(api: Site):
    answer = await api.ask(OFFICE, "POST", f"tracks/inside?{TIME}", json=square(100.0))
    one, two = answer.json()["drivers"]
    assert (one["driver_id"], two["driver_id"], two["seconds"]) == ("D1", "D2", 100)
    assert one["seconds"] == pytest.approx(20, abs=0.01)
    (visit,) = one["visits"]
    assert parse_time(visit["entered_at"]) == pytest.approx(T0 + 90, abs=0.01)
    assert (visit["entered"], visit["left"], two["visits"][0]["entered"]) == (True, True, False)
    await api.put("geofences/yard", {"type": "Feature", "geometry": square(100.0)})
    assert await api.get(OFFICE, f"tracks/inside?geofence=yard&{TIME}") == answer.json()
    paged = await api.get(OFFICE, f"tracks/inside?geofence=yard&{TIME}&limit=1")
    assert [d["driver_id"] for d in paged["drivers"]] == ["D1"]
    assert "cursor=D1" in paged["next"]
    circle = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [LONGITUDE, LATITUDE]}, "radius": 50}
    answer = await api.ask(OFFICE, "POST", f"tracks/inside?{TIME}", json=circle)
    assert [d["driver_id"] for d in answer.json()["drivers"]] == ["D1"]


async def test_a_driver_sees_only_themselves_and_a_customer_nobody(api: Site):
    assert [p["driver_id"] for p in (await api.get(DRIVER, f"tracks?{NEAR}&{TIME}"))["passes"]] == ["D1"]
    assert [p["driver_id"] for p in (await api.get(OFFICE, f"tracks?{NEAR}&{TIME}&driver=D2"))["passes"]] == ["D2"]
    assert refused(await api.ask(CUSTOMER, "GET", f"tracks?{NEAR}&{TIME}"))[:2] == (403, "not_allowed")
    for viewer in (*STRANGERS, CUSTOMER):
        assert refused(await api.ask(viewer, "GET", f"drivers/D1/position?at={T0}"))[:2] == (403, "not_allowed")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("drivers/D1/position", "at"),
        ("drivers/D1/position?at=2025-01-20T10:30:00", "at"),
        (f"tracks?{TIME}", "near"),
        (f"tracks?{NEAR}&bbox=1,2,3,4&{TIME}", "near"),
        (f"tracks?near=25&{TIME}", "near"),
        (f"tracks?near=91,0&{TIME}", "near"),
        (f"tracks?near=nan,0&{TIME}", "near"),
        (f"tracks?{NEAR}&radius=0&{TIME}", "radius"),
        (f"tracks?{NEAR}&radius=60000&{TIME}", "radius"),
        (f"tracks?bbox=1,2,3&{TIME}", "bbox"),
        (f"tracks?bbox=1,4,3,2&{TIME}", "bbox"),
        (f"tracks?bbox=-180,-80,180,80&{TIME}", "bbox"),
        (f"tracks?{NEAR}&to={T0}", "from"),
        (f"tracks?{NEAR}&from={T0}", "to"),
        (f"tracks?{NEAR}&from={T0}&to={T0 - 1}", "from"),
        (f"tracks?{NEAR}&from={T0}&to={T0 + 32 * 86400}", "from"),
        (f"tracks?{NEAR}&from=2025-01-20T10:30:00&to={T0}", "from"),
        (f"tracks?{NEAR}&{TIME}&cursor=x", "cursor"),
        (f"tracks/inside?{TIME}", "geofence"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_the_field(api: Site, path: str, field: str):
    assert refused(await api.ask(OFFICE, "GET", path)) == (400, "invalid_input", field)


async def test_an_area_that_is_none_is_refused(api: Site):
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    assert refused(await api.ask(OFFICE, "POST", f"tracks/inside?{TIME}", json=bow)) == (
        400,
        "invalid_input",
        "geometry",
    )
    point = {"type": "Point", "coordinates": [1, 1]}
    assert refused(await api.ask(OFFICE, "POST", f"tracks/inside?{TIME}", json=point)) == (
        400,
        "invalid_input",
        "radius",
    )
    assert refused(await api.ask(OFFICE, "GET", f"tracks/inside?geofence=none&{TIME}"))[:2] == (404, "not_found")
    assert refused(await api.ask(OFFICE, "GET", f"drivers/nobody/position?at={T0}"))[:2] == (404, "not_found")
