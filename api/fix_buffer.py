"""Fixes that the server has not acknowledged yet, in batches; in a file they outlive the app."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tracker.messages import Fix, LocationBatch

MAX_BATCH = 300
"""Fixes in one message; so it stays below the 64 KiB a message may have."""

_fixes = msgspec.json.Decoder(list[Fix])


class FixBuffer:
    """A driver's fixes in the order they came. A batch never changes once it was taken: it is sent again as it was."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        """`path` is a file that belongs to one driver."""
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("CREATE TABLE IF NOT EXISTS batches (seq INTEGER PRIMARY KEY AUTOINCREMENT, fixes BLOB)")
        self._size = sum(len(_fixes.decode(body)) for (body,) in self._db.execute("SELECT fixes FROM batches"))
        self._open: tuple[int, list[Fix]] | None = None  # the newest batch, while it may still grow

    def __len__(self) -> int:
        return self._size

    def add(self, fixes: Iterable[Fix]) -> None:
        """Keep fixes until they are acknowledged."""
        waiting = list(fixes)
        self._size += len(waiting)
        self._db.execute("BEGIN")
        while waiting:
            if self._open is None or len(self._open[1]) >= MAX_BATCH:
                cursor = self._db.execute("INSERT INTO batches (fixes) VALUES (NULL)")
                assert cursor.lastrowid is not None
                self._open = (cursor.lastrowid, [])
            seq, batch = self._open
            room = MAX_BATCH - len(batch)
            batch += waiting[:room]
            del waiting[:room]
            self._db.execute("UPDATE batches SET fixes = ? WHERE seq = ?", (msgspec.json.encode(batch), seq))
        self._db.execute("COMMIT")

    def take(self) -> LocationBatch | None:
        """The oldest batch, which from now on stays as it is; None when nothing waits."""
        row = self._db.execute("SELECT seq, fixes FROM batches ORDER BY seq LIMIT 1").fetchone()
        if row is None:
            return None
        seq, body = row
        if self._open is not None and self._open[0] == seq:
            self._open = None
        return LocationBatch(seq=seq, fixes=_fixes.decode(body))

    def remove(self, batch: LocationBatch) -> None:
        """Forget a batch: it is stored, or the server will never take it."""
        if self._db.execute("DELETE FROM batches WHERE seq = ?", (batch.seq,)).rowcount:
            self._size -= len(batch.fixes or ())

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
