"""The embedded store: an OGC GeoPackage, which is a SQLite file that QGIS and GDAL open as it is."""

import asyncio
import fcntl
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from storage.migrate import APPLIED, HISTORY, check, migrations, pending
from storage.moments import Questions
from storage.packing import measured_of, steps_of
from storage.rows import NOTE_HOUR, Row, Statement, Values
from storage.segments import COLUMNS, Block, Rows, Vertices, blocks, sources, vertices
from storage.store import Commit, Committed, Hour
from storage.transaction import Dialect, steps
from tracker.errors import ConfigurationError, StoreInUse, StoreUnavailable
from tracker.records import Floats, Ints, Track

T = TypeVar("T")

TEMPORARY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM")
_BUSY_TIMEOUT_S = 5.0  # for another program, such as QGIS, that writes at this moment
_CACHE_KIB = 65536  # a tick of a fleet touches as many pages of the R-tree as it has rows
_DOUBLE = struct.Struct("<d")
_MEASURED = ("speed", "course", "accuracy")
_HEADER = 40  # bytes before the WKB: 8 and an envelope of four doubles

_BOUNDS = {"ST_MinX": 8, "ST_MaxX": 16, "ST_MinY": 24, "ST_MaxY": 32}
"""The functions that the triggers of an R-tree call, and where in a path's header their answers are."""

INSERT_TRACK = (
    f"INSERT INTO tracks ({', '.join(COLUMNS)}) "  # noqa: S608 a constant
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)

LONG_TRACKS = "SELECT * FROM tracks WHERE CAST(start_time / 3600 AS INTEGER) < CAST(end_time / 3600 AS INTEGER)"
DROP_TRACKS = """
    DELETE FROM tracks WHERE id IN (SELECT id FROM tracks WHERE end_time < $1 ORDER BY id LIMIT $2) RETURNING id"""
DROP_ROWS = 1000
_UNCUT = 4  # the newest migration before


class GeoPackage(Questions):
    """All happens in one thread, one call after the other; a lock on a file beside it keeps other servers out."""

    dialect = Dialect("tracks", lambda found: _paths(found), lambda found: _vertices(found))
    overlap = (
        "rtree_tracks_path AS r CROSS JOIN tracks AS t ON t.id = r.id WHERE r.maxx >= $1 AND r.minx <= $2 "
        "AND r.maxy >= $3 AND r.miny <= $4 AND t.end_time >= $5 AND t.start_time < $6"
    )
    overlap_aside = overlap

    def __init__(self, path: Path) -> None:
        self.epoch = ""
        self._hours = set[Hour]()  # with rows that are not compacted yet
        self._path = path
        self._lock: IO[bytes] | None = None
        self._connection: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def open(self, *, read_only: bool = False) -> None:
        """As in Store."""
        self._thread = ThreadPoolExecutor(1, "geopackage")
        try:
            await self._call(self._open_to_read if read_only else self._open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """As in Store."""
        if self._thread is not None:
            await self._call(self._close)
            self._thread.shutdown()
            self._thread = None

    async def commit(self, commit: Commit) -> Committed:
        """As in Store."""
        return await self._call(lambda: self._commit(commit))

    async def prepare(self, now: float) -> None:
        """As in Store; a file needs nothing."""

    async def drop_tracks(self, before: float) -> int:
        """As in Store."""

        def drop() -> int:
            assert self._connection is not None
            with _transaction(self._connection):
                return len(self._run(Statement(DROP_TRACKS, [(before, DROP_ROWS)])))

        return await self._call(drop)

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """As in Reading."""
        return await self._call(lambda: self._run(statement))

    async def _call(self, function: Callable[[], T]) -> T:
        def call() -> T:
            with _unavailable():
                return function()

        if self._thread is None:
            raise StoreUnavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = open(f"{self._path}.lock", "ab")  # noqa: SIM115 held until close
        except OSError as error:
            raise ConfigurationError(
                f"the store {self._path} cannot be opened: {error.strerror}", field="store"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreInUse from error
        try:
            self._connect()
        except sqlite3.Error as error:
            if _temporary(error):
                raise
            raise ConfigurationError(f"{self._path} cannot be used as a store: {error}", field="store") from error

    def _open_to_read(self) -> None:
        if not self._path.exists():
            raise ConfigurationError(f"there is no store {self._path}; run `tracker migrate` first", field="store")
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        connection = self._connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            check(migrations("sqlite"), {row["version"]: row["checksum"] for row in connection.execute(APPLIED)})
            self.epoch = connection.execute("SELECT epoch FROM store").fetchone()["epoch"]
        except sqlite3.Error as error:
            if _temporary(error):
                raise
            raise ConfigurationError(f"{self._path} is not a store: {error}", field="store") from error

    def _connect(self) -> None:
        connection = self._connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        connection.row_factory = sqlite3.Row
        for name, place in _BOUNDS.items():
            connection.create_function(name, 1, partial(_bound, place), deterministic=True)
        connection.create_function("ST_IsEmpty", 1, lambda path: path is None, deterministic=True)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(HISTORY)
        applied = {row["version"]: row["checksum"] for row in connection.execute(APPLIED)}
        for migration in pending(migrations("sqlite"), applied):
            # One that fails half way is rolled back when the connection closes.
            connection.executescript(f"BEGIN IMMEDIATE;\n{migration.sql};\n{migration.record};\nCOMMIT")
        if 0 < len(applied) <= _UNCUT:
            with _transaction(connection):
                self._cut_former()
        self.epoch = connection.execute("SELECT epoch FROM store").fetchone()["epoch"]

    def _cut_former(self) -> None:
        """Make rows of one hour each of rows from before these were asked for."""
        former = self._run(Statement(LONG_TRACKS, [()]))
        for row in former:
            found = _vertices([row])
            length = len(found.kind) if row["start_time"] < row["end_time"] else 1
            longitude, latitude, fix_time = found.xym[:length].T
            track = Track(
                [row["driver_id"]],
                found.kind[:1],
                np.array([row["connected"]], np.bool_),
                np.array([0, length]),
                fix_time,
                latitude,
                longitude,
                *found.measured[:, :length],  # type: ignore[call-arg]
                found.source[:length],
            )
            rows = Rows.of(track)
            self._insert(rows)
            self._run(Statement(NOTE_HOUR, sorted(rows.hours)))
        self._run(Statement("DELETE FROM tracks WHERE id = $1", [(row["id"],) for row in former]))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _commit(self, commit: Commit) -> Committed:
        if self._lock is None:
            raise ConfigurationError("the store was opened to read only")
        transaction = steps(commit, self.dialect, self._hours)
        rows: Any = None  # what a generator is sent first
        assert self._connection is not None
        committed: Committed | None = None
        with _transaction(self._connection):
            while committed is None:
                try:
                    step = transaction.send(rows)
                except StopIteration as end:
                    committed = end.value
                else:
                    rows = self._insert(step) if isinstance(step, Rows) else self._run(step)
        self._hours -= {(what.driver_id, what.hour) for what in commit.compact}
        self._hours |= committed.hours
        if commit.erase:
            self._hours.clear()
        return committed

    def _insert(self, inserted: Rows) -> Sequence[Row]:
        assert self._connection is not None
        for block in blocks(inserted.track):
            self._connection.executemany(INSERT_TRACK, _track_rows(inserted, block))
        return ()

    def _run(self, statement: Statement) -> Sequence[Row]:
        sql = statement.sql.replace("$", "?")
        assert self._connection is not None
        return [row for values in statement.values for row in self._connection.execute(sql, values)]


def _vertices(found: Sequence[Row]) -> Vertices:
    """As in Dialect."""
    xym, counts = _paths(found)
    measured = [np.frombuffer(b"".join(row[name] for row in found), "<f4") for name in _MEASURED]
    return Vertices(
        xym,
        measured_of(steps_of(np.stack(measured).astype(np.float64))),
        sources([row["source"] for row in found], counts),
        np.repeat(np.array([row["kind"] for row in found], np.uint8), counts),
    )


def _paths(found: Sequence[Row]) -> tuple[Floats, Ints]:
    """As in Dialect."""
    paths = [vertices(row["path"][_HEADER:]) for row in found]
    return np.concatenate([np.empty((0, 3)), *paths]), np.fromiter(map(len, paths), np.int64, len(paths))


def _track_rows(inserted: Rows, block: Block) -> Iterator[Values]:
    """One tuple of `COLUMNS` for each run of the block."""
    count, length, _ = block.xym.shape
    path = np.zeros(
        count,
        [
            ("magic", "S2"),
            ("version", "u1"),
            ("flags", "u1"),
            ("srs_id", "<i4"),
            ("envelope", "<f8", 4),
            ("byte_order", "u1"),
            ("type", "<u4"),
            ("count", "<u4"),
            ("xym", "<f8", (length, 3)),
        ],
    )
    path["magic"] = b"GP"
    path["flags"] = 0b00000011  # an envelope of minx, maxx, miny, maxy; little-endian
    path["srs_id"] = 4326
    path["envelope"][:, 0::2] = block.xym[:, :, :2].min(axis=1)
    path["envelope"][:, 1::2] = block.xym[:, :, :2].max(axis=1)
    path["byte_order"] = 1
    path["type"] = 2002  # LineStringM
    path["count"] = length
    path["xym"] = block.xym
    speed, course, accuracy = block.measured.astype("<f4")
    runs = block.row.tolist()
    return zip(
        (inserted.track.driver_id[run] for run in runs),
        inserted.track.kind[block.row].tolist(),
        inserted.track.connected[block.row].tolist(),
        inserted.start[block.row].tolist(),
        inserted.end[block.row].tolist(),
        *(_each(column) for column in (path, speed, course, accuracy)),
        _each(block.source) if block.source.size else repeat(b"", count),
        (inserted.fix_times[run] for run in runs),
        strict=True,
    )


def _each(column: np.ndarray) -> Iterator[memoryview]:
    """The bytes of each row."""
    data = memoryview(column.tobytes())
    size = len(data) // len(column)
    return (data[start : start + size] for start in range(0, len(data), size))


def _bound(place: int, path: bytes) -> float:
    bound: float = _DOUBLE.unpack_from(path, place)[0]
    return bound


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def _unavailable() -> Iterator[None]:
    """Turn what passes by itself, such as a full disk, into StoreUnavailable."""
    try:
        yield
    except sqlite3.Error as error:
        if _temporary(error):
            raise StoreUnavailable from error
        raise


def _temporary(error: sqlite3.Error) -> bool:
    # Errors that Python itself raises, such as a value of the wrong type, have no name.
    return getattr(error, "sqlite_errorname", "").startswith(TEMPORARY)
