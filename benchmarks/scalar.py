"""The same tick as the engine's in plain Python, a fix at a time: what its speed is measured against.

Textbook steps with dictionaries and floats, of no use but for comparison: a gate, a constant-velocity Kalman filter
(Bar-Shalom, Li, Kirubarajan, 2001, 6.2.2), geofences by the crossings of a leg with what lies in its grid cells, and
arrivals by standing or staying inside. A test holds it against the engine on traffic that leaves no doubt.
"""

from collections import defaultdict
from math import cos, floor, hypot, inf, isfinite, radians, sqrt
from typing import NamedTuple

from tracker.errors import Flag
from tracker.records import Geofence, Order

METRES_PER_DEGREE = 111_195.0
CELL = 0.01  # degrees
GATE = 16.0
RESET_S = 120.0
MARGIN_M = 10.0
ARRIVAL_RADIUS_M, APPROACHING_M, ARRIVAL_MPS, ARRIVAL_S, DEPARTED_M = 50.0, 500.0, 2.0, 20.0, 30.0


class Fix(NamedTuple):
    """One fix, as the engine's columns hold it."""

    driver: int
    fix_time: float
    latitude: float
    longitude: float
    speed: float
    course: float
    accuracy: float
    received_at: float


class Happened(NamedTuple):
    """A transition or a status of an order."""

    driver: int
    subject: str
    kind: str
    occurred_at: float


class _Driver:
    """What is known of a driver."""

    def __init__(self) -> None:
        self.newest = -inf
        self.time = -inf
        self.latitude = self.longitude = self.east = self.north = 0.0
        self.p = self.c = self.v = 0.0
        self.inside: dict[str, float] = {}  # geofence: when he last went out of it, inf inside
        self.orders: list[_Stop] = []


class _Stop:
    """An order's destination, and how far it is."""

    def __init__(self, order: Order) -> None:
        place = order.destination
        self.order_id = order.order_id
        self.area = Geofence(
            geofence_id=order.order_id,
            type="Point",
            coordinates=[place.longitude, place.latitude],
            radius=place.radius or ARRIVAL_RADIUS_M,
        )
        self.stage = 0
        self.entered_at = self.left_at = inf


class ScalarEngine:
    """Drivers, geofences and orders of a fleet."""

    def __init__(self, geofences: list[Geofence], orders: list[tuple[int, Order]]) -> None:
        self._drivers: dict[int, _Driver] = defaultdict(_Driver)
        self._cells: dict[tuple[int, int], list[Geofence]] = defaultdict(list)
        self._fences = {geofence.geofence_id: geofence for geofence in geofences}
        for geofence in geofences:
            points = geofence.coordinates[0] if geofence.type == "Polygon" else [geofence.coordinates]
            reach = (geofence.radius or 0.0) / METRES_PER_DEGREE
            south, north = min(p[1] for p in points) - reach, max(p[1] for p in points) + reach
            reach /= cos(radians(north))
            west, east = min(p[0] for p in points) - reach, max(p[0] for p in points) + reach
            for cell in _cells(south, west, north, east):
                self._cells[cell].append(geofence)
        for driver, order in orders:
            self._drivers[driver].orders.append(_Stop(order))

    def ingest(self, fixes: list[Fix]) -> tuple[list[Flag], list[Happened]]:
        """The flag of each fix, and what happened."""
        flags = [Flag.ACCEPTED] * len(fixes)
        found: list[Happened] = []
        late: dict[int, set[float]] = defaultdict(set)
        before = {driver: self._drivers[driver].newest for driver in {fix.driver for fix in fixes}}
        for i in sorted(range(len(fixes)), key=lambda i: (fixes[i].driver, fixes[i].fix_time)):
            fix = fixes[i]
            driver = self._drivers[fix.driver]
            flags[i] = _admit(fix, driver, before[fix.driver])
            if flags[i] == Flag.LATE:
                flags[i] = Flag.DUPLICATE if fix.fix_time in late[fix.driver] else Flag.LATE
                late[fix.driver].add(fix.fix_time)
            if flags[i] != Flag.ACCEPTED:
                continue
            driver.newest = fix.fix_time
            t0, latitude0, longitude0 = driver.time, driver.latitude, driver.longitude
            if not _filter(fix, driver):
                flags[i] = Flag.OUTLIER
                continue
            if not isfinite(t0):
                t0, latitude0, longitude0 = fix.fix_time, driver.latitude, driver.longitude
            found += self._transitions(fix, driver, t0, latitude0, longitude0)
            found += _deliveries(fix, driver, t0, latitude0, longitude0)
        return flags, found

    def _transitions(self, fix: Fix, driver: _Driver, t0: float, lat0: float, lon0: float) -> list[Happened]:
        lat1, lon1, t1 = driver.latitude, driver.longitude, fix.fix_time
        near = {id_: self._fences[id_] for id_ in driver.inside}
        for cell in _cells(min(lat0, lat1), min(lon0, lon1), max(lat0, lat1), max(lon0, lon1)):
            for geofence in self._cells.get(cell, ()):
                near[geofence.geofence_id] = geofence
        found = []
        for id_, geofence in near.items():
            was_inside = id_ in driver.inside
            shares, distance = _cut(geofence, lat0, lon0, lat1, lon1)
            times = [t0 + share * (t1 - t0) for share in shares]
            inside = distance <= 0.0
            if not was_inside and (inside or times):
                found.append(Happened(fix.driver, id_, "enter", times[0] if times else t1))
                driver.inside[id_] = inf
            if id_ in driver.inside:
                if inside:
                    driver.inside[id_] = inf
                elif times:
                    driver.inside[id_] = times[-1]
                if distance > MARGIN_M + sqrt(driver.p):
                    left_at = driver.inside.pop(id_)
                    found.append(Happened(fix.driver, id_, "exit", left_at if isfinite(left_at) else t1))
        return found


def _admit(fix: Fix, driver: _Driver, newest: float) -> Flag:
    if not (isfinite(fix.latitude) and isfinite(fix.longitude)):
        return Flag.NOT_A_NUMBER
    if not isfinite(fix.fix_time):
        return Flag.INVALID_TIMESTAMP
    if abs(fix.latitude) > 90.0:
        return Flag.LATITUDE_OUT_OF_RANGE
    if abs(fix.longitude) > 180.0:
        return Flag.LONGITUDE_OUT_OF_RANGE
    if fix.fix_time - fix.received_at > 60.0:
        return Flag.TIMESTAMP_IN_FUTURE
    if fix.received_at - fix.fix_time > 10 * 365.25 * 86400.0:
        return Flag.TIMESTAMP_TOO_OLD
    if fix.fix_time in (newest, driver.newest):
        return Flag.DUPLICATE
    return Flag.LATE if fix.fix_time < newest else Flag.ACCEPTED


def _filter(fix: Fix, driver: _Driver) -> bool:
    """Predict and correct; whether the fix is believed."""
    d = driver
    dt = fix.fix_time - d.time
    r = (max(fix.accuracy, 2.0) / 1.515) ** 2
    if not dt <= RESET_S:
        d.time, d.latitude, d.longitude = fix.fix_time, fix.latitude, fix.longitude
        d.east, d.north, d.p, d.c, d.v = 0.0, 0.0, r, 0.0, 100.0
        return True
    per_east = METRES_PER_DEGREE * cos(radians(fix.latitude))
    east, north = (fix.longitude - d.longitude) * per_east, (fix.latitude - d.latitude) * METRES_PER_DEGREE
    q = min(max(0.5 * dt, 0.5), 8.0)
    p, c, v = d.p + dt * (2 * d.c + dt * (d.v + q * dt / 3)), d.c + dt * (d.v + q * dt / 2), d.v + q * dt
    off_east, off_north = east - d.east * dt, north - d.north * dt
    if off_east * off_east + off_north * off_north > GATE * (p + r):
        return False
    of_position, of_velocity = p / (p + r), c / (p + r)
    d.latitude += (d.north * dt + of_position * off_north) / METRES_PER_DEGREE
    d.longitude += (d.east * dt + of_position * off_east) / per_east
    d.east, d.north = d.east + of_velocity * off_east, d.north + of_velocity * off_north
    d.p, d.c, d.v, d.time = (1 - of_position) * p, (1 - of_position) * c, v - of_velocity * c, fix.fix_time
    return True


def _cells(south: float, west: float, north: float, east: float) -> list[tuple[int, int]]:
    rows, columns = (
        range(floor(south / CELL), floor(north / CELL) + 1),
        range(floor(west / CELL), floor(east / CELL) + 1),
    )
    return [(row, column) for row in rows for column in columns]


def _cut(geofence: Geofence, lat0: float, lon0: float, lat1: float, lon1: float) -> tuple[list[float], float]:
    """Shares of the leg at which it cuts the boundary, sorted, and how far its end is from it, negative inside; m."""
    points = geofence.coordinates[0] if geofence.type == "Polygon" else [geofence.coordinates]
    lon, lat = points[0]
    per_east = METRES_PER_DEGREE * cos(radians(lat))
    x0, y0 = (lon0 - lon) * per_east, (lat0 - lat) * METRES_PER_DEGREE
    x1, y1 = (lon1 - lon) * per_east, (lat1 - lat) * METRES_PER_DEGREE
    dx, dy = x1 - x0, y1 - y0
    if geofence.type == "Point":
        radius = geofence.radius or 0.0
        a, b, c = dx * dx + dy * dy, x0 * dx + y0 * dy, x0 * x0 + y0 * y0 - radius * radius
        root = b * b - a * c
        shares = [(-b - sqrt(root)) / a, (-b + sqrt(root)) / a] if a > 0.0 and root > 0.0 else []
        return [share for share in shares if 0.0 <= share <= 1.0], hypot(x1, y1) - radius
    shares, nearest, inside = [], inf, False
    ax, ay = 0.0, 0.0
    for lon_b, lat_b in points[1:]:
        bx, by = (lon_b - lon) * per_east, (lat_b - lat) * METRES_PER_DEGREE
        ex, ey = bx - ax, by - ay
        slope = dx * ey - dy * ex
        if slope != 0.0:
            share = ((ax - x0) * ey - (ay - y0) * ex) / slope
            along = ((ax - x0) * dy - (ay - y0) * dx) / slope
            if 0.0 <= share <= 1.0 and 0.0 <= along < 1.0:
                shares.append(share)
        k = min(max(((x1 - ax) * ex + (y1 - ay) * ey) / (ex * ex + ey * ey), 0.0), 1.0)
        nearest = min(nearest, hypot(x1 - ax - k * ex, y1 - ay - k * ey))
        if (ay > y1) != (by > y1) and x1 < ax + (y1 - ay) * ex / ey:
            inside = not inside
        ax, ay = bx, by
    return sorted(shares), -nearest if inside else nearest


def _deliveries(fix: Fix, driver: _Driver, t0: float, lat0: float, lon0: float) -> list[Happened]:
    found = []
    for stop in driver.orders:
        shares, distance = _cut(stop.area, lat0, lon0, driver.latitude, driver.longitude)
        times = [t0 + share * (fix.fix_time - t0) for share in shares]
        if stop.stage == 0 and distance <= APPROACHING_M:
            stop.stage = 1
            found.append(Happened(fix.driver, stop.order_id, "approaching", fix.fix_time))
        if distance <= 0.0:
            stop.entered_at = min(stop.entered_at, times[0] if times else fix.fix_time)
            slow = fix.speed < ARRIVAL_MPS or fix.fix_time - stop.entered_at >= ARRIVAL_S
            if stop.stage == 1 and slow:
                stop.stage = 2
                found.append(Happened(fix.driver, stop.order_id, "driver_arrived", stop.entered_at))
        elif times:
            stop.left_at = times[-1]
        if distance > 0.0 and stop.stage < 2:
            stop.entered_at = inf
        if stop.stage == 2 and distance > DEPARTED_M:
            stop.stage = 3
            found.append(Happened(fix.driver, stop.order_id, "departed", stop.left_at))
    return found
