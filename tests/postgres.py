"""A private PostgreSQL with PostGIS for one test run: its own directory and port, thrown away at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.ports import free_port

MISSING = (
    "The tests need PostgreSQL with PostGIS: install the Debian packages "
    "postgresql-15 and postgresql-15-postgis-3 (or the ones of your release)."
)
TEMPLATE = "tracker_template"


def binaries() -> Path:
    """The directory of initdb and postgres. Fails the test run with one sentence when PostgreSQL is not installed."""
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    on_path = shutil.which("initdb")
    for directory in [*newest_first, *([Path(on_path).resolve().parent] if on_path else [])]:
        if (directory / "initdb").exists():
            return directory
    raise RuntimeError(MISSING)


def _user() -> pwd.struct_passwd:
    """Who runs the server: whoever runs the tests, but never root, which PostgreSQL refuses."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Server:
    """One PostgreSQL server in a directory of its own. With `fsync` off it is faster, and survives no power cut."""

    def __init__(self, directory: Path, *, fsync: bool = False) -> None:
        self.data = directory / "data"
        self._fsync = fsync
        self._bin = binaries()
        self._numbers = count(1)
        self.port = free_port()
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")

    def start(self) -> None:
        """Start, and return when it takes connections."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.data.parent,
            "fsync": "on" if self._fsync else "off",
            "shared_buffers": "128MB",
            "max_wal_size": "2GB",
            "autovacuum_naptime": "10min",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run("pg_ctl", "start", "-w", "-t", "60", "-D", self.data, "-l", self.data.parent / "log", "-o", options)

    def stop(self) -> None:
        """Stop at once."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self.data)

    @property
    def log(self) -> str:
        """What the server has logged so far, over all its starts."""
        return (self.data.parent / "log").read_text("utf-8")

    @property
    def ended(self) -> bool:
        """Whether the server has given up by itself."""
        return not (self.data / "postmaster.pid").exists()

    def kill(self) -> None:
        """Kill -9 every process of the server, as a crash would."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGSTOP)  # so that it starts no others
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in [*map(int, children), postmaster]:
            os.kill(pid, signal.SIGKILL)
        for pid in [*map(int, children), postmaster]:
            while _alive(pid):
                time.sleep(0.01)
        for lock in (self.data / "postmaster.pid", *self.data.parent.glob(".s.PGSQL.*.lock")):
            lock.unlink()  # a container may keep the dead process as a zombie, which looks alive to the next start

    def url(self, database: str) -> str:
        """Where clients connect."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> None:
        """Run one statement as the superuser."""
        command = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        self._run("psql", *command, "-d", database, "-c", sql)

    def make_template(self) -> None:
        """Prepare a database with PostGIS, to be copied for each test."""
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        try:
            self.execute("CREATE EXTENSION postgis", TEMPLATE)
        except RuntimeError as error:
            raise RuntimeError(f"{MISSING} {error}") from error

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a fresh database, dropped afterwards."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _run(self, program: str, *arguments: object) -> None:
        user = _user()
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
        command = [str(self._bin / program), *map(str, arguments)]
        with tempfile.TemporaryFile() as output:  # not a pipe: the server that pg_ctl leaves behind would hold it open
            done = subprocess.run(command, cwd="/", stdout=output, stderr=output, check=False, **as_user)
            output.seek(0)
            if done.returncode:
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace').strip()}")


@contextmanager
def private_server(*, fsync: bool = False) -> Iterator[Server]:
    """A running server with the template database, removed afterwards."""
    binaries()
    user = _user()
    directory = Path(tempfile.mkdtemp(prefix="tracker-postgres-"))
    os.chown(directory, user.pw_uid, user.pw_gid)
    try:
        server = Server(directory, fsync=fsync)
        server.start()
        try:
            server.make_template()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)
