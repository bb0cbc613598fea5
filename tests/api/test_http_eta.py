import numpy as np
import pytest

from tests.fixes import LATITUDE, LONGITUDE, T0, place
from tests.site import CUSTOMER, DRIVER, OFFICE, Site, order_body, refused, site
from tracker.channels import Viewer
from tracker.codec import parse_time
from tracker.learned_bytes import to_bytes
from tracker.learning import Learned

ADMIN = Viewer("A1", "admin", None, None)


@pytest.fixture
async def here(store_url: str):
    async with site(store_url) as running:
        yield running


async def arrive(here: Site) -> None:
    """D1 drives two kilometres to an order, as it is announced, and stops."""
    goal = {"latitude": LATITUDE, "longitude": LONGITUDE, "radius": 50}
    await here.put("orders/O1", order_body(destination=goal))
    t = [5.0 * i for i in range(60)]
    east = [min(-2000.0 + 10.0 * x, 0.0) for x in t]
    for i in range(0, 60, 10):
        part = slice(i, i + 10)
        speed = [10.0 if x < 0 else 0.0 for x in east[part]]
        await here.drive("D1", t[part], east[part], speed=speed, accuracy=[5.0] * 10)


async def test_announced_etas_are_scored_once_when_the_driver_arrives(here: Site) -> None:
    assert (await here.get(OFFICE, "eta/accuracy"))["groups"] == []
    await arrive(here)
    answer = await here.get(OFFICE, "eta/accuracy")
    (whole,) = answer["groups"]
    announced = [e for e in (await here.get(OFFICE, "events?order=O1"))["events"] if e.get("eta")]
    assert whole["predictions"] == len(announced) >= 2
    assert 0 < whole["mae_s"] < 300
    assert answer["target_coverage"] == 0.8
    again = await here.get(OFFICE, "eta/accuracy?by=distance")
    assert sum(group["predictions"] for group in again["groups"]) == whole["predictions"]
    assert [g["group"] for g in (await here.get(OFFICE, "eta/accuracy?by=driver"))["groups"]] == ["D1"]
    assert (await here.get(OFFICE, "eta/accuracy?driver=D2"))["groups"] == []
    assert (await here.get(OFFICE, "eta/accuracy?to=2025-10-09T00:00:00Z"))["groups"] == []
    metrics = await here.metrics()
    assert 'tracker_eta_predictions_total{distance="2-5 km"}' in metrics
    assert "tracker_eta_bias_seconds{" in metrics
    assert "tracker_eta_model 0.0" in metrics


async def test_the_model_tells_what_it_has_learned(here: Site) -> None:
    model = await here.get(OFFICE, "eta/model")
    assert (model["version"], model["trips"], model["learned_until"], model["speed"]) == (0, 0, None, 6.0)


def slow_city() -> bytes:
    """A model of a fleet that drove 2 m/s hereabouts for days."""
    learned, t = Learned(), np.arange(0.0, 3000.0, 5.0)
    for day in range(30):
        learned.add_trip(T0 + 86_400.0 * day + t, *place(-3000.0 + 2.0 * t))
    return to_bytes(learned)


async def test_a_model_is_swapped_while_drivers_drive_and_stays_after_a_restart(store_url: str) -> None:
    async with site(store_url) as here:
        await here.put("orders/O1", order_body())
        await here.drive("D1", [0, 5], [-2000.0, -1950.0])
        before = (await here.get(OFFICE, "orders/O1"))["eta"]
        answer = await here.ask(ADMIN, "PUT", "eta/model", content=slow_city())
        assert (answer.status_code, answer.json()["version"], answer.json()["trips"]) == (200, 1, 30)
        await here.drive("D1", [65, 70], [-1350.0, -1300.0])
        assert parse_time((await here.get(OFFICE, "orders/O1"))["eta"]) > parse_time(before) + 120
    async with site(store_url) as here:
        model = await here.get(OFFICE, "eta/model")
        assert (model["version"], model["trips"], model["cells"]) == (1, 30, answer.json()["cells"])


async def test_what_is_no_model_changes_nothing(here: Site) -> None:
    refusals = [(await here.ask(ADMIN, "PUT", "eta/model", content=data)) for data in (b"", b"PK", slow_city()[:-9])]
    assert [refused(answer) for answer in refusals] == [(400, "invalid_input", "body")] * 3
    assert refused(await here.ask(OFFICE, "PUT", "eta/model", content=slow_city()))[:2] == (403, "not_allowed")
    too_large = await here.ask(ADMIN, "PUT", "eta/model", content=bytes((32 << 20) + 1))
    assert refused(too_large)[:2] == (413, "message_too_large")
    assert (await here.get(OFFICE, "eta/model"))["version"] == 0


@pytest.mark.parametrize("viewer", [CUSTOMER, DRIVER])
async def test_both_are_for_the_office(here: Site, viewer) -> None:
    for path in ("eta/accuracy", "eta/model"):
        assert refused(await here.ask(viewer, "GET", path))[:2] == (403, "not_allowed")


async def test_an_unknown_grouping_is_refused(here: Site) -> None:
    assert refused(await here.ask(OFFICE, "GET", "eta/accuracy?by=moon")) == (400, "invalid_input", "by")
