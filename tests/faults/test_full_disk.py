"""A database without room on its disk: acknowledgements wait, connections stay, and with room all goes on by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from api.driver_client import DriverClient
from tests.faults.outage import FIXES, SETTINGS, drive, driving, has_tried_again, metric, stored
from tests.faults.small_disk import move_tables, move_wal, small_disk, use_up_wal
from tests.postgres import Server, private_server
from tests.support import LiveServer, running_server

BACKLOG = 20_000
BATCH = 300
PENDING = 100


async def test_tables_that_cannot_grow_make_acks_wait(tmp_path: Path) -> None:
    """SQLSTATE 53100, again and again."""
    with small_disk(100) as disk, private_server() as database, database.database() as url:
        move_tables(database, disk, url)
        async with drives(url, tmp_path) as (server, client):
            with disk.full():
                client.put(drive(FIXES, BACKLOG))
                await has_tried_again(server)
                await waits(server, client)
        assert "could not extend file" in database.log
        assert await stored(url) == FIXES + BACKLOG


async def test_a_log_that_cannot_grow_ends_the_database_and_makes_acks_wait(tmp_path: Path) -> None:
    """It panics, and cannot even recover: whoever makes room starts it again."""
    with small_disk(200) as disk, private_server() as database, database.database() as url:
        move_wal(database, disk)
        async with drives(url, tmp_path) as (server, client):
            with disk.full():
                client.put(drive(FIXES, BACKLOG))
                await asyncio.to_thread(use_up_wal, database)
                await waits(server, client)
            await asyncio.to_thread(database.start)
        assert "PANIC" in database.log
        assert await stored(url) == FIXES + BACKLOG


async def test_a_database_that_its_host_lets_only_read_makes_acks_wait(tmp_path: Path) -> None:
    """What hosts do before the disk is full: SQLSTATE 25006."""
    with private_server() as database, database.database() as url:
        async with drives(url, tmp_path) as (server, client):
            allow_writing(database, allowed=False)
            client.put(drive(FIXES, BACKLOG))
            await has_tried_again(server)
            await waits(server, client)
            allow_writing(database, allowed=True)
        assert "read-only transaction" in database.log
        assert await stored(url) == FIXES + BACKLOG


def allow_writing(database: Server, *, allowed: bool) -> None:
    """For all sessions, from their next transaction on."""
    database.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'off' if allowed else 'on'}")
    database.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def drives(url: str, tmp_path: Path) -> AsyncIterator[tuple[LiveServer, DriverClient]]:
    """A server and a driver; after the block all of his backlog is acknowledged, once and over one connection."""
    lost: list[str] = []
    async with (
        running_server(url, tmp_path, **SETTINGS, max_pending_fixes=PENDING) as server,
        driving(server, lost) as client,
        asyncio.timeout(90),
    ):
        client.put(drive())
        await client.drained()
        yield server, client
        await client.drained()
        tally = client.tally
        assert (tally.accepted, tally.duplicates, tally.rejected.total()) == (FIXES + BACKLOG, 0, 0)
    assert lost == []
    assert "commit failed" not in server.log
    assert "Traceback" not in server.log


async def waits(server: LiveServer, client: DriverClient) -> None:
    """The server takes no more than it may, and acknowledges nothing that is not stored."""
    while await metric(server, "tracker_writer_fixes") <= PENDING:  # noqa: ASYNC110 another process
        await asyncio.sleep(0.02)
    assert await metric(server, "tracker_writer_fixes") <= PENDING + BATCH
    assert client.tally.accepted < FIXES + BACKLOG
