"""Whether a server would run well here: one finding a question, each with what to do."""

import fcntl
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.auth import Authenticator
from api.config import Config
from api.warm import warm_up
from storage.geopackage import GeoPackage
from storage.migrate import APPLIED, Dialect, migrations
from storage.postgis import HOLDER, LOCK
from tracker.errors import TrackerError

PYTHON = (3, 11)
ROOM_BYTES = 2 * 1024**3
CLOCK_S = 2.0
OLDEST_CLOCK = 1_735_689_600.0  # 2025
SLOW_LOAD_S = 15.0
ANSWER_S = 3.0
OLDEST_REDIS = 7


class Finding(NamedTuple):
    """The answer to one question."""

    name: str
    well: bool
    text: str


async def examine(config: Config, clock: Callable[[], float]) -> list[Finding]:
    """Everything that can be looked at without changing it."""
    here = [_python(), _kernels(), _secret(config), _clock(clock())]
    if config.redis:
        here.append(await _redis(config))
    if config.store.startswith("postgres"):
        return [*here, *await _postgis(config, clock)]
    path = Path(config.store.removeprefix("sqlite:///"))
    return [*here, *await _geopackage(path), _disk(path)]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return _judged("Python", sys.version_info >= PYTHON, version, "install Python 3.11 or newer")


def _judged(name: str, well: bool, fact: str, else_do: str) -> Finding:
    return Finding(name, well, fact if well else f"{fact}; {else_do}")


def _kernels() -> Finding:
    began = time.perf_counter()
    warm_up()
    took = time.perf_counter() - began
    again = "" if took < SLOW_LOAD_S else "; they were compiled now, if it takes as long again set NUMBA_CACHE_DIR"
    return Finding("compiled code", True, f"ready after {took:.1f} s{again}")


def _secret(config: Config) -> Finding:
    try:
        Authenticator(config)
    except TrackerError as error:
        return Finding("tokens", False, error.message)
    return Finding("tokens", True, f"{config.jwt_algorithm}, the key is there and long enough")


def _clock(now: float) -> Finding:
    well = now > OLDEST_CLOCK
    return Finding("clock", well, "plausible" if well else "before 2025; set the clock, or start the time service")


async def _redis(config: Config) -> Finding:
    try:
        async with Redis.from_url(config.redis, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S) as redis:
            version = (await redis.info("server"))["redis_version"]
    except (RedisError, OSError, ValueError) as error:
        return Finding("Redis", False, f"{config.redis_name} cannot be reached: {type(error).__name__}")
    well = int(version.split(".")[0]) >= OLDEST_REDIS
    return _judged("Redis", well, version, f"version {OLDEST_REDIS} or newer is needed")


def _schema(dialect: Dialect, applied: dict[int, str]) -> Finding:
    known = {migration.version: migration.checksum for migration in migrations(dialect)}
    newest = max(known)
    if any(known.get(version) != checksum for version, checksum in applied.items()):
        return Finding("schema", False, "made by another version of tracker; start that one, or a newer one")
    at = max(applied, default=0)
    return Finding(
        "schema", True, f"version {at} of {newest}" + ("" if at == newest else "; the server will update it")
    )


def _disk(path: Path) -> Finding:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    return _judged("disk", free > ROOM_BYTES, f"{free / 1e9:.1f} GB free in {folder}", "make room")


def _there(path: Path) -> bool:
    return path.exists()


async def _geopackage(path: Path) -> list[Finding]:
    if not _there(path):
        return [Finding("store", True, f"{path} will be made by the first start")]
    store = GeoPackage(path)
    try:
        await store.open(read_only=True)
        await store.close()
    except TrackerError as error:
        return [Finding("store", False, error.message)]
    return [Finding("store", True, f"{path} can be read, its schema is up to date"), _writer(_locked(path))]


def _locked(path: Path) -> bool:
    """Whether a server holds the file beside the store."""
    try:
        with open(f"{path}.lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _writer(held: bool) -> Finding:
    return Finding("writer's lock", True, "held by a running server" if held else "free")


async def _postgis(config: Config, clock: Callable[[], float]) -> list[Finding]:
    try:
        connection = await asyncpg.connect(config.store, timeout=10.0)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        return [Finding("store", False, f"{config.store_name} cannot be reached: {error}")]
    try:
        return [await question(connection) for question in (_server, _extension, _rights, _version, _holder)] + [
            await _apart(connection, clock)
        ]
    finally:
        await connection.close()


async def _server(connection: asyncpg.Connection) -> Finding:
    number = connection.get_server_version()
    text = f"PostgreSQL {number.major}.{number.minor}, " + await connection.fetchval(
        "SELECT pg_size_pretty(pg_database_size(current_database()))"
    )
    return Finding(
        "store", number.major >= 14, text if number.major >= 14 else f"{text}; version 14 or newer is needed"
    )


async def _extension(connection: asyncpg.Connection) -> Finding:
    version = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'postgis'")
    if version is None:
        version = await connection.fetchval(
            "SELECT default_version FROM pg_available_extensions WHERE name = 'postgis'"
        )
        if version is None:
            return Finding(
                "PostGIS", False, "not installed beside the database server (Debian: postgresql-15-postgis-3)"
            )
        return Finding("PostGIS", True, f"{version} can be created in this database")
    well = int(version.split(".")[0]) >= 3
    return Finding("PostGIS", well, version if well else f"{version}; version 3 or newer is needed")


async def _rights(connection: asyncpg.Connection) -> Finding:
    may = await connection.fetchval("SELECT has_schema_privilege(current_schema(), 'CREATE')")
    user = await connection.fetchval("SELECT current_user::text")
    text = (
        f"{user} may create tables" if may else f"{user} may not create tables; GRANT CREATE ON SCHEMA public TO {user}"
    )
    return Finding("rights", bool(may), text)


async def _version(connection: asyncpg.Connection) -> Finding:
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return Finding("schema", True, "none yet; the server will make it")
    return _schema("postgis", {row["version"]: row["checksum"] for row in await connection.fetch(APPLIED)})


async def _holder(connection: asyncpg.Connection) -> Finding:
    return _writer(await connection.fetchval(HOLDER, LOCK) is not None)


async def _apart(connection: asyncpg.Connection, clock: Callable[[], float]) -> Finding:
    theirs = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
    apart = abs(theirs - clock())
    return _judged("the database's clock", apart < CLOCK_S, f"{apart:.1f} s apart", "synchronise both")
