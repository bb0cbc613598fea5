"""A short load against a real server: nothing is lost, and what cannot be trusted is said."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from api.loadtest import Outcome, Plan, loadtest, report
from tests.support import running_server
from tracker.errors import InvalidInput

PLAN = Plan(url="ws://127.0.0.1:8000", drivers=20, batch=5, rate=50.0, subscribers=3, duration_s=1.0)


def outcome(**changes: object) -> Outcome:
    fields = {
        "seconds": 10.0, "sent": 1000, "accepted": 990, "accepted_in_time": 980, "duplicates": 4, "rejected": 6,
        "errors": Counter(overloaded=2), "closed": Counter(), "ack_s": np.array([0.01, 0.02]),
        "location_s": np.array([0.1]), "deliveries": 5000, "unseen": 0, "cpu": 0.3, "late_s": 0.001, "behind_s": 0.0,
    }  # fmt: skip
    return Outcome(**fields | changes)  # type: ignore[arg-type]


async def test_nothing_is_lost_at_a_rate_and_as_fast_as_it_goes(sqlite_url: str, tmp_path: Path) -> None:
    limits = {"rate_limit_per_s": 1e9, "rate_limit_burst": 10**6}
    async with running_server(sqlite_url, tmp_path, **limits) as server:
        for rate in (50.0, 0.0):
            plan = Plan(url=server.ws_url, drivers=20, batch=5, rate=rate, subscribers=3, duration_s=1.0)
            found = await loadtest(plan, server.token)
            assert found.ok
            assert (found.lost, found.unseen, found.duplicates, found.rejected) == (0, 0, 0, 0)
            assert found.sent == found.accepted >= 200
            assert len(found.ack_s) == found.sent / 5
            assert len(found.location_s) > 0
            assert found.deliveries >= 3 * len(found.location_s) / 2
        told = report(plan, found)
        assert "0 lost" in told
        assert "as fast as they are acknowledged" in told


def test_what_is_not_accounted_for_is_lost() -> None:
    assert outcome().ok
    assert outcome(sent=1001).lost == 1
    assert not outcome(sent=1001).ok
    assert not outcome(unseen=1).ok


def test_figures_that_are_the_client_s_own_are_doubted() -> None:
    assert outcome().doubts == []
    assert "bottleneck" in outcome(cpu=0.97).doubts[0]
    assert "30 ms late" in outcome(late_s=0.03).doubts[0]
    assert "behind its plan" in outcome(behind_s=2.0).doubts[0]
    assert "NOTE" in report(PLAN, outcome(cpu=0.97))


def test_errors_and_ends_are_told() -> None:
    told = report(PLAN, outcome(closed=Counter({"closed by the server": 3})))
    assert "2 overloaded" in told
    assert "3 connections: closed by the server" in told
    assert "p50 15.0 ms" in told


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "http://x"), ("url", "nonsense"), ("drivers", 0), ("batch", 0), ("subscribers", -1), ("rate", -1.0),
     ("rate", 2000.0), ("duration_s", 0.0)],
)  # fmt: skip
async def test_a_plan_that_cannot_be_carried_out_is_refused(field: str, value: object) -> None:
    fields = {name: getattr(PLAN, name) for name in PLAN.__slots__} | {field: value}
    with pytest.raises(InvalidInput, match=field.partition("_")[0]):
        await loadtest(Plan(**fields), lambda sub, role: "")
