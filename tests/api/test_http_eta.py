import pytest

from tests.fixes import LATITUDE, LONGITUDE
from tests.site import CUSTOMER, DRIVER, OFFICE, Site, order_body, refused, site


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


@pytest.mark.parametrize("viewer", [CUSTOMER, DRIVER])
async def test_both_are_for_the_office(here: Site, viewer) -> None:
    for path in ("eta/accuracy", "eta/model"):
        assert refused(await here.ask(viewer, "GET", path))[:2] == (403, "not_allowed")


async def test_an_unknown_grouping_is_refused(here: Site) -> None:
    assert refused(await here.ask(OFFICE, "GET", "eta/accuracy?by=moon")) == (400, "invalid_input", "by")
