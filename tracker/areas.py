"""Boxes on the map that somebody watches, and which moved drivers each of them has to be told of."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tracker.errors import InvalidInput
from tracker.records import Bools, Floats, Ints

AREA = "area:"
"""How the channels begin."""
_NUMBER = r"-?\d{1,3}(?:\.\d{1,15})?"
_KEY = re.compile(",".join([f"({_NUMBER})"] * 4), re.ASCII)
_FIRST_CAPACITY = 256


class Area(NamedTuple):
    """A box in degrees; with min_lon beyond max_lon it lies across the antimeridian."""

    min_lon: float
    min_lat: float
    max_lon: float
    max_lat: float


def area_of(key: str) -> Area:
    """The box of `area:{minLon},{minLat},{maxLon},{maxLat}`. Raises InvalidInput."""
    found = _KEY.fullmatch(key)
    if found is None:
        raise InvalidInput("area: must be minLon,minLat,maxLon,maxLat in degrees, as in area:121.5,25.0,121.6,25.1")
    area = Area(*map(float, found.groups()))
    if not (abs(area.min_lon) <= 180 and abs(area.max_lon) <= 180):
        raise InvalidInput("area: longitudes must be from -180 to 180 degrees")
    if not -90 <= area.min_lat <= area.max_lat <= 90:
        raise InvalidInput("area: latitudes must be from -90 to 90 degrees, and minLat not above maxLat")
    return area


class Areas:
    """The boxes watched, by topic, and who is in each of them as far as was told."""

    def __init__(self) -> None:
        self._topics: list[str] = []
        self._boxes: Floats = np.empty((0, 4))
        self._inside: Bools = np.zeros((0, _FIRST_CAPACITY), np.bool_)  # a row a box, a column a driver

    def __len__(self) -> int:
        return len(self._topics)

    def __iter__(self) -> Iterator[str]:
        return iter(self._topics)

    def add(self, topic: str, area: Area, rows: Ints, longitude: Floats, latitude: Floats) -> list[int]:
        """Watch a box, if it is not watched already; tells who of all drivers are in it, as indices of `rows` (k,)."""
        box = np.array([area])
        inside = _contain(box, longitude, latitude)[0]
        if topic not in self._topics:
            self._make_room(int(rows.max(initial=0)) + 1)
            self._topics.append(topic)
            self._boxes = np.vstack([self._boxes, box])
            self._inside = np.vstack([self._inside, np.zeros((1, self._inside.shape[1]), np.bool_)])
            self._inside[-1, rows[inside]] = True
        return np.flatnonzero(inside).tolist()

    def keep(self, wanted: Iterable[str]) -> None:
        """Forget all boxes but these."""
        wanted = set(wanted)
        if wanted.issuperset(self._topics):
            return
        kept = [place for place, topic in enumerate(self._topics) if topic in wanted]
        self._topics = [self._topics[place] for place in kept]
        self._boxes, self._inside = self._boxes[kept], self._inside[kept]

    def moved(self, rows: Ints, longitude: Floats, latitude: Floats) -> dict[str, list[int]]:
        """By topic, which of these k moved drivers are in its box or have just left it: indices below k.

        `rows` (k,) are the drivers, each once; positions in degrees, (k,).
        """
        if not (self._topics and len(rows)):
            return {}
        self._make_room(int(rows.max()) + 1)
        now = _contain(self._boxes, longitude, latitude)
        tell = now | self._inside[:, rows]
        self._inside[:, rows] = now
        told = {topic: np.flatnonzero(row).tolist() for topic, row in zip(self._topics, tell, strict=True)}
        return {topic: places for topic, places in told.items() if places}

    def _make_room(self, drivers: int) -> None:
        boxes, capacity = self._inside.shape
        if drivers > capacity:
            more = max(drivers, 2 * capacity) - capacity
            self._inside = np.hstack([self._inside, np.zeros((boxes, more), np.bool_)])


def _contain(boxes: Floats, longitude: Floats, latitude: Floats) -> Bools:
    """(b, k): which boxes hold which points."""
    min_lon, min_lat, max_lon, max_lat = boxes.T[:, :, None]
    east, west = longitude >= min_lon, longitude <= max_lon
    across = np.where(min_lon <= max_lon, east & west, east | west)
    found: Bools = across & (latitude >= min_lat) & (latitude <= max_lat)
    return found
