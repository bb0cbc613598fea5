"""The doctor finds what is wrong, and changes nothing."""

import time

import asyncpg
import pytest

from api.config import Config
from api.doctor import examine
from storage import open_store
from tests.redis_server import RedisServer

SECRET = "0123456789abcdef0123456789abcdef"


async def findings(store: str, now: float | None = None, **settings: str) -> dict[str, tuple[bool, str]]:
    config = Config(store=store, jwt_secret=SECRET, **settings)
    found = await examine(config, time.time if now is None else lambda: now)
    return {finding.name: (finding.well, finding.text) for finding in found}


async def test_a_database_without_and_with_a_store(postgres_url: str):
    found = await findings(postgres_url)
    assert {name for name, (well, _) in found.items() if not well} == set()
    assert found["schema"][1] == "none yet; the server will make it"
    store = open_store(postgres_url)
    await store.open()
    found = await findings(postgres_url, now=time.time() - 60)
    assert found["writer's lock"][1] == "held by a running server"
    assert {name for name, (well, _) in found.items() if not well} == {"the database's clock"}
    assert found["schema"][1].startswith("version ")
    await store.close()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1")
    await connection.close()
    found = await findings(postgres_url)
    assert not found["schema"][0]
    assert found["writer's lock"][1] == "free"


async def test_redis_is_looked_at_where_several_instances_are_meant(sqlite_url: str, redis: RedisServer):
    assert "Redis" not in await findings(sqlite_url)
    assert (await findings(sqlite_url, redis=redis.url))["Redis"][0]
    well, text = (await findings(sqlite_url, redis="redis://:hidden@127.0.0.1:1"))["Redis"]
    assert not well
    assert "hidden" not in text


async def test_a_file_and_what_may_be_wrong_with_it(sqlite_url: str, tmp_path):
    found = await findings(sqlite_url)
    assert found["store"] == (True, f"{tmp_path}/tracker.gpkg will be made by the first start")
    store = open_store(sqlite_url)
    await store.open()
    found = await findings(sqlite_url)
    assert found["store"][0]
    assert found["writer's lock"][1] == "held by a running server"
    await store.close()
    (tmp_path / "other.gpkg").write_text("no database " * 100)
    assert not (await findings(f"sqlite:///{tmp_path}/other.gpkg"))["store"][0]


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [({"jwt_secret": "short"}, "tokens"), ({"store": "postgresql://nobody@127.0.0.1:1/x"}, "store")],
)
async def test_what_is_wrong_is_named_with_what_to_do(sqlite_url: str, settings: dict[str, str], wrong: str):
    config = Config(**({"store": sqlite_url, "jwt_secret": SECRET} | settings))
    (finding,) = [finding for finding in await examine(config, time.time) if finding.name == wrong]
    assert not finding.well
    assert len(finding.text) > 20


async def test_a_clock_before_the_programme_was_made_is_wrong(sqlite_url: str):
    assert not (await findings(sqlite_url, now=1.0))["clock"][0]
