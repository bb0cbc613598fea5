"""A real server in a process of its own: start it, talk to it, kill it, start it again on the same store."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import jwt

from tests.ports import free_port

ROOT = Path(__file__).parents[1]
START_S = 30.0
STOP_S = 20.0


class LiveServer:
    """`python -m api serve` on a free port, which it keeps when it is started again."""

    def __init__(self, store_url: str, directory: Path, settings: dict[str, object]) -> None:
        self.secret = secrets.token_hex(32)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/api/v1/websocket/ws"
        self._directory = directory
        self._log = directory / "server.log"
        values = {"store": store_url, "port": self.port, "jwt_secret": self.secret, "drain_s": 0, **settings}
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
        self._env |= {f"TRACKER_{name.upper()}": str(value) for name, value in values.items()}
        self._env["PYTHONPATH"] = str(ROOT)

    @property
    def log(self) -> str:
        """What the server has logged so far, over all its starts."""
        return self._log.read_text("utf-8")

    def token(self, sub: str, role: str, *, ttl_s: float = 3600.0, **claims: object) -> str:
        """A token that this server accepts, as another back end would sign it."""
        payload = {"sub": sub, "role": role, "exp": time.time() + ttl_s, **claims}
        return jwt.encode(payload, self.secret, algorithm="HS256")

    async def start(self) -> None:
        """Start the process; returns when it is ready. Fails with the end of its log."""
        self.process = self.spawn()
        deadline = time.monotonic() + START_S
        async with httpx.AsyncClient() as http:
            while not await self._ready(http):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"the server did not start\n{self.log[-4000:]}")
                await asyncio.sleep(0.02)

    def spawn(self) -> subprocess.Popen[bytes]:
        """Begin a process, whatever becomes of it."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "api", "serve"],
                cwd=self._directory,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def _ready(self, http: httpx.AsyncClient) -> bool:
        try:
            return (await http.get(f"{self.url}/readyz")).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()

    async def stop(self) -> int:
        """End the process with SIGTERM. Returns its exit status. Fails with the end of its log when it hangs."""
        self.process.terminate()
        try:
            return await asyncio.to_thread(self.process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop\n{self.log[-4000:]}") from None


@asynccontextmanager
async def running_server(store_url: str, tmp_path: Path, **settings: object) -> AsyncIterator[LiveServer]:
    """A server on this store; settings are those of `api.config` and `tracker.settings`, by name."""
    server = LiveServer(store_url, tmp_path, settings)
    await server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            await server.stop()
