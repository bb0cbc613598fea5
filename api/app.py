"""Puts a server together, runs it, and takes it apart again without losing anything."""

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from types import FrameType

import structlog
import uvicorn

from api.assembly import assemble, restore, start, stop
from api.auth import Authenticator
from api.backend import use
from api.config import Config
from api.http_shell import HttpShell
from api.logs import configure_logs
from api.protocol import websocket_class
from api.services import Services
from api.warm import warm_up
from api.web import make_app
from storage import open_store
from tracker.errors import ConfigurationError, TrackerError
from tracker.hub import Hub

log = structlog.get_logger()


@asynccontextmanager
async def running(config: Config, clock: Callable[[], float] = time.time) -> AsyncIterator[Services]:
    """Everything of a server but its port."""
    authenticator = Authenticator(config)
    if config.redis:
        from api.cluster.instance import one_of_several  # a server alone does without

        async with one_of_several(config, clock, authenticator) as services:
            with use(services.publisher):
                yield services
        return
    store = open_store(config.store)
    await store.open()
    try:
        services = assemble(config, clock, store, Hub(asyncio.get_running_loop().call_soon), authenticator)
        await restore(services)
        tasks = await start(services)
        try:
            with use(services.publisher):
                yield services
        finally:
            await stop(services, tasks)
    finally:
        await store.close()


async def serve(config: Config, *, ready: Callable[[Services], Awaitable[None]] | None = None) -> None:
    """Run a server until it is told to stop; `ready` is awaited once it listens. Raises TrackerError."""
    configure_logs(config)
    Authenticator(config)  # wrong keys and a taken port are told at once, not after a minute of compiling
    with _bound_socket(config) as listener:
        warm_up()
        async with running(config) as services:
            settings = uvicorn.Config(
                make_app(services),
                ws=websocket_class(services),
                http=HttpShell,
                lifespan="off",
                access_log=False,  # it would print query strings, and so tokens
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=int(config.drain_s) + 1,
            )
            server = _Server(settings, services, ready)
            services.fail = server.fail
            gc.collect()
            gc.freeze()  # what is here stays; to search it for garbage holds the event loop up for 90 ms each time
            await server.serve([listener])
            await server.finish()
    log.info("stopped")


@contextmanager
def _bound_socket(config: Config) -> Iterator[socket.socket]:
    """A socket with the address, not listening yet, so that nobody connects too early. Raises ConfigurationError.

    It says that it is TCP: only then asyncio turns Nagle's algorithm off, which holds answers back for 40 ms.
    """
    with ExitStack() as opened:
        try:
            found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            bound = opened.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {config.host}:{config.port}: {error.strerror}; choose another host or port"
            ) from None
        yield bound


class _Server(uvicorn.Server):
    """Says when it listens; a signal ends it, and is then dealt with, so that what follows can end in peace."""

    def __init__(
        self, settings: uvicorn.Config, services: Services, ready: Callable[[Services], Awaitable[None]] | None
    ) -> None:
        super().__init__(settings)
        self._services = services
        self._ready = ready
        self._readying: asyncio.Future[None] | None = None
        self._failure: TrackerError | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        _, port, *_ = self.servers[0].sockets[0].getsockname()
        config = self._services.config
        log.info("listening", url=f"http://{config.host}:{port}", store=config.store_name)
        if self._ready:
            self._readying = asyncio.ensure_future(self._ready(self._services))
            self._readying.add_done_callback(self._stop_if_failed)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._services.draining = True
        self._captured_signals.clear()  # else uvicorn raises them again at its end

    async def finish(self) -> None:
        """End what `ready` began. Raises what it raised, or what the server failed with."""
        if self._readying:
            self._readying.cancel()
            with suppress(asyncio.CancelledError):
                await self._readying
        if self._failure:
            raise self._failure

    def fail(self, error: TrackerError) -> None:
        """Stop; `finish` raises the error."""
        self._failure = error
        self.should_exit = True

    def _stop_if_failed(self, readying: "asyncio.Future[None]") -> None:
        if not readying.cancelled() and readying.exception():
            self.should_exit = True
