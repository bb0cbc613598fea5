"""How long to wait before the next attempt."""

import random

_FIRST_S = 0.05
_CAP_S = 2.0


def pause(attempt: int) -> float:
    """Seconds before attempt 1, 2, …: anything up to a bound that doubles and is capped (full jitter)."""
    return random.uniform(0.0, min(_CAP_S, _FIRST_S * 2.0 ** min(attempt, 16)))  # noqa: S311 no secret
