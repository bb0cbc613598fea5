"""A path on the ground: how far along it a position is, and how far off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geo.earth import distance, metres_per_degree, wrap_degrees

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Path:
    """A polyline of k vertices; `along` (k,) is the distance from its start, m."""

    latitude: Floats
    longitude: Floats
    along: Floats

    @classmethod
    def of(cls, latitude: Floats, longitude: Floats) -> "Path":
        """Measure a polyline of at least two vertices."""
        legs = distance(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:])
        return cls(latitude, longitude, np.concatenate([[0.0], np.cumsum(legs)]))

    def locate(
        self, latitude: float, longitude: float, since: float = 0.0, until: float = np.inf
    ) -> tuple[float, float]:
        """Nearest point of the path between `since` and `until` metres along: (distance along, distance off), m.

        A forward window keeps a position on the right pass of a path that crosses itself; an empty one gives NaN.
        """
        here = (self.along[1:] >= since) & (self.along[:-1] <= until)
        if not here.any():
            return float("nan"), float("nan")
        north, east = metres_per_degree(latitude)
        x = wrap_degrees(self.longitude - longitude) * east
        y = (self.latitude - latitude) * north
        x0, y0, dx, dy = x[:-1][here], y[:-1][here], np.diff(x)[here], np.diff(y)[here]
        square = dx * dx + dy * dy
        share = np.clip(-(x0 * dx + y0 * dy) / np.where(square > 0, square, 1.0), 0.0, 1.0)
        off = np.hypot(x0 + share * dx, y0 + share * dy)
        best = int(np.argmin(off))
        start, length = self.along[:-1][here], np.diff(self.along)[here]
        return float(np.clip(start[best] + share[best] * length[best], since, until)), float(off[best])
