"""What survives: the Store protocol, the embedded GeoPackage store and PostGIS."""

from pathlib import Path

from storage.geopackage import GeoPackage
from storage.postgis import PostGIS
from storage.store import Commit, Committed, Snapshot, Store
from storage.writer import Writer
from tracker.errors import ConfigurationError

__all__ = ["Commit", "Committed", "Snapshot", "Store", "Writer", "open_store"]


def open_store(url: str) -> Store:
    """The store behind a URL, sqlite:///path or postgresql://…; not opened yet. Raises ConfigurationError."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return GeoPackage(Path(rest[1:]))
    if scheme in ("postgresql", "postgres"):
        return PostGIS(url)
    raise ConfigurationError(
        "the store must be given as sqlite:///path/to/file.gpkg or postgresql://user@host/database", field="store"
    )
