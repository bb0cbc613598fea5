"""Stays, trips and days of a driver, from what is stored."""

from collections.abc import AsyncIterator
from itertools import pairwise

import numpy as np
import pytest
import pytest_asyncio

from tests.fixes import T0
from tests.site import CUSTOMER, DRIVER, OFFICE, Site, refused, site
from tracker.codec import iso, parse_time


@pytest_asyncio.fixture
async def api(sqlite_url: str) -> AsyncIterator[Site]:
    """A driver who drives for two minutes, stays for five and drives on for two."""
    async with site(sqlite_url) as api:
        t = np.arange(0.0, 540.0, 4.0)
        await api.drive("D1", t.tolist(), np.interp(t, [0, 120, 420, 540], [0, 1200, 1200, 2400]).tolist())
        yield api


WHOLE = f"from={T0 - 60}&to={T0 + 600}"


async def test_stays_and_the_trips_between(api: Site):
    (stay,) = (await api.get(OFFICE, f"drivers/D1/stays?{WHOLE}"))["stays"]
    before, after = (await api.get(DRIVER, f"drivers/D1/trips?{WHOLE}"))["trips"]
    assert parse_time(stay["started_at"]) == pytest.approx(T0 + 120, abs=10)
    assert stay["seconds"] == pytest.approx(300, abs=15) and not stay["ongoing"]
    assert (before["started_at"], before["ended_at"]) == (iso(T0), stay["started_at"])
    assert before["distance"] == pytest.approx(1200, abs=50)
    assert (after["started_at"], after["ongoing"]) == (stay["ended_at"], True)


async def test_what_reaches_over_the_ends_is_told_whole_and_counted_in_part(api: Site):
    (whole,) = (await api.get(OFFICE, f"drivers/D1/stays?{WHOLE}"))["stays"]
    middle = f"from={T0 + 200}&to={T0 + 300}"
    assert (await api.get(OFFICE, f"drivers/D1/stays?{middle}"))["stays"] == [whole]
    figures = await api.get(OFFICE, f"drivers/D1/summary?{middle}")
    assert (figures["staying_s"], figures["moving_s"], figures["distance"], figures["stops"]) == (100, 0, 0, 0)


async def test_days_add_up(api: Site):
    figures = await api.get(OFFICE, f"drivers/D1/summary?{WHOLE}&zone=Asia/Taipei")
    assert figures["moving_s"] + figures["staying_s"] == pytest.approx(536, abs=1)
    assert figures["distance"] == pytest.approx(2400, abs=80) and figures["stops"] == 1
    wide = f"from={T0 - 2 * 86400}&to={T0 + 86400}&zone=America/New_York"
    figures = await api.get(OFFICE, f"drivers/D1/summary?{wide}")
    days = figures["days"]
    assert len(days) == 4 and all(a["to"] == b["from"] for a, b in pairwise(days))
    for name in ("moving_s", "staying_s", "distance", "stops"):
        assert sum(day[name] for day in days) == pytest.approx(figures[name], abs=0.5)


async def test_nothing_known_is_nothing_told(api: Site):
    assert await api.get(OFFICE, f"drivers/nobody/stays?{WHOLE}") == {"stays": []}
    assert (await api.get(OFFICE, f"drivers/nobody/summary?{WHOLE}"))["distance"] == 0


async def test_who_may_not_see_it_and_what_makes_no_sense_is_refused(api: Site):
    for path in ("stays", "trips", "summary"):
        assert refused(await api.ask(CUSTOMER, "GET", f"drivers/D1/{path}"))[:2] == (403, "not_allowed")
    for zone in ("Nowhere", "../etc/passwd"):
        answer = await api.ask(OFFICE, "GET", f"drivers/D1/summary?{WHOLE}&zone={zone}")
        assert refused(answer) == (400, "invalid_input", "zone")
    for bound in ("0", "nan", "much"):
        answer = await api.ask(OFFICE, "GET", f"drivers/D1/track?{WHOLE}&simplify={bound}")
        assert refused(answer) == (400, "invalid_input", "simplify")


async def test_a_simplified_track_has_few_vertices(api: Site):
    track = await api.get(OFFICE, f"drivers/D1/track?{WHOLE}&simplify=10")
    times = track["properties"]["datetimes"]
    assert len(times) <= 8 and (times[0], times[-1]) == (iso(T0), iso(T0 + 536))
