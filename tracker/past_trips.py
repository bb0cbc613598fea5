"""What finished trips teach that somebody else recorded: where they led and how long each took, but no fixes.

A trip's seconds are shared out along its way as a trained model expects of each step, and added up by cell and hour as
a server adds up its own trips; so it goes on learning from there.
"""

from typing import NamedTuple

import numpy as np

from geo.compiled import compiled
from geo.eta import Model, Trips
from geo.eta.effects import straight
from geo.eta.model import usable
from geo.intervals import Intervals, cold_intervals, fitted
from geo.speeds import Speeds, pace_in
from tracker import corridors
from tracker.learning import LEAST_M, Learned, where
from tracker.paths import PIECE_M
from tracker.records import Floats, Ints
from tracker.settings import EngineSettings

JUDGED = 5
"""Each fifth trip is left out at first, to see how far trips stray that were not learned from."""
LEAST_TRIPS = 50
"""Of fewer none is left out, and intervals stay as wide as before any."""


class Pieces(NamedTuple):
    """Pieces of ways, columns (k,)."""

    trip: Ints
    cell: Ints
    hour: Ints
    heading: Ints
    seconds: Floats
    metres: Floats

    def take(self, chosen: np.ndarray) -> "Pieces":
        """Those of the trips of a mask (n,)."""
        kept = chosen[self.trip]
        return Pieces(*(column[kept] for column in self))


def learned_of(model: Model, trips: Trips, seconds: Floats, departed_at: Floats, settings: EngineSettings) -> Learned:
    """What a server starts from, of n trips; `departed_at` (n,) is Unix seconds, of which the hour of the week counts.

    A trip whose way is not on the map teaches nothing; where that is all of them, nothing was learned (`trips` 0).
    """
    placed = trips.sums((trips.latitude + trips.longitude).sum(axis=1))  # NaN where a step of it is nowhere
    good = usable(trips) & np.isfinite(seconds) & (seconds > 0) & np.isfinite(placed)
    trips, seconds, departed_at = trips.take(good), seconds[good], departed_at[good]
    pieces = _pieces(trips, _shared_out(model, trips, seconds), departed_at)
    learned = Learned(trips=float(len(trips)))
    if len(trips) >= LEAST_TRIPS:
        learned.intervals = learned.assumed = _strayed(pieces, seconds, settings)
    learned.add_driven(*pieces[1:])
    _add_ways(learned, trips)
    learned.forget(0.0)  # no more than is kept
    return learned


def _strayed(pieces: Pieces, seconds: Floats, settings: EngineSettings) -> Intervals:
    """How far each fifth trip strayed from what the others say of it."""
    judged = np.arange(len(seconds)) % JUDGED == JUDGED - 1
    others = Learned()
    others.add_driven(*pieces.take(~judged)[1:])
    reckoned = _reckoned(others.model(0, settings).speeds, pieces, len(seconds))[judged]
    return fitted(reckoned, seconds[judged], np.zeros(len(reckoned)), np.ones(len(reckoned)), cold_intervals())


def _add_ways(learned: Learned, trips: Trips) -> None:
    """Which way the last ones took, and how much further than straight all are."""
    far = straight(trips)
    long = far >= LEAST_M
    learned.circuity += [trips.metres[long].sum(), far[long].sum()]
    for i in range(max(len(trips) - corridors.MOST_ENDS, 0), len(trips)):
        steps = slice(trips.offset[i], trips.offset[i + 1])
        ends = trips.latitude[steps], trips.longitude[steps]
        corridors.add(learned.corridors, *(np.append(end[:, 0], end[-1, 1]) for end in ends))


def _shared_out(model: Model, trips: Trips, seconds: Floats) -> Floats:
    """(k,) seconds of each step, of those (n,) that the trips took."""
    expected = trips.length / model.speeds(trips)
    return expected * (seconds / trips.sums(expected))[trips.trip]


def _pieces(trips: Trips, seconds: Floats, departed_at: Floats) -> Pieces:
    """A step longer than PIECE_M is shared out in parts, each to the cell that holds its middle."""
    count = np.maximum(np.ceil(trips.length / PIECE_M), 1.0).astype(np.int64)
    step = np.repeat(np.arange(len(count)), count)
    place = (np.arange(len(step)) - (np.cumsum(count) - count)[step]) / count[step]
    latitude0, longitude0 = _along(trips, step, place)
    latitude1, longitude1 = _along(trips, step, place + 1.0 / count[step])
    before = np.cumsum(seconds) - seconds
    trip = trips.trip
    begun = departed_at[trip] + before - before[trips.offset[:-1]][trip]
    each = (seconds / count)[step]
    middle = begun[step] + place * seconds[step] + each / 2.0
    cell, hour, heading = where(latitude0, longitude0, latitude1, longitude1, middle)
    return Pieces(trip[step], cell, hour, heading, each, (trips.length / count)[step])


def _along(trips: Trips, step: Ints, share: Floats) -> tuple[Floats, Floats]:
    """Latitude and longitude of that share of steps (k,)."""
    latitude, longitude = (
        ends[step, 0] + share * (ends[step, 1] - ends[step, 0]) for ends in (trips.latitude, trips.longitude)
    )
    return latitude, longitude


@compiled
def _reckoned(speeds: Speeds, pieces: Pieces, trips: int) -> Floats:
    """(trips,) seconds by these speeds."""
    seconds = np.zeros(trips)
    for i in range(len(pieces.trip)):
        pace = pace_in(speeds, pieces.cell[i], pieces.hour[i], pieces.heading[i])
        seconds[pieces.trip[i]] += pieces.metres[i] * pace
    return seconds
