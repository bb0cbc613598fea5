import asyncio
import gc
import socket
from contextlib import suppress

import pytest

from api.app import _bound_socket, running, serve
from api.config import Config
from storage.store import Commit
from tests.fixes import T0, batch
from tests.site import SECRET
from tests.tracker.test_deliveries import order
from tracker.engine import Engine
from tracker.errors import ConfigurationError, StoreInUse
from tracker.settings import EngineSettings


def config(sqlite_url: str, **settings) -> Config:
    return Config(store=sqlite_url, jwt_secret=SECRET, port=0, drain_s=0.0, **settings)


async def test_a_server_goes_on_where_its_store_ends(sqlite_url: str) -> None:
    async with running(config(sqlite_url)) as services:
        engine = Engine(EngineSettings())
        updates = engine.ingest(batch(engine, "d", [0.0, 1.0, 2.0], [0.0, 10.0, 20.0]))
        await services.line.commit(Commit(track=updates.track, save=[order("o1"), order("o2", status="delivered")]))
    async with running(config(sqlite_url)) as services:
        assert set(services.engine.orders) == {"o1"}
        (latest,) = services.engine.latest()
        assert (latest.driver_id, latest.fix_time) == ("d", T0 + 2)


async def test_nothing_starts_without_a_secret(sqlite_url: str) -> None:
    with pytest.raises(ConfigurationError, match="jwt_secret"):
        async with running(Config(store=sqlite_url)):
            pass


async def test_one_store_has_one_server(sqlite_url: str) -> None:
    async with running(config(sqlite_url)):
        with pytest.raises(StoreInUse):
            async with running(config(sqlite_url)):
                pass


async def test_what_fails_once_the_server_listens_stops_it(sqlite_url: str) -> None:
    async def fail(services) -> None:
        raise ConfigurationError("no fleet today")

    async with asyncio.timeout(300):
        with pytest.raises(ConfigurationError, match="no fleet today"):
            await serve(config(sqlite_url), ready=fail)


async def test_what_is_there_before_the_first_client_is_not_searched_for_garbage(sqlite_url: str) -> None:
    async def look(services) -> None:
        try:
            assert gc.get_freeze_count() > len(gc.get_objects())
        finally:
            gc.unfreeze()
        raise ConfigurationError("seen")

    async with asyncio.timeout(300):
        with pytest.raises(ConfigurationError, match="seen"):
            await serve(config(sqlite_url), ready=look)


async def test_a_server_that_lost_its_store_to_another_stops(sqlite_url: str, monkeypatch) -> None:
    async def refuse(commit: Commit) -> None:
        raise StoreInUse

    async def lose(services) -> None:
        monkeypatch.setattr(services.store, "commit", refuse)
        with suppress(StoreInUse):
            await services.line.commit(Commit())
        await asyncio.Event().wait()

    async with asyncio.timeout(300):
        with pytest.raises(StoreInUse):
            await serve(config(sqlite_url), ready=lose)


async def test_answers_are_not_held_back(sqlite_url: str) -> None:
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        option = (socket.IPPROTO_TCP, socket.TCP_NODELAY)
        accepted.set_result(writer.get_extra_info("socket").getsockopt(*option))
        writer.close()

    with _bound_socket(config(sqlite_url)) as bound:
        async with await asyncio.start_server(look, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            assert await accepted == 1
            writer.close()
            await writer.wait_closed()
