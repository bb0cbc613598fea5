"""Fixtures of all tests: a private PostgreSQL, and a fresh store of each kind."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.postgres import Server, private_server
from tests.redis_server import RedisServer, private_redis

hypothesis.settings.register_profile("tracker", deadline=None)  # a test's first example may compile a kernel
hypothesis.settings.load_profile("tracker")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One PostgreSQL server for the whole run."""
    with private_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """A fresh database with PostGIS."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A fresh Redis."""
    with private_redis() as server:
        yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A GeoPackage that does not exist yet."""
    return f"sqlite:///{tmp_path}/tracker.gpkg"


@pytest.fixture(params=["geopackage", "postgis"])
def store_url(request: pytest.FixtureRequest) -> str:
    """An empty store; the test runs once for each kind."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "geopackage" else "postgres_url")
    return url
