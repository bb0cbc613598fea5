"""A private Redis for tests: no disk, a socket in a directory of its own, killed and started again at will."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as NotThere

MISSING = "The tests need Redis: install the Debian package redis-server."


class RedisServer:
    """`redis-server` on a Unix socket."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError(MISSING)
        self._program = program
        self._path = directory / "redis.sock"
        self.url = f"unix://{self._path}"
        self.client = Redis(unix_socket_path=str(self._path))

    def start(self) -> None:
        """Start, empty, and return when it answers."""
        settings = ["--port", "0", "--unixsocket", str(self._path), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([self._program, *settings], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except NotThere:
            return False

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would; it forgets everything."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.client.connection_pool.disconnect()

    def heard(self, channel_part: str) -> dict[str, int]:
        """How many connections are subscribed to each channel whose name has this part."""
        channels = [c.decode() for c in self.client.pubsub_channels(f"*{channel_part}*")]
        return {name.decode(): count for name, count in self.client.pubsub_numsub(*channels)} if channels else {}


@contextmanager
def private_redis() -> Iterator[RedisServer]:
    """A running Redis, removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="tracker-redis-"))
    try:
        server = RedisServer(directory)
        server.start()
        try:
            yield server
        finally:
            server.kill()
            server.client.close()
    finally:
        shutil.rmtree(directory)
