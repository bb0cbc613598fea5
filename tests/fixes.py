"""Fixes for tests: straight drives in metres around a place in Taipei."""

import numpy as np

from geo.earth import metres_per_degree
from tracker.engine import Engine
from tracker.records import FixBatch, Floats

LATITUDE, LONGITUDE = 25.0330, 121.5654
T0 = 1_760_000_000.0


def place(east: Floats | float, north: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Latitude and longitude of points so many metres from the place."""
    per_north, per_east = metres_per_degree(LATITUDE)
    east, north = np.broadcast_arrays(np.asarray(east, float), np.asarray(north, float))
    return LATITUDE + north / per_north, LONGITUDE + east / per_east


def batch(engine: Engine, driver_id: str | list[str], t, east, north=0.0, *, received_at=None, **columns) -> FixBatch:
    """Fixes of one driver, or of one driver each, `t` seconds after T0; columns are speed, course, accuracy."""
    t = np.atleast_1d(np.asarray(t, float))
    n = len(t)
    ids = [driver_id] * n if isinstance(driver_id, str) else driver_id
    latitude, longitude = place(np.broadcast_to(east, n), np.broadcast_to(north, n))
    column = {
        name: np.broadcast_to(np.asarray(columns.get(name, np.nan), float), n).copy()
        for name in ("speed", "course", "accuracy")
    }
    return FixBatch(
        driver=np.array([engine.driver_row(d) for d in ids], np.int64),
        fix_time=T0 + t,
        latitude=latitude,
        longitude=longitude,
        received_at=np.broadcast_to(T0 + t if received_at is None else np.asarray(received_at, float), n).copy(),
        **column,
    )


def split(whole: FixBatch, index) -> FixBatch:
    """Some of a batch."""
    return FixBatch(*(getattr(whole, name)[index] for name in FixBatch.__slots__))
