"""Each fault by itself, on a real server: it waits, says so, and goes on by itself; nothing acknowledged is lost."""

import asyncio
import resource
from pathlib import Path

import asyncpg

from storage import Commit, Writer, open_store
from tests.faults.outage import FIXES, SETTINGS, drive, driving, has_tried_again, metric, stored
from tests.fixes import T0
from tests.postgres import private_server
from tests.storage.test_postgis import Cut, Line
from tests.support import LiveServer, running_server
from tests.tracks import run


async def test_while_the_database_is_away_acks_wait_and_sockets_stay(tmp_path: Path) -> None:
    lost: list[str] = []
    with private_server(fsync=True) as database, database.database() as url:
        async with (
            running_server(url, tmp_path, **SETTINGS, max_pending_fixes=100) as server,
            driving(server, lost) as client,
            asyncio.timeout(60),
        ):
            client.put(drive())
            await client.drained()
            database.stop()
            client.put(drive(FIXES))
            await has_tried_again(server)
            assert client.tally.accepted == FIXES
            await asyncio.to_thread(database.start)
            await client.drained()
            assert (client.tally.accepted, client.tally.duplicates, client.tally.sent) == (2 * FIXES, 0, 2 * FIXES)
        assert lost == []
        assert "Traceback" not in server.log
        assert await stored(url) == 2 * FIXES


async def test_while_the_disk_is_full_acks_wait(tmp_path: Path, sqlite_url: str) -> None:
    """A limit on the size of files stands in for it: the embedded store cannot write on."""
    lost: list[str] = []
    async with (
        running_server(sqlite_url, tmp_path, **SETTINGS) as server,
        driving(server, lost) as client,
        asyncio.timeout(60),
    ):
        client.put(drive())
        await client.drained()
        _, most = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, most))
        client.put(drive(FIXES))
        await has_tried_again(server)
        assert client.tally.accepted == FIXES
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, most))
        await client.drained()
    assert lost == []
    assert await stored(sqlite_url) == 2 * FIXES


async def test_a_second_server_on_a_store_says_so_and_the_first_goes_on(store_url: str, tmp_path: Path) -> None:
    lost: list[str] = []
    (tmp_path / "second").mkdir()
    async with running_server(store_url, tmp_path, **SETTINGS) as server, driving(server, lost) as client:
        second = LiveServer(store_url, tmp_path / "second", {})
        process = second.spawn()
        client.put(drive())
        assert await asyncio.to_thread(process.wait, 30) == 2
        assert "Another tracker server is writing to this store" in second.log
        assert "Traceback" not in second.log
        client.put(drive(FIXES))
        async with asyncio.timeout(20):
            await client.drained()
        assert client.tally.accepted == 2 * FIXES
    assert lost == []


async def test_a_line_that_breaks_in_a_copy_is_mended(postgres_url: str, tmp_path: Path) -> None:
    lost: list[str] = []
    line = Line(postgres_url)
    async with (
        line.listening() as url,
        running_server(url, tmp_path, **SETTINGS) as server,
        driving(server, lost) as client,
        asyncio.timeout(60),
    ):
        line.cut = Cut.IN_COPY
        client.put(drive())
        await client.drained()
        assert line.cuts == 1
        assert await metric(server, "tracker_commit_retries_total") >= 1
        assert (client.tally.accepted, client.tally.duplicates) == (FIXES, 0)
    assert lost == []
    assert "commit failed" not in server.log
    assert "Traceback" not in server.log
    assert await stored(postgres_url) == FIXES


async def test_a_deadlock_is_tried_again(postgres_url: str) -> None:
    """Another session holds the row every commit ends with, and then wants what the commit holds."""
    await blocked_by("LOCK TABLE segments IN ACCESS EXCLUSIVE MODE; COMMIT", postgres_url)


async def test_a_failure_to_serialize_is_tried_again(postgres_url: str) -> None:
    """SQLSTATE 40001, in a database whose isolation is stricter, when somebody changes what a commit changes."""
    admin = await asyncpg.connect(postgres_url)
    name = postgres_url.rpartition("/")[2]
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    await admin.close()
    await blocked_by("COMMIT", postgres_url)


async def blocked_by(then: str, postgres_url: str) -> None:
    """A commit fails once: another session holds the row that it ends with, and does this while it waits."""
    store, other = open_store(postgres_url), await asyncpg.connect(postgres_url)
    await store.open()
    writer = Writer(store)
    await writer.start()
    try:
        await other.execute("SET deadlock_timeout = '1min'")  # so that it is not this one that is ended
        await other.execute("BEGIN; UPDATE store SET last_commit = last_commit")
        commit = writer.put(Commit(track=run("a", [1, 2])))
        async with asyncio.timeout(20):
            while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await other.execute(then)
            await commit
        assert writer.retries == 1
        assert len((await store.track("a", T0, T0 + 9)).fix_time) == 2
    finally:
        await writer.close()
        await store.close()
        await other.close()


async def test_what_the_database_refuses_harms_its_sender_alone(postgres_url: str) -> None:
    store = open_store(postgres_url)
    await store.open()
    writer = Writer(store)
    puts = [writer.put(Commit(track=run(driver_id, [1, 2]))) for driver_id in ("a", "nul \0", "b")]
    await writer.start()
    first, poison, last = await asyncio.gather(*puts, return_exceptions=True)
    assert isinstance(poison, asyncpg.PostgresError)
    assert not isinstance(first, Exception)
    assert not isinstance(last, Exception)
    assert [len((await store.track(driver_id, T0, T0 + 9)).fix_time) for driver_id in ("a", "b")] == [2, 2]
    await writer.close()
    await store.close()
