"""The production store: PostgreSQL with PostGIS, written by one connection through binary COPY."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import numpy as np

from storage.migrate import APPLIED, HISTORY, check, migrations, pending
from storage.moments import Questions
from storage.packing import COLUMNS, UNKNOWN, copy_of, measured_of, vertices_of
from storage.retry import pause
from storage.rows import Row, Statement
from storage.segments import REACH_S, Rows, Vertices, sources
from storage.store import Commit, Committed, Hour
from storage.transaction import Dialect, steps
from tracker.errors import ConfigurationError, StoreInUse, StoreUnavailable
from tracker.records import Floats, Ints

LOCK = 0x545241434B  # "TRACK"
"""Advisory lock of the one writer; the server holds it for the session and lets go when the session has ended."""
HOLDER = """
    SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND (classid::bigint << 32) + objid::bigint = $1 AND granted
      AND datname = current_database()"""
LOCK_WAIT = "1s"  # a server that was killed a moment ago may still be letting go

TEMPORARY = ("08", "25006", "40", "53", "57", "58")
"""SQLSTATE classes that pass: connection, rollback, resources (disk full), operator intervention, system error; and
transactions that may only read, as a host has it while the disk is nearly full, or a standby before it takes over."""
NO_POSTGIS = ("0A000", "42501", "58P01")  # not installed in one or another version, or not allowed

COMMAND_TIMEOUT_S = 30.0
READERS = 4
CLOSED = "the store is closed"
READ_ONLY = "the store was opened to read only"
DROP_WAIT_S = 2.0  # for who reads what is dropped; then it is tried again later, as commits wait meanwhile
WEEK_S = 7 * 86400.0  # of a partition

OLDEST_PARTITION = """
    SELECT
        oid::regclass::text AS name,
        inhrelid IS NOT NULL AS attached,
        coalesce(inhdetachpending, false) AS pending,
        greatest(pg_total_relation_size(oid), 1) AS bytes
    FROM pg_class LEFT JOIN pg_inherits ON inhrelid = oid
    WHERE relkind = 'r' AND relname ~ '^segments_w-?[0-9]+$'
      AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'segments'::regclass)
      AND (substr(relname, 11)::integer + 1) * 604800.0 <= $1
    ORDER BY relname LIMIT 1"""
"""That ends before a time; one that was detached already, and not dropped when the server stopped, is one too."""

SESSION = {
    "application_name": "tracker",
    "synchronous_commit": "on",
    "jit": "off",  # of use to queries of seconds, and these are none
    "tcp_keepalives_idle": "10",  # so that the lock of a server that lost its power is free after half a minute
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class PostGIS(Questions):
    """One connection writes, and holds the writer's lock; a small pool reads.

    When the answer to COMMIT is lost, nobody knows how it ended: the old session may still be at it. The next session
    that gets the lock knows: the lock was free, so the old session is gone; and the token in `store.last_commit` tells
    whether its last transaction is there.
    """

    dialect = Dialect("segments", lambda found: _paths(found), lambda found: _vertices(found))
    overlap = (
        "segments AS t WHERE segment_path(t.path)::geometry(LineStringM, 4326) "
        "&& ST_MakeEnvelope($1, $3, $2, $4, 4326) AND floor(t.end_time / 3600) "
        f"BETWEEN floor($5::double precision / 3600) AND floor(($6::double precision + {REACH_S}) / 3600) "
        f"AND t.end_time >= $5 AND t.end_time < $6 + {REACH_S} AND t.start_time < $6"
    )
    overlap_aside = (
        "segments AS t WHERE segment_path(t.path) && ST_MakeEnvelope($1, $3, $2, $4, 4326) "
        f"AND t.end_time >= $5 AND t.end_time < $6 + {REACH_S} AND t.start_time < $6"
    )

    def __init__(self, url: str) -> None:
        self.epoch = ""
        self._url = url
        self._hours = set[Hour]()  # with rows that are not compacted yet
        self._partitions = set[int]()  # weeks that have theirs
        self._pool: asyncpg.Pool | None = None
        self._connection: asyncpg.Connection | None = None
        self._backend: int | None = None  # process id of the newest writing session
        self._one_at_a_time = asyncio.Lock()
        self._read_only = False

    async def open(self, *, read_only: bool = False) -> None:
        """As in Store."""
        session = {**SESSION, "default_transaction_read_only": "on"} if read_only else SESSION
        self._read_only = read_only
        try:
            with _unavailable():
                if not read_only:
                    await _migrate(await self._writing())
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=READERS,
                    command_timeout=COMMAND_TIMEOUT_S,
                    server_settings=session,
                    reset=_as_it_is,
                )
                if read_only:
                    check(migrations("postgis"), dict(await self._pool.fetch(APPLIED)))
                self.epoch = await self._pool.fetchval("SELECT epoch FROM store")
        except asyncpg.UndefinedTableError:
            await self.close()
            raise ConfigurationError(
                "there is no store in this database; run `tracker migrate` first", field="store"
            ) from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """As in Store."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None
        if self._connection is not None:
            await self._connection.close(timeout=COMMAND_TIMEOUT_S)
            self._connection = None

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """As in Reading."""
        if self._pool is None:
            raise StoreUnavailable(CLOSED)
        with _unavailable():
            async with self._pool.acquire() as connection:
                return await _fetch(connection, statement)

    async def commit(self, commit: Commit) -> Committed:
        """As in Store; waits for as long as it is not known whether it is stored."""
        token = uuid4().hex
        async with self._one_at_a_time:
            if self._pool is None:
                raise StoreUnavailable(CLOSED)
            with _unavailable():
                connection = await self._writing()
                try:
                    await connection.execute("BEGIN")
                    committed = await self._run(connection, commit)
                    await connection.execute("UPDATE store SET last_commit = $1", token)
                except BaseException:
                    self._partitions.clear()
                    await _roll_back(connection)
                    raise
                try:
                    await connection.execute("COMMIT")
                except BaseException as error:
                    connection.terminate()
                    if not (isinstance(error, Exception) and await self._is_stored(token)):
                        self._partitions.clear()
                        raise
        self._hours -= {(what.driver_id, what.hour) for what in commit.compact}
        self._hours |= committed.hours
        if commit.erase:
            self._hours.clear()
        return committed

    async def _run(self, connection: asyncpg.Connection, commit: Commit) -> Committed:
        """The steps of a commit inside a transaction."""
        transaction = steps(commit, self.dialect, self._hours)
        rows: Any = None  # what a generator is sent first
        while True:
            try:
                step = transaction.send(rows)
            except StopIteration as end:
                committed: Committed = end.value
                return committed
            if isinstance(step, Rows):
                await self._insert(connection, step)
                rows = ()
            else:
                rows = await _fetch(connection, step)

    async def _insert(self, connection: asyncpg.Connection, rows: Rows) -> None:
        weeks = set(np.unique(np.floor(rows.end / WEEK_S)).astype(int).tolist()) - self._partitions
        for week in sorted(weeks):
            await connection.execute("SELECT make_segments_partition($1)", week)
        self._partitions |= weeks
        copy = copy_of(rows.track, rows.start, rows.end, rows.fix_times)
        await connection.copy_to_table(self.dialect.runs, source=copy, columns=COLUMNS, format="binary")

    async def prepare(self, now: float) -> None:
        """As in Store."""
        async with self._one_at_a_time:
            with _unavailable():
                connection = await self._writing()
                for week in range(int(now // WEEK_S), int((now + 86400.0) // WEEK_S) + 1):
                    await connection.execute("SELECT make_segments_partition($1)", week)

    async def drop_tracks(self, before: float) -> int:
        """As in Store."""
        async with self._one_at_a_time:
            with _unavailable():
                connection = await self._writing()
                found = await connection.fetchrow(OLDEST_PARTITION, before)
                if found is None:
                    return 0
                if found["attached"]:
                    finish = "FINALIZE" if found["pending"] else "CONCURRENTLY"
                    detach = f"ALTER TABLE segments DETACH PARTITION {found['name']} {finish}"
                    await connection.execute(detach, timeout=DROP_WAIT_S)
                await connection.execute(f"DROP TABLE {found['name']}", timeout=DROP_WAIT_S)
                self._partitions.clear()
                return int(found["bytes"])

    async def _is_stored(self, token: str) -> bool:
        """Whether the transaction of this token is in the store; asks until there is an answer."""
        attempt = 0
        while True:
            try:
                with _unavailable():
                    connection = await self._writing()
                    return bool(await connection.fetchval("SELECT last_commit FROM store") == token)
            except StoreUnavailable:
                attempt += 1
                await asyncio.sleep(pause(attempt))

    async def _writing(self) -> asyncpg.Connection:
        """The connection that writes; a new one when the old one is gone."""
        if self._read_only:
            raise ConfigurationError(READ_ONLY)
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> asyncpg.Connection:
        try:
            connection = await asyncpg.connect(self._url, command_timeout=COMMAND_TIMEOUT_S, server_settings=SESSION)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise ConfigurationError(f"the store refuses: {error}", field="store") from error
        except asyncpg.ClientConfigurationError as error:
            raise ConfigurationError(f"the store's URL is wrong: {error}", field="store") from error
        try:
            await self._take_lock(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _take_lock(self, connection: asyncpg.Connection) -> None:
        """Become the writer; a former session of ours that is still there is ended first."""
        holder = await connection.fetchval(HOLDER, LOCK)
        ours = holder is not None and holder == self._backend
        if ours:
            await connection.execute("SELECT pg_terminate_backend($1)", holder)
        await connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        except asyncpg.LockNotAvailableError as error:
            raise StoreUnavailable if ours else StoreInUse from error
        await connection.execute("RESET lock_timeout")
        self._backend = connection.get_server_pid()


async def _as_it_is(connection: asyncpg.Connection) -> None:
    """A session that only reads leaves nothing behind: to reset it would be one more round trip a statement."""


async def _fetch(connection: asyncpg.Connection, statement: Statement) -> Sequence[Row]:
    """Asked with no values at all, asyncpg would leave its session in a transaction that sees no new partition."""
    if not statement.values:
        return ()
    rows: Sequence[Row] = await connection.fetchmany(*statement)
    return rows


def _paths(found: Sequence[Row]) -> tuple[Floats, Ints]:
    """As in Dialect."""
    return vertices_of([row["path"] for row in found])


def _vertices(found: Sequence[Row]) -> Vertices:
    """As in Dialect."""
    xym, counts = _paths(found)
    words = [
        b"".join(row[name] or UNKNOWN.to_bytes(2) * count for row, count in zip(found, counts.tolist(), strict=True))
        for name in ("speed", "course", "accuracy")
    ]
    return Vertices(
        xym,
        measured_of(np.stack([np.frombuffer(column, "<u2") for column in words])),
        sources([row["source"] for row in found], counts),
        np.repeat(np.array([row["kind"] for row in found], np.uint8), counts),
    )


async def _roll_back(connection: asyncpg.Connection) -> None:
    """Leave the connection clean, or leave it."""
    try:
        await connection.execute("ROLLBACK")
    except Exception:
        connection.terminate()


async def _migrate(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute(HISTORY)
        applied = {row["version"]: row["checksum"] for row in await connection.fetch(APPLIED)}
        for migration in pending(migrations("postgis"), applied):
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(migration.record)
    except asyncpg.PostgresError as error:
        if error.sqlstate not in NO_POSTGIS:
            raise
        raise ConfigurationError(
            f"the schema cannot be created: {error}. Install PostGIS beside the database server (Debian: "
            "postgresql-15-postgis-3), and let a superuser run CREATE EXTENSION postgis in this database once",
            field="store",
        ) from error


@contextmanager
def _unavailable() -> Iterator[None]:
    """Turn what passes by itself, such as a lost connection or a full disk, into StoreUnavailable."""
    try:
        yield
    except asyncpg.PostgresError as error:
        if (error.sqlstate or "").startswith(TEMPORARY):
            raise StoreUnavailable from error
        raise
    except asyncpg.DataError:  # an InterfaceError: a value of ours does not fit
        raise
    except (asyncpg.InterfaceError, OSError) as error:  # the connection is closed, lost or (TimeoutError) silent
        raise StoreUnavailable from error
    except asyncpg.InternalClientError as error:  # a statement for a session that was ended a moment before
        raise StoreUnavailable from error
