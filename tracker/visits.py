"""Drivers inside geofences, one row a visit, in columns: thousands who stand in a depot cost no Python."""

from dataclasses import dataclass, fields

import numpy as np

from tracker.records import Bools, Floats, Ints

KEYS = 2**32
"""A visit's code is driver * KEYS + key of the geofence."""


@dataclass(slots=True)
class Visits:
    """Columns (n,), sorted by code."""

    code: Ints
    entered_at: Floats
    left_at: Floats
    """The last crossing outwards of one who is not yet outside by the margin; NaN inside."""
    dwell_at: Floats
    """When the dwell is due; infinite once told."""

    @classmethod
    def empty(cls) -> "Visits":
        """Nobody is anywhere."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))

    def find(self, code: Ints) -> tuple[Ints, Bools]:
        """Where the visit of each code (k,) stands, and whether there is one; elsewhere it would."""
        place = np.searchsorted(self.code, code)
        there = place < len(self.code)
        there[there] = self.code[place[there]] == code[there]
        return place, there

    def of_drivers(self, driver: Ints) -> tuple[Ints, Ints]:
        """Match drivers (k,) with all their visits: index into the column, place of the visit; sorted by index."""
        first = np.searchsorted(self.code, driver * KEYS)
        count = np.searchsorted(self.code, (driver + 1) * KEYS) - first
        index = np.repeat(np.arange(len(driver)), count)
        within = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
        return index, first[index] + within

    def keep(self, kept: Bools) -> None:
        """Forget the others; kept (n,)."""
        if not kept.all():
            for column in fields(self):
                setattr(self, column.name, getattr(self, column.name)[kept])

    def add(self, new: "Visits") -> None:
        """Take in visits with codes that are not here yet."""
        if len(new.code):
            place = np.searchsorted(self.code, new.code)
            for column in fields(self):
                setattr(self, column.name, np.insert(getattr(self, column.name), place, getattr(new, column.name)))

    def put(self, code: int, entered_at: float, dwell_at: float) -> None:
        """One visit, replacing what there was of it."""
        self.keep(self.code != code)
        self.add(Visits(np.array([code]), np.array([entered_at]), np.array([np.nan]), np.array([dwell_at])))
