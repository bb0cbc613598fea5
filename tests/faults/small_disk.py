"""A disk so small that it can be filled, for a database or a part of one."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.postgres import Server

CHUNK = bytes(65536)


class SmallDisk:
    """A file system of its own at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def full(self) -> Iterator[None]:
        """Without a free byte."""
        ballast = self.path / "ballast"
        try:
            with pytest.raises(OSError, match="No space left"):
                _write_without_end(ballast)
            yield
        finally:
            ballast.unlink()


def _write_without_end(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(CHUNK)


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """A tmpfs that everyone may use; the test is skipped where none may be mounted."""
    path = Path(tempfile.mkdtemp(prefix="tracker-disk-"))
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(path)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"needs a small file system, which only root may mount: {done.stderr.strip()}")
        try:
            yield SmallDisk(path)
        finally:
            subprocess.run(["umount", str(path)], check=True)
    finally:
        path.rmdir()


def move_wal(database: Server, disk: SmallDisk) -> None:
    """Have the write-ahead log on this disk from now on."""
    database.stop()
    wal, target = database.data / "pg_wal", disk.path / "pg_wal"
    owner = wal.stat()
    shutil.copytree(wal, target)
    for each in (target, *target.rglob("*")):
        os.chown(each, owner.st_uid, owner.st_gid)
    shutil.rmtree(wal)
    wal.symlink_to(target)
    database.start()


def use_up_wal(database: Server) -> None:
    """Go through the files of the log that are there already, until the database ends for want of room for another."""
    while not database.ended:
        with suppress(RuntimeError):
            database.execute("SELECT pg_logical_emit_message(true, '', '')")
            database.execute("SELECT pg_switch_wal()")


def move_tables(database: Server, disk: SmallDisk, url: str) -> None:
    """Have the tables of a database on this disk from now on."""
    tables, owner = disk.path / "tables", database.data.stat()
    tables.mkdir()
    os.chown(tables, owner.st_uid, owner.st_gid)
    database.execute(f"CREATE TABLESPACE small LOCATION '{tables}'")
    database.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET TABLESPACE small")
