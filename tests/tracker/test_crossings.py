"""The rules once more, one position after the other in plain Python, and both must agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.fixes import LATITUDE, LONGITUDE, T0
from tests.geo.test_fences import ring as ring_at
from tests.tracker.test_transitions import circle, path
from tracker.records import Geofence
from tracker.settings import EngineSettings
from tracker.transitions import Fences

SETTINGS = EngineSettings(exit_margin_m=8.0, exit_margin_sigmas=1.0, dwell_after_s=100.0, pass_within_s=300.0)
NEAR_M = 0.05
Point = tuple[float, float]


@dataclass
class Disc:
    radius: float

    def distance(self, p: Point) -> float:
        return hypot(*p) - self.radius

    def cuts(self, p: Point, q: Point) -> list[float]:
        dx, dy = q[0] - p[0], q[1] - p[1]
        a, b, c = dx * dx + dy * dy, p[0] * dx + p[1] * dy, p[0] ** 2 + p[1] ** 2 - self.radius**2
        if not a:
            return []
        assume(abs(abs(p[0] * dy - p[1] * dx) / sqrt(a) - self.radius) > NEAR_M)
        root = sqrt(max(b * b - a * c, 0.0))
        return [f for f in ((-b - root) / a, (-b + root) / a) if root and 0 < f < 1]


class Patch:
    def __init__(self, polygon: shapely.MultiPolygon) -> None:
        self.polygon = polygon

    def distance(self, p: Point) -> float:
        away = self.polygon.boundary.distance(shapely.Point(p))
        return -away if self.polygon.contains(shapely.Point(p)) else away

    def cuts(self, p: Point, q: Point) -> list[float]:
        line = shapely.LineString([p, q])
        if not line.length:
            return []
        corners = shapely.get_coordinates(self.polygon)
        assume(min(line.distance(shapely.Point(c)) for c in corners) > NEAR_M)
        points = line.intersection(self.polygon.boundary)
        return sorted(line.project(point, normalized=True) for point in shapely.get_parts(points) if not point.is_empty)


def done(fraction: float, start: float) -> float:
    """The share of a leg's time after such a share of its way: fraction = start * u + (1 - start) * u**2."""
    return fraction if start == 1.0 else (sqrt(start**2 + 4 * (1 - start) * fraction) - start) / 2 / (1 - start)


def expected(
    shape: Disc | Patch, t: list[float], places: list[Point], sigma: float
) -> Iterator[tuple[str, float, float]]:
    """(kind, occurred_at, detected_at) of each transition, after T0."""
    entered = left = None
    dwelled = False
    for i in range(len(t)):
        margin = SETTINGS.exit_margin_m + SETTINGS.exit_margin_sigmas * sigma[i]
        t0, t1, p, q = t[max(i - 1, 0)], t[i], places[max(i - 1, 0)], places[i]
        distance, inside = shape.distance(q), shape.distance(p) < 0
        assume(abs(distance) > NEAR_M and abs(distance - margin) > NEAR_M)
        cuts = shape.cuts(p, q)
        if t1 - t0 > SETTINGS.pass_within_s and distance > 0 and not inside:
            cuts = []
        length = hypot(q[0] - p[0], q[1] - p[1])
        start = 1.0
        if i > 1 and length:
            before = hypot(p[0] - places[i - 2][0], p[1] - places[i - 2][1]) / (t0 - t[i - 2])
            start = min((before * (t1 - t0) / length + 1) / 2, 2.0)
        for fraction in cuts:
            inside, when = not inside, t0 + (t1 - t0) * done(fraction, start)
            left = None if inside else when
            if inside and entered is None:
                entered, dwelled = when, False
                yield "enter", when, t1
        if distance < 0 and entered is None:
            entered, dwelled = t1, False
            yield "enter", t1, t1
        if entered is None:
            continue
        until = t1 if distance < 0 or left is None else left
        assume(abs(until - entered - SETTINGS.dwell_after_s) > 0.05)
        if not dwelled and until - entered >= SETTINGS.dwell_after_s:
            dwelled = True
            yield "dwell", entered + SETTINGS.dwell_after_s, t1
        if distance > margin:
            entered = None
            yield "exit", until, t1


def ring(points: list[Point]) -> list[list[float]]:
    return ring_at(points, LATITUDE, LONGITUDE)


SQUARE = [(-70.3, -60.7), (80.1, -60.7), (80.1, 75.9), (-70.3, 75.9)]
HOLE = [(-30.3, -25.7), (20.1, -25.7), (20.1, 31.9), (-30.3, 31.9)]
CRESCENT = [(-90.3, -80.1), (95.7, -85.3), (90.9, 88.3), (61.3, 80.1), (55.1, -40.3), (-50.7, -45.9), (-85.3, 70.7)]
FAR = [(110.3, -20.1), (150.7, -25.3), (130.9, 48.3)]

PLACES = {
    "small circle": (circle(25.0), Disc(25.0)),
    "circle": (circle(90.0), Disc(90.0)),
    "with a hole": (
        Geofence(geofence_id="f", type="Polygon", coordinates=[ring(SQUARE), ring(HOLE)]),
        Patch(shapely.MultiPolygon([(SQUARE, [HOLE])])),
    ),
    "two parts": (
        Geofence(geofence_id="f", type="MultiPolygon", coordinates=[[ring(CRESCENT)], [ring(FAR)]]),
        Patch(shapely.MultiPolygon([(CRESCENT, []), (FAR, [])])),
    ),
}


places = st.tuples(st.integers(-160, 160), st.integers(-130, 130)) | st.tuples(st.just(70), st.integers(-40, 40))
step = st.tuples(st.integers(1, 60) | st.integers(290, 400), places, st.floats(1, 30))


@pytest.mark.parametrize("name", PLACES)
@settings(max_examples=200, deadline=None)
@given(st.lists(step, min_size=1, max_size=25), st.sets(st.integers(1, 24)))
def test_all_at_once_is_the_same_as_one_by_one(name: str, steps, splits: set[int]) -> None:
    geofence, shape = PLACES[name]
    fences, found = Fences(SETTINGS), []
    fences.put([geofence])
    dt, at, sigma = zip(*steps, strict=True)
    t = np.cumsum(dt)
    legs = path(t, *np.array(at, float).T, sigma=np.array(sigma))
    for part in np.split(np.arange(len(t)), sorted(s for s in splits if s < len(t))):
        found += [(e.kind, e.occurred_at - T0, e.detected_at - T0) for e in fences.advance(legs.take(part), ["d"])]
    wanted = list(expected(shape, t.tolist(), list(at), list(sigma)))
    rank = {"enter": 0, "dwell": 1, "exit": 2}
    found.sort(key=lambda change: (change[2], rank[change[0]]))
    assert [(kind, detected) for kind, _, detected in found] == [(kind, detected) for kind, _, detected in wanted]
    assert [when for _, when, _ in found] == pytest.approx([when for _, when, _ in wanted], abs=0.2)
