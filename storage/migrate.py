"""The schema's numbered .sql files: which there are, and which a store still lacks."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from tracker.errors import ConfigurationError

Dialect = Literal["postgis", "sqlite"]

HISTORY = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version integer PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
    )"""
APPLIED = "SELECT version, checksum FROM schema_migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema, from `sql/<dialect>/<version>_<what it does>.sql`."""

    version: int
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def record(self) -> str:
        """The statement that notes this migration as applied."""
        return f"INSERT INTO schema_migrations (version, checksum) VALUES ({self.version}, '{self.checksum}')"  # noqa: S608


def migrations(dialect: Dialect) -> list[Migration]:
    """Every migration of a dialect, in order."""
    scripts = (path for path in files("storage").joinpath("sql", dialect).iterdir() if path.name.endswith(".sql"))
    return sorted(
        (Migration(int(path.name.split("_")[0]), path.read_text("utf-8")) for path in scripts),
        key=lambda migration: migration.version,
    )


def pending(known: list[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """What has to be applied, given the checksum of each version applied before.

    Raises ConfigurationError when the store was made by a newer tracker or a migration was changed afterwards.
    """
    newest = known[-1].version
    if applied and max(applied) > newest:
        raise ConfigurationError(
            f"the store has schema version {max(applied)}, this tracker knows up to {newest}: "
            "start the tracker version that made it, or a newer one"
        )
    for migration in known:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise ConfigurationError(
                f"migration {migration.version} was changed after it was applied to this store: "
                "restore the file, and put the change into a new migration"
            )
    return [migration for migration in known if migration.version not in applied]


def check(known: list[Migration], applied: Mapping[int, str]) -> None:
    """Raises ConfigurationError where a store cannot be read as it is."""
    if pending(known, applied):
        raise ConfigurationError("the store has an older schema; run `tracker migrate` first", field="store")
