"""`tracker send`: a recorded file to a running server, as the app of the driver who drove it would send it."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from api.driver_client import DriverClient
from api.files import Fixes
from tracker.codec import provider_of
from tracker.errors import InvalidInput
from tracker.messages import Fix
from tracker.records import Floats, Ints, Source


def only_driver(fixes: Fixes, driver_id: str | None) -> Ints:
    """Indices of the one driver whose fixes are sent: drivers report only for themselves. Raises InvalidInput."""
    ids = sorted(set(fixes.driver_id))
    if driver_id is None and len(ids) > 1:
        names = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
        raise InvalidInput(f"the file holds {len(ids)} drivers ({names}); choose one with --driver", field="driver")
    if driver_id is not None and driver_id not in ids:
        raise InvalidInput(f'the file holds no fix of the driver "{driver_id}"', field="driver")
    return np.flatnonzero(np.array([driver_id in (None, other) for other in fixes.driver_id], np.bool_))


def schedule(sent_at: Floats, speed: float, batch_s: float) -> list[tuple[float, Ints]]:
    """Seconds after the start, and the fixes that go then: those of `batch_s` recorded seconds, when they are over."""
    if not len(sent_at):
        return []
    order = np.argsort(sent_at, kind="stable")
    since = sent_at[order] - sent_at[order[0]]
    period = np.floor(since / batch_s)
    first = np.flatnonzero(np.diff(period)) + 1
    return [
        (float(since[part[-1]]) / speed, order[part]) for part in np.split(np.arange(len(order)), first) if len(part)
    ]


async def send(
    client: DriverClient,
    fixes: Fixes,
    index: Ints,
    *,
    speed: float,
    batch_s: float,
    now: float | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> None:
    """Give the client the fixes `index` at the recorded pace times `speed`, and wait until all is acknowledged.

    With `now`, all times are shifted so that the last fix was measured then. Raises TrackerError when the server
    refuses the client for good.
    """
    sent_at = (fixes.fix_time if fixes.received_at is None else fixes.received_at)[index]
    shift = 0.0 if now is None or not len(index) else now - float(fixes.fix_time[index].max())
    columns = (fixes.latitude, fixes.longitude, fixes.speed, fixes.course, fixes.accuracy, fixes.fix_time + shift)
    source = fixes.sources[index]
    provider = [provider_of(of) for of in source.tolist()]
    mock = [bool(of & Source.MOCK) or None for of in source.tolist()]
    rows: Any = zip(*(column[index].tolist() for column in columns), provider, mock, strict=True)
    known = [Fix(*row) for row in rows]  # NaN is sent as null
    start = time.monotonic()
    for due, part in schedule(sent_at, speed, batch_s):
        wait = start + due - time.monotonic()
        if wait > 0:
            await client.sleep(wait)
        client.put(known[i] for i in part.tolist())
        progress(len(part))
    await client.drained()


def report(client: DriverClient, total: int) -> str:
    """What became of the fixes, in one line."""
    tally = client.tally
    parts = [
        f"{tally.sent} sent",
        f"{tally.acknowledged} of {total} acknowledged",
        f"{tally.accepted} accepted",
        f"{tally.duplicates} duplicates",
        f"{tally.rejected.total()} rejected",
        f"{client.reconnects} reconnects",
    ]
    refused = ", ".join(f"{count} {code}" for code, count in sorted(tally.rejected.items()))
    return ", ".join(parts) + (f" ({refused})" if refused else "")
