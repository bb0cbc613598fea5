"""A file goes out as its driver's app would send it: in recorded order, in batches, at the recorded pace."""

import asyncio
import json

import numpy as np
import pytest
from websockets.asyncio.server import serve

from api.driver_client import DriverClient
from api.files import Fixes
from api.send import only_driver, report, schedule, send
from tracker.errors import InvalidInput

T0 = 1737369000.0


def fixes_at(times, received_at=None, driver_id=None):
    n = len(times)
    column = np.arange(n, dtype=float)
    nothing = np.full(n, np.nan)
    return Fixes(driver_id or ["A"] * n, T0 + np.array(times), column, column, nothing, nothing, nothing, received_at)


def test_batches_hold_the_fixes_of_their_seconds_and_go_when_those_are_over():
    times = T0 + np.array([0.0, 2.0, 4.9, 5.0, 21.0])
    plan = schedule(times, speed=1.0, batch_s=5.0)
    assert [(due, part.tolist()) for due, part in plan] == [
        (pytest.approx(4.9), [0, 1, 2]),
        (pytest.approx(5.0), [3]),
        (pytest.approx(21.0), [4]),
    ]
    assert [due for due, _ in schedule(times, speed=10.0, batch_s=5.0)] == pytest.approx([0.49, 0.5, 2.1])


def test_fixes_out_of_order_are_scheduled_in_order():
    plan = schedule(np.array([5.0, 0.0, 1.0]), speed=1.0, batch_s=2.0)
    assert [part.tolist() for _, part in plan] == [[1, 2], [0]]
    assert schedule(np.array([]), 1.0, 5.0) == []


def test_one_driver_is_sent():
    fixes = fixes_at([0, 1, 2], driver_id=["A", "B", "A"])
    assert only_driver(fixes, "A").tolist() == [0, 2]
    assert only_driver(fixes_at([0, 1]), None).tolist() == [0, 1]
    with pytest.raises(InvalidInput, match=r"holds 2 drivers \(A, B\); choose one with --driver"):
        only_driver(fixes, None)
    with pytest.raises(InvalidInput, match='no fix of the driver "C"'):
        only_driver(fixes, "C")


@pytest.fixture
async def received():
    """Batches a server got, and its address."""
    batches = []

    async def accept(socket):
        async for text in socket:
            batch = json.loads(text)
            batches.append(batch)
            ack = {"type": "location.ack", "seq": batch["seq"], "duplicates": 0, "rejected": []}
            await socket.send(json.dumps(ack | {"accepted": len(batch["fixes"])}))

    async with serve(accept, "127.0.0.1", 0) as server:
        yield batches, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_all_fixes_arrive_with_their_recorded_times(received):
    batches, url = received
    fixes = fixes_at([0.0, 1.0, 7.0])
    done = []
    async with asyncio.timeout(60), DriverClient(url, "t", proxy=None) as client:
        await send(client, fixes, np.arange(3), speed=1000.0, batch_s=5.0, progress=done.append)
    sent = [fix for batch in batches for fix in batch["fixes"]]
    assert [fix["timestamp"] for fix in sent] == fixes.fix_time.tolist()
    assert {fix.get("speed") for fix in sent} == {None}
    assert sum(done) == 3
    assert report(client, 3) == "3 sent, 3 of 3 acknowledged, 3 accepted, 0 duplicates, 0 rejected, 0 reconnects"


async def test_now_shifts_all_times_by_one_constant_and_none_into_the_future(received):
    batches, url = received
    async with asyncio.timeout(60), DriverClient(url, "t", proxy=None) as client:
        await send(client, fixes_at([0.0, 1.0, 7.0]), np.arange(3), speed=1e6, batch_s=5.0, now=2_000_000_000.0)
    times = [fix["timestamp"] for batch in batches for fix in batch["fixes"]]
    assert times == [1_999_999_993.0, 1_999_999_994.0, 2_000_000_000.0]


async def test_with_received_at_the_pace_is_that_of_the_arrivals(received):
    batches, url = received
    late = fixes_at([0.0, 60.0], received_at=T0 + np.array([120.0, 60.0]))
    async with asyncio.timeout(60), DriverClient(url, "t", proxy=None) as client:
        await send(client, late, np.arange(2), speed=1e4, batch_s=5.0)
    assert [fix["timestamp"] - T0 for batch in batches for fix in batch["fixes"]] == [60.0, 0.0]
