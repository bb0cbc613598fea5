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
from storage.retry import pause
from storage.rows import Row, Statement
from storage.segments import COLUMNS, Block, blocks
from storage.store import Commit, Committed
from storage.transaction import steps
from tracker.errors import ConfigurationError, StoreInUse, StoreUnavailable
from tracker.records import Track

LOCK = 0x545241434B  # "TRACK"
"""Advisory lock of the one writer; the server holds it for the session and lets go when the session has ended."""
HOLDER = """
    SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND (classid::bigint << 32) + objid::bigint = $1 AND granted
      AND datname = current_database()"""
LOCK_WAIT = "1s"  # a server that was killed a moment ago may still be letting go

TEMPORARY = ("08", "40", "53", "57", "58")
"""SQLSTATE classes that pass: connection, rollback, resources (disk full), operator intervention, system error."""
NO_POSTGIS = ("0A000", "42501", "58P01")  # not installed in one or another version, or not allowed

COMMAND_TIMEOUT_S = 30.0
READERS = 4
CLOSED = "the store is closed"
READ_ONLY = "the store was opened to read only"
_FLOAT4 = 700  # oid of the type real

SESSION = {
    "application_name": "tracker",
    "synchronous_commit": "on",
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

    wkb = "ST_AsBinary(path, 'NDR')"
    overlap = (
        "tracks AS t WHERE t.path &&& "
        "ST_SetSRID(ST_MakeLine(ST_MakePointM($1, $3, $5), ST_MakePointM($2, $4, $6)), 4326)"
    )
    reals = ("array_send(speed)", "array_send(course)", "array_send(accuracy)")

    def __init__(self, url: str) -> None:
        self.epoch = ""
        self._url = url
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
                    self._url, min_size=0, max_size=READERS, command_timeout=COMMAND_TIMEOUT_S, server_settings=session
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
                rows: Sequence[Row] = await connection.fetchmany(*statement)
                return rows

    def floats(self, reals: bytes) -> np.ndarray:
        """As in Reading."""
        return np.frombuffer(reals, [("length", ">i4"), ("value", ">f4")], offset=20)["value"]

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
                    committed = await _run(connection, commit, self.wkb)
                    await connection.execute("UPDATE store SET last_commit = $1", token)
                except BaseException:
                    await _roll_back(connection)
                    raise
                try:
                    await connection.execute("COMMIT")
                except BaseException as error:
                    connection.terminate()
                    if isinstance(error, Exception) and await self._is_stored(token):
                        return committed
                    raise
        return committed

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


async def _run(connection: asyncpg.Connection, commit: Commit, wkb: str) -> Committed:
    """The steps of a commit inside a transaction."""
    transaction = steps(commit, wkb)
    rows: Any = None  # what a generator is sent first
    while True:
        try:
            step = transaction.send(rows)
        except StopIteration as end:
            committed: Committed = end.value
            return committed
        if isinstance(step, Track):
            copy = memoryview(b"".join(_copy(step)))  # as bytes it would be taken for a path
            await connection.copy_to_table("tracks", source=copy, columns=COLUMNS, format="binary")
            rows = ()
        else:
            rows = await connection.fetchmany(*step)


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


def _copy(track: Track) -> Iterator[bytes]:
    """The track in PostgreSQL's binary COPY format, columns as in `COLUMNS`."""
    yield b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for block in blocks(track):
        yield _copy_rows(block)
    yield b"\xff\xff"


def _copy_rows(block: Block) -> bytes:
    """Rows of one length as one structured array; a field is its length in bytes, then its value in network order.

    The path is EWKB (with SRID), little-endian, as its first byte says.
    """
    count, length, _ = block.xym.shape
    path = [("byte_order", "u1"), ("type", "<u4"), ("srid", "<u4"), ("count", "<u4"), ("xym", "<f8", (length, 3))]
    reals = [
        *((name, ">i4") for name in ("dimensions", "has_null", "element_type", "length", "lower_bound")),
        ("element", [("length", ">i4"), ("value", ">f4")], length),
    ]
    values = {
        "driver_id": np.dtype(f"S{len(block.driver_id[0])}"),
        "kind": np.dtype(">i2"),
        "connected": np.dtype("u1"),
        "start_time": np.dtype(">f8"),
        "end_time": np.dtype(">f8"),
        "path": np.dtype(path),
        "speed": np.dtype(reals),
        "course": np.dtype(reals),
        "accuracy": np.dtype(reals),
        "source": np.dtype(("u1", block.source.shape[1])),
    }
    fields = [(name, [("size", ">i4"), ("value", value)]) for name, value in values.items()]
    rows = np.zeros(count, [("fields", ">i2"), *fields])
    rows["fields"] = len(fields)
    for name, value in values.items():
        rows[name]["size"] = value.itemsize
    rows["driver_id"]["value"] = block.driver_id
    rows["kind"]["value"] = block.kind
    rows["connected"]["value"] = block.connected
    rows["start_time"]["value"] = block.xym[:, 0, 2]
    rows["end_time"]["value"] = block.xym[:, -1, 2]
    line = rows["path"]["value"]
    line["byte_order"] = 1
    line["type"] = 0x60000002  # LineString with M and SRID
    line["srid"] = 4326
    line["count"] = length
    line["xym"] = block.xym
    for name, measured in zip(("speed", "course", "accuracy"), block.measured, strict=True):
        array = rows[name]["value"]
        array["dimensions"] = 1
        array["element_type"] = _FLOAT4
        array["length"] = length
        array["lower_bound"] = 1
        array["element"]["length"] = 4
        array["element"]["value"] = measured
    rows["source"]["value"] = block.source
    return rows.tobytes()


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
