"""Fewer vertices for a track, none of its fixes further from it than a bound: one pass, constant work and memory a fix.

The distance is the synchronous one: from a fix to where the simplified track says the driver was then. A segment
may leave the last vertex at any velocity that passes each fix since then within the bound: a disk of velocities a
fix, which shrinks with time. It goes on as long as these disks have a point in common, and ends on one of the common
velocities; the new vertex has the time of a fix and need not be where that was. This is cone intersection in its weak
form (Lin et al., One-pass trajectory simplification using the synchronous Euclidean distance, VLDB Journal 2019). For a
disk stands a regular polygon inside it, so that the common part never has more sides than that.
"""

from math import inf

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled, helper
from geo.earth import metric_scale, wrapped

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MAX_BOUND_M = 10_000.0
SIDES = 16
"""Of the polygon that stands for a disk; it reaches cos(pi / SIDES) of the bound in the worst direction."""
SHARE = 0.994
"""Of the bound that is used, so that it also holds for who measures on a sphere of 6371 km."""
LONGEST_S = 86_400.0
"""No segment is longer than this; it keeps rounding errors far below the bound."""
EXACT_LATITUDE, EXACT_DEGREES = 89.9, 90.0
"""Closer to a pole, or further from the last vertex in longitude, fixes stay where they are."""

_TURNS = np.arange(SIDES) * 2 * np.pi / SIDES
_CORNER_X, _CORNER_Y = np.cos(_TURNS), np.sin(_TURNS)
_SIDE_X, _SIDE_Y = np.cos(_TURNS + np.pi / SIDES), np.sin(_TURNS + np.pi / SIDES)
_INNER = float(np.cos(np.pi / SIDES))

# The state of a stream: its last vertex and the scale there, the last fix, the corners of the common part in m/s
_TIME, _LATITUDE, _LONGITUDE, _NORTH, _EAST, _LAST_TIME, _LAST_LATITUDE, _LAST_LONGITUDE, _SEEN, _CORNERS = range(10)
_ROOM = SIDES + 4
_X, _Y = 10, 10 + _ROOM
_FIELDS = 10 + 2 * _ROOM


def simplify(
    time: Floats, latitude: Floats, longitude: Floats, bound_m: float, keep: Bools | None = None
) -> tuple[Ints, Floats, Floats]:
    """The vertices of a simplified track: the fix whose time each has, and its latitude and longitude, degrees; (k,).

    Fixes are columns (n,) by time, each time once. No fix is more than `bound_m` metres from the simplified track at
    its time, interpolated linearly in latitude and longitude, the short way round. The first fix, the last, and
    those in `keep` (n,) stay vertices where they are. Raises ValueError for a bound that is none.
    """
    kept = np.zeros(len(time), np.bool_) if keep is None else keep.copy()
    kept[-1:] = True
    return Simplifier(bound_m).extend(time, latitude, longitude, kept)


class Simplifier:
    """A track simplified as it comes in, in constant memory."""

    def __init__(self, bound_m: float) -> None:
        if not 0.0 < bound_m <= MAX_BOUND_M:
            raise ValueError(f"the bound must be greater than 0 and at most {MAX_BOUND_M:g} m")
        self._bound = bound_m
        self._state = np.zeros(_FIELDS)

    def extend(
        self, time: Floats, latitude: Floats, longitude: Floats, keep: Bools | None = None
    ) -> tuple[Ints, Floats, Floats]:
        """The next fixes, columns (n,); returns the vertices that are certain by now, as `simplify` does.

        Indices count from the first fix of the stream.
        """
        keep = np.zeros(len(time), np.bool_) if keep is None else keep
        time, latitude, longitude = np.array([time, latitude, longitude], np.float64)  # of one kind, to compile once
        return _extend(self._state, time, latitude, longitude, keep, self._bound)

    def end(self) -> tuple[Ints, Floats, Floats]:
        """The vertex at the time of the last fix, unless it is one already; within the bound of that fix."""
        return _end(self._state)


@compiled
def _extend(
    state: Floats, time: Floats, latitude: Floats, longitude: Floats, keep: Bools, bound: float
) -> tuple[Ints, Floats, Floats]:
    n = len(time)
    index, lat, lon = np.empty(2 * n, np.int64), np.empty(2 * n), np.empty(2 * n)
    room = np.empty((2, 2, _ROOM))
    k = 0
    for i in range(n):
        fix = time[i], latitude[i], longitude[i]
        first = state[_SEEN] == 0.0
        if not first and not _narrow(state, room, fix, bound, keep[i]):
            index[k], lat[k], lon[k] = _turn(state, fix)
            k += 1
            _narrow(state, room, fix, bound, keep[i])
        if first or keep[i]:
            index[k], lat[k], lon[k] = int(state[_SEEN]), latitude[i], longitude[i]
            k += 1
            _start(state, fix)
        state[_LAST_TIME], state[_LAST_LATITUDE], state[_LAST_LONGITUDE] = fix
        state[_SEEN] += 1.0
    return index[:k], lat[:k], lon[:k]


@compiled
def _end(state: Floats) -> tuple[Ints, Floats, Floats]:
    index, lat, lon = np.empty(1, np.int64), np.empty(1), np.empty(1)
    if state[_CORNERS] == 0.0:
        return index[:0], lat[:0], lon[:0]
    index[0], lat[0], lon[0] = _turn(state, (state[_LAST_TIME], state[_LAST_LATITUDE], state[_LAST_LONGITUDE]))
    return index, lat, lon


@helper
def _start(state: Floats, vertex: tuple[float, float, float]) -> None:
    """Begin a segment."""
    state[_TIME], state[_LATITUDE], state[_LONGITUDE] = vertex
    north, east = metric_scale(vertex[1])
    state[_NORTH], state[_EAST] = north, max(east, 1.0)  # any scale but zero will do at a pole
    state[_CORNERS] = 0.0


@helper
def _velocity(state: Floats, fix: tuple[float, float, float]) -> tuple[float, float]:
    """From the last vertex to a fix, m/s east and north in the metric frame of the vertex."""
    seconds = fix[0] - state[_TIME]
    east = wrapped(fix[2] - state[_LONGITUDE]) * state[_EAST]
    return east / seconds, (fix[1] - state[_LATITUDE]) * state[_NORTH] / seconds


@helper
def _narrow(state: Floats, room: Floats, fix: tuple[float, float, float], bound: float, exact: bool) -> bool:
    """Let the segment go on past one more fix, or through it when `exact`; False, and no change, when it cannot."""
    n = int(state[_CORNERS])
    seconds, far = fix[0] - state[_TIME], abs(wrapped(fix[2] - state[_LONGITUDE])) > EXACT_DEGREES
    if n > 0 and (far or seconds > LONGEST_S):
        return False
    x, y = _velocity(state, fix)
    if n > 0 and exact and _nearest(state, x, y) != (x, y):
        return False
    margin = bound / state[_NORTH]
    north, east = metric_scale(max(abs(fix[1]) - margin, 0.0))  # of all places within the bound the widest degrees
    radius = SHARE * bound * min(1.0, state[_NORTH] / north, state[_EAST] / east) / seconds
    if far or abs(fix[1]) + margin > EXACT_LATITUDE:
        radius = 0.0
    if n == 0:
        state[_CORNERS] = SIDES
        for j in range(SIDES):
            state[_X + j], state[_Y + j] = x + radius * _CORNER_X[j], y + radius * _CORNER_Y[j]
        return True
    within = True
    for j in range(n):
        within &= (state[_X + j] - x) ** 2 + (state[_Y + j] - y) ** 2 <= radius * radius
    return within or _clip(state, room, n, x, y, radius)


@helper
def _clip(state: Floats, room: Floats, n: int, x: float, y: float, radius: float) -> bool:
    """Cut the common part down to what lies in the polygon of a disk; False, and no change, when nothing does.

    One half-plane after the other (Sutherland, Hodgman, Reentrant polygon clipping, 1974).
    """
    now = 0
    for j in range(n):
        room[0, 0, j], room[0, 1, j] = state[_X + j], state[_Y + j]
    for side in range(SIDES):
        limit = _SIDE_X[side] * x + _SIDE_Y[side] * y + radius * _INNER
        px, py, qx, qy = room[now, 0], room[now, 1], room[1 - now, 0], room[1 - now, 1]
        x0, y0 = px[n - 1], py[n - 1]
        out0 = _SIDE_X[side] * x0 + _SIDE_Y[side] * y0 - limit
        m, cut = 0, False
        for j in range(n):
            x1, y1 = px[j], py[j]
            out1 = _SIDE_X[side] * x1 + _SIDE_Y[side] * y1 - limit
            if m + 2 > _ROOM:
                return False
            if (out0 > 0.0) != (out1 > 0.0):
                share = out0 / (out0 - out1)
                qx[m], qy[m] = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
                m += 1
            if out1 > 0.0:
                cut = True
            else:
                qx[m], qy[m] = x1, y1
                m += 1
            x0, y0, out0 = x1, y1, out1
        if m == 0:
            return False
        if cut:
            now, n = 1 - now, m
    for j in range(n):
        state[_X + j], state[_Y + j] = room[now, 0, j], room[now, 1, j]
    state[_CORNERS] = n
    return True


@helper
def _nearest(state: Floats, x: float, y: float) -> tuple[float, float]:
    """The velocity of the common part nearest to another; that one itself where it belongs to it."""
    n = int(state[_CORNERS])
    inside, best, best_x, best_y = True, inf, x, y  # inside: the corners turn left around it
    x0, y0 = state[_X + n - 1], state[_Y + n - 1]
    for j in range(n):
        x1, y1 = state[_X + j], state[_Y + j]
        dx, dy = x1 - x0, y1 - y0
        inside &= dx * (y - y0) - dy * (x - x0) > 0.0
        square = dx * dx + dy * dy
        share = min(max(((x - x0) * dx + (y - y0) * dy) / square, 0.0), 1.0) if square > 0.0 else 0.0
        near_x, near_y = x0 + share * dx, y0 + share * dy
        off = (near_x - x) ** 2 + (near_y - y) ** 2
        if off < best:
            best, best_x, best_y = off, near_x, near_y
        x0, y0 = x1, y1
    if inside:
        return x, y
    return best_x, best_y


@helper
def _turn(state: Floats, towards: tuple[float, float, float]) -> tuple[int, float, float]:
    """End the segment at the time of the last fix, as near as may be on the way to a fix, and begin the next there."""
    x, y = _velocity(state, towards)
    x, y = _nearest(state, x, y)
    seconds = state[_LAST_TIME] - state[_TIME]
    latitude = min(max(state[_LATITUDE] + y * seconds / state[_NORTH], -90.0), 90.0)  # rounding at a pole
    longitude = wrapped(state[_LONGITUDE] + x * seconds / state[_EAST])
    _start(state, (state[_LAST_TIME], latitude, longitude))
    return int(state[_SEEN]) - 1, latitude, longitude
