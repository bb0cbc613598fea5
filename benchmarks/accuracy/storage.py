"""E1: how many fewer vertices a stored track has within 10 m, and how far its fixes are from it."""

from collections.abc import Iterator

import numpy as np

from benchmarks.accuracy.data import Ride, whu
from benchmarks.accuracy.report import Row
from geo.earth import distance, metres_per_degree
from geo.simplify import simplify
from tracker.records import Floats, Ints

BOUND_M = 10.0

Vertices = tuple[Ints, Floats, Floats]


def measure() -> Iterator[Row]:
    """E1 on the phones' own fixes at 1 Hz: ours, top-down (TD-TR) and opening window (OPW-TR)."""
    rides = whu()
    fixes = sum(len(ride.time) for ride in rides)
    figures = []
    for method in (ours, top_down, opening_window):
        tracks = [method(ride) for ride in rides]
        worst = max(float(off(ride, track).max()) for ride, track in zip(rides, tracks, strict=True))
        figures.append((fixes / sum(len(index) for index, _, _ in tracks), worst))
    (ratio, worst), (top, top_worst), (window, window_worst) = figures
    yield Row("E1", f"fixes a vertex, bound {BOUND_M:.0f} m (raw: TD-TR)", ratio, ">= 14", top, window)
    yield Row("E1", "synchronous distance, maximum m (raw: TD-TR)", worst, f"<= {BOUND_M}", top_worst, window_worst)


def ours(ride: Ride) -> Vertices:
    return simplify(ride.time, ride.latitude, ride.longitude, BOUND_M)


def off(ride: Ride, track: Vertices) -> Floats:
    """Metres from each fix to the track at its time."""
    index, latitude, longitude = track
    there = (np.interp(ride.time, ride.time[index], column) for column in (latitude, longitude))
    metres: Floats = distance(ride.latitude, ride.longitude, *there)
    return metres


def top_down(ride: Ride) -> Vertices:
    """TD-TR (Meratnia, de By, 2004): split at the furthest fix until all are within the bound."""
    kept, open_parts = {0, len(ride.time) - 1}, [(0, len(ride.time) - 1)]
    while open_parts:
        a, b = open_parts.pop()
        far = _within(ride, a, b)
        if len(far) and far.max() > BOUND_M:
            middle = a + 1 + int(far.argmax())
            kept.add(middle)
            open_parts += [(a, middle), (middle, b)]
    return _of(ride, sorted(kept))


def opening_window(ride: Ride) -> Vertices:
    """OPW-TR (Meratnia, de By, 2004): as far as the bound allows, then on from the fix before."""
    kept, b = [0], 2
    while b < len(ride.time):
        if (_within(ride, kept[-1], b) > BOUND_M).any():
            kept.append(b - 1)
        b += 1
    return _of(ride, [*kept, len(ride.time) - 1])


def _of(ride: Ride, kept: list[int]) -> Vertices:
    index = np.array(kept)
    return index, ride.latitude[index], ride.longitude[index]


def _within(ride: Ride, a: int, b: int) -> Floats:
    """Metres from each fix strictly between two to the line between these at its time."""
    t = (ride.time[a + 1 : b] - ride.time[a]) / (ride.time[b] - ride.time[a])
    north, east = metres_per_degree(ride.latitude[a])
    lat, lon = ride.latitude, ride.longitude
    y = (lat[a + 1 : b] - lat[a] - t * (lat[b] - lat[a])) * north
    x = (lon[a + 1 : b] - lon[a] - t * (lon[b] - lon[a])) * east
    return np.hypot(x, y)
