"""The commands about a store."""

import asyncio
import sqlite3

import pytest

from storage import Commit, open_store
from tests.api.test_main import tracker  # noqa: F401 a fixture
from tests.tracks import run

STORE = "sqlite:///tracker.gpkg"


@pytest.fixture
def filled(tracker):  # noqa: F811
    async def fill() -> None:
        store = open_store(STORE)
        await store.open()
        for n in range(3):
            await store.commit(Commit(track=run("D1", [10 * n, 10 * n + 5])))
        await store.close()

    asyncio.run(fill())


def test_maintain_does_what_is_due(tracker, filled):  # noqa: F811
    done = tracker("maintain", "--store", STORE)
    assert (done.status, done.err) == (0, "")
    assert "merged hours: 1" in done.out
    with sqlite3.connect("tracker.gpkg") as file:
        assert file.execute("SELECT count(*) FROM tracks").fetchone() == (1,)
    file.close()
    assert "merged hours: 0" in tracker("maintain", "--store", STORE).out


def test_forget_tells_what_was_deleted(tracker, filled):  # noqa: F811
    done = tracker("forget", "--driver", "D1", "--store", STORE)
    assert done.status == 0
    assert "tracks: 3" in done.out
    assert "tracks: 0" in tracker("forget", "--driver", "D1", "--store", STORE).out
    assert "orders: 0" in tracker("forget", "--customer", "C1", "--store", STORE).out


@pytest.mark.parametrize("who", [[], ["--driver", "D", "--customer", "C"]])
def test_forget_needs_one_person(tracker, who):  # noqa: F811
    done = tracker("forget", *who)
    assert (done.status, done.err) == (2, "tracker: give either --driver ID or --customer ID\n")


def test_doctor_ends_with_2_when_something_is_wrong(tracker, filled):  # noqa: F811
    done = tracker("doctor", "--store", STORE)
    assert done.status == 2
    assert "WRONG tokens" in done.out
    done = tracker("doctor", "--store", STORE, TRACKER_JWT_SECRET="0123456789abcdef0123456789abcdef")
    assert "WRONG tokens" not in done.out
    assert "ok    store: tracker.gpkg can be read" in done.out
