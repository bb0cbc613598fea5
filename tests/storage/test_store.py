"""What a store promises, asked of both kinds: everything once, all or nothing, and still there after a kill -9."""

import asyncio
import dataclasses
import itertools
import signal
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from storage import Commit, Store, open_store
from storage.rows import Statement
from storage.store import StoredModel
from tests.storage.test_rows import EVENTS, GEOFENCE, ORDER, ROUTE
from tests.tracker.test_announce import delivery
from tests.tracks import T0, run, runs, same, times
from tracker.errors import ConfigurationError, Flag, StoreInUse
from tracker.mail import Personal
from tracker.records import Geofence, Message, Order, Route, Track


def message(event_id: str, topic: str = "orders", body: bytes = b'{"z": 1, "a": "\\u0000 \xe7\x8e\x8b"}') -> Message:
    return Message(event_id=event_id, topic=topic, body=body, created_at=T0 + 0.25, priority="critical")


async def track_times(store: Store, driver_id: str) -> list[float]:
    return times(await store.track(driver_id, T0 - 1e9, T0 + 1e9))


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://relative", "tracker.gpkg", "sqlite:///", ""])
def test_an_unknown_store_is_a_configuration_error(url: str):
    with pytest.raises(ConfigurationError, match="sqlite:///path"):
        open_store(url)


async def test_a_track_comes_back_exactly(store: Store):
    first = run("王小明", np.arange(0, 50) * 0.777)
    second = run("王小明", [first.fix_time[-1] - T0, 100.001, 100.002], connected=True)
    await store.commit(Commit(track=runs([first, run("other", [1, 2, 3])])))
    await store.commit(Commit(track=second))
    found = await store.track("王小明", T0, T0 + 1000)
    whole = run("王小明", [*times(first), 100.001, 100.002])
    assert same(found, whole)


async def test_a_track_is_half_open_and_of_one_driver(store: Store):
    await store.commit(Commit(track=runs([run("a", [1, 2, 3, 4]), run("b", [2.5])])))
    assert times(await store.track("a", T0 + 2, T0 + 4)) == [2, 3]
    assert len(await store.track("a", T0 + 5, T0 + 9)) == 0
    assert len(await store.track("nobody", T0, T0 + 9)) == 0


async def test_what_is_aside_is_stored_once_and_told_apart(store: Store):
    await store.commit(Commit(track=run("a", [10, 20, 30])))
    late, outlier = run("a", [5, 20, 25], kind=Flag.LATE), run("a", [5, 28], kind=Flag.OUTLIER)
    commit = Commit(
        track=run("a", [30, 40], connected=True), aside=runs([late, outlier, run("b", [20], kind=Flag.LATE)])
    )
    committed = await store.commit(commit)
    assert committed.duplicate.tolist() == [False, True, False, True, False, False]
    assert await track_times(store, "a") == [5, 10, 20, 25, 30, 40]
    again = await store.commit(Commit(aside=commit.aside))
    assert again.duplicate.all()
    assert await track_times(store, "b") == [20]


async def test_an_outlier_is_kept_out_of_the_track_but_known(store: Store):
    await store.commit(Commit(aside=run("a", [5], kind=Flag.OUTLIER)))
    assert await track_times(store, "a") == []
    assert (await store.commit(Commit(aside=run("a", [5], kind=Flag.LATE)))).duplicate.tolist() == [True]


async def test_an_event_is_stored_once(store: Store):
    await store.commit(Commit(events=EVENTS))
    await store.commit(Commit(events=[*EVENTS, *EVENTS]))
    assert await store.events() == EVENTS


async def test_an_amended_event_replaces_the_one_before_and_all_versions_are_kept(store: Store):
    first = EVENTS[0]
    second = replace(first, version=2, occurred_at=first.occurred_at - 5)
    third = replace(second, version=3, withdrawn=True)
    await store.commit(Commit(events=EVENTS))
    for _ in range(2):
        await store.commit(Commit(events=[first, second]))
    assert first.event_id in {event.event_id for event in await store.events()}
    assert second in await store.events()
    assert first not in await store.events()
    every = await store.events(versions=True)
    assert first in every
    assert second in every
    await store.commit(Commit(events=[third]))
    await store.commit(Commit(events=[second]))  # an old version comes too late
    assert first.event_id not in {event.event_id for event in await store.events()}
    found = [event for event in await store.events(versions=True) if event.event_id == first.event_id]
    assert sorted(event.version for event in found) == [1, 2, 3]


async def test_late_fixes_are_noted_until_they_are_told(store: Store):
    late = runs([run("a", [5, 20], kind=Flag.LATE), run("a", [28], kind=Flag.OUTLIER), run("b", [3], kind=Flag.LATE)])
    spans = [("a", T0 + 5, T0 + 20), ("b", T0 + 3, T0 + 3)]
    assert list((await store.commit(Commit(aside=late))).late) == spans
    assert list((await store.commit(Commit(aside=late))).late) == []
    assert list((await store.load(tail_s=1, since=0)).late) == spans
    await store.commit(Commit(told=spans[:1]))
    assert list((await store.load(tail_s=1, since=0)).late) == spans[1:]


async def test_a_judgement_decides_what_a_fix_is(store: Store):
    await store.commit(Commit(track=run("a", [1, 2, 3]), aside=run("a", [5], kind=Flag.OUTLIER)))
    await store.commit(Commit(judgements=[("a", T0 + 2, Flag.OUTLIER), ("a", T0 + 5, Flag.ACCEPTED)]))
    assert await track_times(store, "a") == [1, 3, 5]
    await store.commit(Commit(judgements=[("a", T0 + 2, Flag.ACCEPTED)]))
    track, kind = await store.fixes("a", T0, T0 + 9)
    assert (times(track), kind.tolist()) == ([1, 2, 3, 5], [0, 0, 0, 0])


async def test_where_fixes_come_from_is_kept(store: Store):
    known = dataclasses.replace(run("a", [1, 2, 3]), source=np.array([0, 1, 10], np.uint8))
    await store.commit(Commit(track=runs([known, run("b", [1, 2, 3])])))
    assert (await store.track("a", T0, T0 + 9)).source.tolist() == [0, 1, 10]
    assert (await store.track("b", T0, T0 + 9)).source.tolist() == [0, 0, 0]


async def test_documents_are_replaced_and_removed(store: Store):
    await store.commit(Commit(save=[ORDER, GEOFENCE, ROUTE, replace(ORDER, status="en_route")]))
    assert (await store.get(Order, "O1")).status == "en_route"  # type: ignore[union-attr]
    assert await store.get(Geofence, "G1") == GEOFENCE
    assert await store.get(Route, "R1") == ROUTE
    await store.commit(Commit(save=[GEOFENCE], remove=[(Geofence, "G1"), (Route, "never there")]))
    assert await store.get(Geofence, "G1") is None
    assert await store.get(Route, "R1") == ROUTE


async def test_messages_count_without_gaps_and_come_back_as_they_were(store: Store):
    one = [message("e1"), message("e2"), message("e1", "order:O1")]
    assert list((await store.commit(Commit(messages=one))).seqs) == [1, 2, 1]
    two = [message("e2"), message("e3"), message("e3"), message("e0")]
    assert list((await store.commit(Commit(messages=two))).seqs) == [2, 3, 3, 4]
    assert await store.last_seq("orders") == 4
    assert await store.last_seq("order:O1") == 1
    assert await store.last_seq("nothing") == 0
    stored = [(1, one[0]), (2, one[1]), (3, two[1]), (4, two[3])]
    assert await store.messages("orders", after=0) == stored
    assert await store.messages("orders", after=1, limit=2) == stored[1:3]


async def test_a_refused_commit_leaves_nothing(store: Store):
    """The last step fails, so that all the others have to be undone."""
    bad = message("bad", body=b"\xff not UTF-8")
    commit = Commit(run("a", [1]), run("a", [0], kind=Flag.LATE), EVENTS, [ORDER], (), [message("e1"), bad])
    with pytest.raises(UnicodeDecodeError):
        await store.commit(commit)
    assert await track_times(store, "a") == []
    assert await store.events() == []
    assert await store.get(Order, "O1") is None
    assert await store.last_seq("orders") == 0
    assert list((await store.commit(Commit(messages=[message("e1")]))).seqs) == [1]


async def test_commits_at_the_same_time_do_not_mix(store: Store):
    committed = await asyncio.gather(*(store.commit(Commit(messages=[message(f"e{n}")])) for n in range(20)))
    assert sorted(seq for one in committed for seq in one.seqs) == list(range(1, 21))


async def test_two_servers_on_one_store(store: Store, store_url: str):
    other = open_store(store_url)
    with pytest.raises(StoreInUse):
        await other.open()
    await other.close()
    await store.commit(Commit(track=run("a", [1])))
    await store.close()
    other = open_store(store_url)
    await other.open()
    assert await track_times(other, "a") == [1]
    await other.close()


_driver = itertools.count()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_batching_order_and_resending_ends_in_the_same_track(store: Store, data: st.DataObject):
    """As the engine hands it over: what is newer than all before as track, everything else aside."""
    driver_id = f"driver-{next(_driver)}"
    drawn = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=60))  # repeats are re-sent fixes
    cuts = sorted(data.draw(st.sets(st.integers(1, len(drawn)), max_size=8)) | {len(drawn)})
    newest, told, start = -1, [], 0
    for cut in cuts:
        ahead, aside = [], []
        for second in drawn[start:cut]:
            (ahead if second > newest else aside).append(second)
            newest = max(newest, second)
        start = cut
        late = [run(driver_id, [second], kind=Flag.LATE) for second in aside]
        track = run(driver_id, ahead) if ahead else Track.empty()
        committed = await store.commit(Commit(track=track, aside=runs(late)))
        told += [*ahead, *itertools.compress(aside, ~committed.duplicate)]
    assert sorted(told) == sorted(set(drawn))
    assert same(await store.track(driver_id, T0, T0 + 100), run(driver_id, sorted(set(drawn))))


CHILD = """
import asyncio, sys
sys.path.insert(0, "")
from storage import Commit, open_store
from tests.storage.test_store import message
from tests.tracker.test_announce import delivery
from tests.tracks import run, runs
from tracker.errors import Flag

async def main():
    store = open_store(sys.argv[1])
    await store.open()
    for n in range(100_000):
        aside = run("a", [-n - 1], kind=Flag.LATE)
        await store.commit(Commit(track=run("a", [n]), aside=aside, messages=[message(f"e{n}")]))
        print(n, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("commits", [1, 40])
async def test_kill_9_in_mid_stream_loses_nothing_that_was_committed(store_url: str, commits: int):
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, store_url, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(commits):
        await child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    reported = [commits - 1, *(int(line) for line in (await child.stdout.read()).split())][-1]
    await child.wait()
    store = open_store(store_url)
    await store.open()
    found = await track_times(store, "a")
    last = int(found[-1])
    assert reported <= last <= reported + 1  # the one under way is there wholly or not at all
    assert found == list(range(-last - 1, last + 1))
    stored = await store.messages("orders", after=0, limit=100_000)
    assert [(seq, kept.event_id) for seq, kept in stored] == [(n + 1, f"e{n}") for n in range(last + 1)]
    await store.close()


async def test_a_store_reads_and_commits_after_a_restart_where_it_was(store_url: str):
    for n in range(3):
        store = open_store(store_url)
        await store.open()
        committed = await store.commit(Commit(track=run("a", [n]), messages=[message(f"e{n}")]))
        assert list(committed.seqs) == [n + 1]
        await store.close()


async def test_announced_etas_are_scored_once_with_the_arrival_and_again_when_it_is_amended(store: Store):
    told = delivery(
        event_id="told", kind="eta_changed", detected_at=T0, eta=T0 + 90, eta_low=T0 + 50, eta_high=T0 + 200
    )
    arrival = delivery(event_id="arrived", occurred_at=T0 + 100, detected_at=T0 + 104)
    assert (await store.commit(Commit(events=[told]))).scores == []
    (score,) = (await store.commit(Commit(events=[arrival]))).scores
    assert (score.event_id, score.arrived_at, score.eta) == ("told", T0 + 100, T0 + 90)
    await store.commit(Commit(events=[arrival]))
    assert await store.scores() == [score]
    assert await store.scores(end=T0 + 100) == await store.scores(driver_id="nobody") == []
    await store.commit(Commit(events=[replace(arrival, version=2, occurred_at=T0 + 120)]))
    assert [s.arrived_at for s in await store.scores(start=T0 + 110)] == [T0 + 120]
    await store.commit(Commit(events=[replace(arrival, version=3, withdrawn=True)]))
    assert await store.scores() == []


async def test_the_newest_model_is_read_and_few_are_kept(store: Store):
    assert await store.eta_model() is None
    for version in range(1, 9):
        await store.commit(Commit(eta_models=[StoredModel(version, T0, 10 * version, bytes([0, version]))]))
    assert await store.eta_model() == StoredModel(8, T0, 80, b"\0\x08")
    rows = await store.fetch(Statement("SELECT version FROM eta_models ORDER BY version", [()]))
    assert [row["version"] for row in rows] == [4, 5, 6, 7, 8]


async def test_a_restart_knows_the_newest_eta_that_was_told_of_each_order_under_way(store: Store):
    open_orders = [replace(ORDER, order_id=name, driver_id="d") for name in ("o1", "o2", "o3")]
    ended = replace(ORDER, order_id="o4", driver_id="d", status="delivered")

    def told(name: str, order_id: str, t: float, eta: float | None = T0 + 900, driver_id: str = "d"):
        return delivery(
            event_id=name, kind="eta_changed", order_id=order_id, driver_id=driver_id, detected_at=T0 + t, eta=eta
        )

    events = [
        told("a", "o1", 10),
        told("b", "o1", 20, T0 + 700),
        told("c", "o2", 10),
        told("d", "o2", 20, None),  # withdrawn
        told("e", "o3", 10, driver_id="former"),
        told("f", "o4", 10),
        delivery(event_id="g", kind="approaching", order_id="o1", driver_id="d", detected_at=T0 + 30),
    ]
    await store.commit(Commit(events=events, save=[*open_orders, ended]))
    snapshot = await store.load(tail_s=60.0, since=0.0)
    assert [(event.event_id, event.eta) for event in snapshot.announced] == [("b", T0 + 700)]


async def test_personal_messages_wait_until_they_are_settled_or_have_expired(store: Store):
    def letter(event_id: str, expires_at: float, topic: str = "user:a", priority: str = "normal") -> Personal:
        message_ = message(event_id, topic)
        return Personal(**{**msgspec.structs.asdict(message_), "priority": priority}, expires_at=expires_at)

    letters = [letter("1", T0 + 10), letter("2", T0 + 20), letter("3", T0 + 30), letter("4", T0 + 30, "user:b")]
    committed = await store.commit(Commit(messages=[message("0", "user:a"), *letters]))
    assert (committed.seqs, committed.crowded_out) == ([1, 2, 3, 4, 1], 0)
    assert await store.waiting(["user:a"], T0) == [(2, letters[0]), (3, letters[1]), (4, letters[2])]
    assert [seq for seq, _ in await store.waiting(["user:a"], T0 + 10)] == [3, 4]
    await store.commit(Commit(settled=[("user:a", 3), ("user:a", 99), ("user:nobody", 1)]))
    assert [seq for seq, _ in await store.waiting(["user:a"], T0 + 10)] == [4]
    assert [seq for seq, _ in await store.messages("user:a", after=0)] == [1, 2, 3, 4]
    await store.commit(Commit(messages=[letter("1", T0 + 99)]))
    assert [seq for seq, _ in await store.waiting(["user:a"], T0 + 10)] == [4], "an event is told once"


async def test_not_too_many_personal_messages_wait(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("storage.transaction.MAILBOX", 2)
    given = [("old", "critical", T0 - 1), ("a", "high", T0 + 9), ("b", "low", T0 + 9), ("c", "high", T0 + 9)]
    letters = [
        Personal(event_id=name, topic="user:a", body=b"{}", created_at=T0, priority=priority, expires_at=until)  # type: ignore[arg-type]
        for name, priority, until in given
    ]
    crowded = [(await store.commit(Commit(messages=[letter]))).crowded_out for letter in letters]
    assert crowded == [0, 0, 0, 1]
    assert [letter.event_id for _, letter in await store.waiting(["user:a"], T0)] == ["a", "c"]
