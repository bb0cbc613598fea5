"""Parts that are made, set going and ended lose nothing."""

import asyncio
import time

from api.assembly import assemble, restore, start, stop
from api.auth import Authenticator
from api.config import Config
from storage import open_store
from storage.store import Commit
from tests.site import SECRET
from tests.sockets import an_order
from tracker.hub import Hub


async def test_what_is_put_in_before_the_end_is_there_after_it(sqlite_url: str):
    config = Config(jwt_secret=SECRET, store=sqlite_url)
    for begun in (False, True):
        store = open_store(config.store)
        await store.open()
        try:
            services = assemble(config, time.time, store, Hub(), Authenticator(config))
            await restore(services)
            assert ("O1" in services.engine.orders) is begun
            tasks = await start(services)
            committed = asyncio.ensure_future(services.line.commit(Commit(save=[an_order()])))
            await asyncio.sleep(0)
            await stop(services, tasks)
            await committed
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.done() for task in tasks)
        finally:
            await store.close()
