"""Tracks for tests: runs of fixes whose place and values follow from driver and time, so that a mix-up shows."""

import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from storage.segments import concatenate
from tracker.errors import Flag
from tracker.records import Floats, Track

T0 = 1_760_000_000.0


def run(driver_id: str, times: Sequence[float], *, kind: Flag = Flag.ACCEPTED, connected: bool = False) -> Track:
    """One run with fixes `times` seconds after T0, as precise as they are stored."""
    fix_time = np.round(T0 + np.asarray(times, np.float64), 3)
    rng = np.random.default_rng(zlib.crc32(driver_id.encode()))
    latitude, longitude = 25.0 + rng.random(), 121.5 + rng.random()
    seconds = fix_time - T0
    return Track(
        [driver_id],
        np.array([kind], np.uint8),
        np.array([connected]),
        np.array([0, len(fix_time)]),
        fix_time,
        np.round(latitude + seconds * 1e-6, 7),
        np.round(longitude - seconds * 1e-6, 7),
        np.where(seconds % 3 == 0, np.nan, np.round(seconds % 30.0, 2)),
        np.round(seconds % 360.0, 2) % 360.0,
        np.full(len(fix_time), np.nan),
    )


def runs(tracks: Iterable[Track]) -> Track:
    """Several runs as one track."""
    return concatenate(list(tracks))


def times(track: Track) -> list[float]:
    """Seconds after T0 of all its fixes."""
    return [round(time - T0, 3) for time in track.fix_time.tolist()]


def fixes(track: Track) -> Floats:
    """(k, 6) everything it knows of each fix."""
    columns = (track.fix_time, track.latitude, track.longitude, track.speed, track.course, track.accuracy)
    return np.stack(columns, axis=1)


def same(one: Track, other: Track) -> bool:
    """Whether both have the same runs and fixes; not known equals not known."""
    return (
        list(one.driver_id) == list(other.driver_id)
        and np.array_equal(one.kind, other.kind)
        and np.array_equal(one.connected, other.connected)
        and np.array_equal(one.offset, other.offset)
        and np.array_equal(fixes(one), fixes(other), equal_nan=True)
    )
