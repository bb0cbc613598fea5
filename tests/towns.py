"""A made-up town: a square of streets, some of them slow, and trips over it."""

import numpy as np

from geo.eta import Trips

SIDE, BLOCK_M = 12, 120.0


def trips(n: int, seed: int = 0, noise: float = 0.2) -> tuple[Trips, np.ndarray]:
    """n trips over the streets and the seconds (n,) they took: every street has its speed, and rush hour is slower."""
    town, rng = np.random.default_rng(99), np.random.default_rng(seed)
    slowness = np.exp(town.normal(0, 0.35, (4, SIDE, SIDE))) / np.where(np.arange(SIDE) % 4 == 0, 9.0, 4.5)
    minute, offset, columns, taken = rng.uniform(0, 10_080, n), [0], [], np.empty(n)
    for i in range(n):
        row, column = rng.integers(2, SIDE - 2, 2)
        steps, heading = [], int(rng.integers(4))
        for _ in range(int(rng.integers(5, 40))):
            heading = (heading + int(rng.choice([0, 0, 0, 1, 3]))) % 4
            down, right = ((0, 1), (1, 0), (0, -1), (-1, 0))[heading]
            if not (0 <= row + down < SIDE and 0 <= column + right < SIDE):
                heading = (heading + 2) % 4
                continue
            steps.append((heading, row, column, row + down, column + right))
            row, column = row + down, column + right
        hour = minute[i] % 1440 / 60
        rush = 1.0 + 0.5 * np.exp(-(((hour - 8.0) / 1.5) ** 2))
        taken[i] = sum(slowness[h, r, c] for h, r, c, _, _ in steps) * BLOCK_M * rush * np.exp(rng.normal(0, noise))
        columns += steps
        offset.append(len(columns))
    heading, row, column, row1, column1 = np.array(columns).T
    return (
        Trips.of(
            offset,
            (heading * SIDE + row) * SIDE + column,
            BLOCK_M,
            minute,
            road=(column % 4 == 0).astype(int),
            classes=("residential", "primary"),
            latitude=25.0 + np.stack([row, row1], 1) * BLOCK_M / 110_700,
            longitude=121.5 + np.stack([column, column1], 1) * BLOCK_M / 100_900,
        ),
        taken,
    )
