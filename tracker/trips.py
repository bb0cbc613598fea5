"""Who stays where since when, and who is under way: stays and trips as they become certain."""

from collections.abc import Sequence

import numpy as np

from geo import stays
from tracker.records import Floats, Ints, Stay, Trip
from tracker.settings import EngineSettings


class Motion:
    """The stays and trips of all drivers; rows as in the driver table."""

    def __init__(self, settings: EngineSettings) -> None:
        self._rule = stays.Rule(
            radius_m=settings.stay_radius_m,
            still_mps=settings.moving_mps,
            shortest_s=settings.stay_after_s,
            merge_s=settings.stay_merge_s,
        )
        self._state = stays.empty(0)

    def advance(
        self,
        driver: Ints,
        time: Floats,
        latitude: Floats,
        longitude: Floats,
        speed: Floats,
        sigma: Floats,
        driver_ids: Sequence[str],
    ) -> list[Stay | Trip]:
        """Take believed positions, columns (k,) by driver, then time; returns what is over by now.

        A trip is certain when the stay that ends it is, a stay when the driver has been gone for `stay_merge_s`.
        """
        if len(driver_ids) > len(self._state):
            more = max(len(driver_ids) - len(self._state), len(self._state) // 16)
            self._state = np.concatenate([self._state, stays.empty(more)])
        found = stays.advance(self._state, driver, time, latitude, longitude, speed, sigma, self._rule)
        return _records(found, driver_ids) if len(found.row) else []

    def finish(self, driver_ids: Sequence[str]) -> list[Stay | Trip]:
        """The last stay and trip of each driver, as far as they got; what goes on yet is `ongoing`."""
        return _records(stays.finish(self._state[: len(driver_ids)]), driver_ids)

    def staying(self, driver: int) -> float | None:
        """Since when a driver has been staying; None when he is not, or not known to be."""
        since = stays.staying(self._state[driver : driver + 1])
        return None if not len(since) or np.isnan(since[0]) else float(since[0])


def _records(spans: stays.Spans, driver_ids: Sequence[str]) -> list[Stay | Trip]:
    columns = (
        spans.kind,
        spans.row,
        spans.start,
        spans.end,
        spans.latitude,
        spans.longitude,
        spans.metres,
        spans.ongoing,
    )
    return [
        Stay(driver_ids[row], round(start, 3), round(end, 3), latitude, longitude, ongoing=ongoing)
        if kind == stays.STAY
        else Trip(driver_ids[row], round(start, 3), round(end, 3), round(metres, 1), ongoing=ongoing)
        for kind, row, start, end, latitude, longitude, metres, ongoing in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
