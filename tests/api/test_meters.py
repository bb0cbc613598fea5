import asyncio
import time

from api.meters import BACK_WITHIN_S, Meters
from tests.sockets import until
from tracker.messages import Error, Heartbeat


def test_who_comes_back_soon_has_reconnected() -> None:
    meters = Meters()
    meters.came("U1", "office", 0.0)
    meters.came("U2", "driver", 0.0)
    assert meters.connections == {"office": 1, "driver": 1}
    meters.went("U1", "office", 10.0)
    meters.came("U1", "office", 10.0 + BACK_WITHIN_S)
    assert meters.reconnections == 1
    meters.came("U1", "office", 11.0 + BACK_WITHIN_S)  # a second connection beside the first
    assert meters.reconnections == 1
    meters.went("U2", "driver", 0.0)
    meters.came("U2", "driver", BACK_WITHIN_S + 0.1)
    assert meters.reconnections == 1


def test_who_left_long_ago_is_forgotten() -> None:
    meters = Meters()
    for n in range(1000):
        meters.went(f"U{n}", "driver", float(n))
    assert len(meters._left) == BACK_WITHIN_S + 1


def test_errors_are_counted_by_code() -> None:
    meters = Meters()
    meters.answer(Heartbeat(timestamp=""))
    meters.answer(Error(code="not_allowed", message=""))
    assert meters.answered == {"heartbeat": 1, "error": 1}
    assert meters.errors == {"not_allowed": 1}


async def test_a_loop_that_is_held_up_is_noticed() -> None:
    meters = Meters()
    beating = asyncio.create_task(meters.beat())
    await asyncio.sleep(0)
    time.sleep(0.4)  # noqa: ASYNC251  what must not happen
    await until(lambda: len(meters.recent_lags) > 0)
    beating.cancel()
    assert max(meters.recent_lags) >= 0.25
    assert meters.lag_seconds.sum >= 0.25
