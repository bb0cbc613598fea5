"""Group commit: many puts become one transaction, in order, and each gets its own answer."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from storage import Commit, Committed, Store, Writer
from storage.writer import merge, split
from tests.storage.test_rows import EVENTS, GEOFENCE, ORDER
from tests.storage.test_store import message
from tests.tracks import T0, run, runs, same, times
from tracker.errors import Flag, StoreUnavailable
from tracker.records import Geofence, Order, Route


class Recorder:
    """Stands in for a store: keeps each transaction, fails as told, and waits at the gate."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.errors: list[Exception] = []
        self.poison: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def commit(self, commit: Commit) -> Committed:
        self.begun.set()
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        if any(one.event_id == self.poison for one in commit.messages):
            raise ValueError("poison")
        before = sum(len(earlier.messages) for earlier in self.commits)
        self.commits.append(commit)
        duplicate = commit.aside.fix_time == T0  # as if this one were stored
        return Committed(duplicate, list(range(before + 1, before + 1 + len(commit.messages))))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def writer(recorder: Recorder) -> AsyncIterator[Writer]:
    writer = Writer(recorder, max_pending_fixes=100)  # type: ignore[arg-type]
    await writer.start()
    yield writer
    recorder.gate.set()
    await writer.close()


def late(second: float) -> Commit:
    return Commit(aside=run("a", [second], kind=Flag.LATE))


async def test_what_waits_becomes_one_transaction_and_each_put_gets_its_part(recorder: Recorder, writer: Writer):
    recorder.gate.clear()
    first = writer.put(Commit(messages=[message("e0")]))
    await recorder.begun.wait()
    puts = [writer.put(Commit(aside=late(n).aside, messages=[message(f"x{n}"), message(f"y{n}")])) for n in (1, 0, 2)]
    nothing = writer.put(Commit())
    recorder.gate.set()
    told = await asyncio.gather(*puts)
    assert len(recorder.commits) == 2
    assert (await first).seqs == [1]
    assert [one.seqs for one in told] == [[2, 3], [4, 5], [6, 7]]
    assert [one.duplicate.tolist() for one in told] == [[False], [True], [False]]
    assert (await nothing).seqs == []


async def test_the_store_is_asked_again_while_it_is_unavailable(recorder: Recorder, writer: Writer):
    recorder.errors = [StoreUnavailable(), StoreUnavailable()]
    first, second = writer.put(Commit(messages=[message("e0")])), writer.put(Commit(messages=[message("e1")]))
    assert [(await first).seqs, (await second).seqs] == [[1], [2]]
    assert writer.retries == 2


async def test_only_the_guilty_put_fails(recorder: Recorder, writer: Writer):
    recorder.poison = "e1"
    recorder.gate.clear()
    writer.put(Commit())
    await recorder.begun.wait()
    puts = [writer.put(Commit(messages=[message(f"e{n}")])) for n in range(3)]
    recorder.gate.set()
    told = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(one) for one in told] == [Committed, ValueError, Committed]
    assert writer.refused == 1


async def test_it_is_full_until_fixes_are_stored(recorder: Recorder, writer: Writer):
    recorder.gate.clear()
    small, large = writer.put(Commit(track=run("a", range(60)))), writer.put(Commit(aside=run("b", range(40))))
    assert not writer.full
    last = writer.put(late(1))
    assert writer.full
    recorder.gate.set()
    await asyncio.gather(small, large, last)
    await writer.close()
    assert not writer.full


async def test_a_put_that_is_no_longer_waited_for_is_stored_all_the_same(recorder: Recorder, writer: Writer):
    recorder.gate.clear()
    given_up, kept = writer.put(Commit(messages=[message("e0")])), writer.put(Commit(messages=[message("e1")]))
    given_up.cancel()
    recorder.gate.set()
    assert (await kept).seqs == [2]


async def test_close_commits_what_is_queued_and_takes_no_more(recorder: Recorder, writer: Writer):
    recorder.gate.clear()
    put = writer.put(Commit(messages=[message("e0")]))
    closing = asyncio.create_task(writer.close())
    await recorder.begun.wait()
    with pytest.raises(StoreUnavailable, match="stopping"):
        await writer.put(Commit())
    assert not closing.done()
    recorder.gate.set()
    await closing
    assert (await put).seqs == [1]


async def test_a_transaction_stays_of_bearable_size(recorder: Recorder):
    writer = Writer(recorder)  # type: ignore[arg-type]
    recorder.gate.clear()
    await writer.start()
    puts = [writer.put(Commit(track=run(f"d{n}", range(20_000)))) for n in range(5)]
    recorder.gate.set()
    await asyncio.gather(*puts)
    await writer.close()
    assert [len(commit.track) for commit in recorder.commits] == [2, 2, 1]


def test_merge_makes_one_row_of_a_driver_that_goes_on():
    parts = [
        Commit(track=run("a", [0, 1])),
        Commit(track=run("b", [0])),
        Commit(track=run("a", [1, 2], connected=True)),
    ]
    assert same(merge(parts).track, runs([run("a", [0, 1, 2]), run("b", [0])]))


def test_merge_of_one_is_itself():
    commit = Commit(events=EVENTS)
    assert merge([commit]) is commit


def test_merge_keeps_the_order_of_saves_and_removals():
    gone, back = Commit(remove=[(Order, "O1"), (Geofence, "G1")]), Commit(save=[ORDER])
    merged = merge([Commit(save=[ORDER, GEOFENCE]), gone, back, Commit(remove=[(Route, "R1")])])
    assert list(merged.save) == [ORDER, GEOFENCE, ORDER]
    assert list(merged.remove) == [(Geofence, "G1"), (Route, "R1")]


def test_split_is_the_inverse_of_merge():
    commits = [late(1), Commit(messages=[message("e0")]), Commit(aside=run("a", [2, 3], kind=Flag.LATE))]
    parts = split(Committed(np.array([True, False, True]), [9]), commits)
    assert [(part.duplicate.tolist(), part.seqs) for part in parts] == [([True], []), ([], [9]), ([False, True], [])]


_names = itertools.count()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    puts=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=12),
    eager=st.lists(st.booleans(), min_size=12, max_size=12),
)
async def test_however_puts_are_grouped_the_store_ends_the_same(
    store: Store, puts: list[tuple[int, int, int]], eager: list[bool]
):
    """Documents, messages and tracks of several drivers, some awaited at once, others left to be grouped."""
    name = next(_names)
    drivers = [f"{name}-{n}" for n in range(3)]
    newest, status, waiting, topic = [-1, -1, -1], {}, [], f"topic-{name}"
    writer = Writer(store)
    await writer.start()
    for number, (driver, length, document) in enumerate(puts):
        connected = newest[driver] >= 0
        first = newest[driver] + (0 if connected else 1)
        newest[driver] = first + length
        key, removed = f"{name}-O{document}", number % 3 == 2
        status[key] = None if removed else f"status-{number}"
        waiting.append(
            writer.put(
                Commit(
                    track=run(drivers[driver], range(first, first + length + 1), connected=connected),
                    save=[] if removed else [replace(ORDER, order_id=key, status=f"status-{number}")],
                    remove=[(Order, key)] if removed else [],
                    messages=[message(f"e{number}", topic)],
                )
            )
        )
        if eager[number]:
            await waiting[-1]
    told = await asyncio.gather(*waiting)
    await writer.close()
    assert [seq for one in told for seq in one.seqs] == list(range(1, len(puts) + 1))
    for driver_id, last in zip(drivers, newest, strict=True):
        assert times(await store.track(driver_id, T0, T0 + 1000)) == list(range(last + 1))
    for key, expected in status.items():
        order = await store.get(Order, key)
        assert (order and order.status) == expected
