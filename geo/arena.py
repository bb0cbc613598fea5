"""Rows of many owners in one array, so that compiled code reaches them: blocks that are freed are used again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Arena:
    """Blocks of 2**k rows. Freeing and taking cost nothing like the size; the array doubles when it is full."""

    def __init__(self, dtype: Any, *columns: int) -> None:
        self.rows: NDArray[Any] = np.zeros((64, *columns), dtype)
        self._used = 0
        self._free: dict[int, list[int]] = {}

    def take(self, n: int) -> tuple[int, int]:
        """Where a block for at least n rows starts, and how many fit."""
        size = 1 << max(n - 1, 0).bit_length()
        free = self._free.get(size)
        if free:
            return free.pop(), size
        start = self._used
        if start + size > len(self.rows):
            more = max(len(self.rows), size)
            self.rows = np.concatenate([self.rows, np.zeros((more, *self.rows.shape[1:]), self.rows.dtype)])
        self._used += size
        return start, size

    def give(self, start: int, size: int) -> None:
        """A block is free again."""
        self._free.setdefault(size, []).append(start)
