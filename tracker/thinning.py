"""A track with fewer vertices, part by part: nowhere further off than a bound, and exact where something happened."""

from dataclasses import replace
from typing import Any

import numpy as np

from geo.simplify import Simplifier
from tracker.records import Bools, Floats, Ints, Track
from tracker.tracks import CONNECT_WITHIN_S

_COLUMNS = ("fix_time", "latitude", "longitude", "speed", "course", "accuracy", "source")


class Thinner:
    """Takes a driver's track in parts of one run each, and gives back what of it stays, as soon as that is certain."""

    def __init__(self, bound_m: float, moments: Floats | None = None) -> None:
        """With sorted `moments` (k,), Unix seconds, before and after which the fixes stay where they are."""
        self._simplifier = Simplifier(bound_m)
        self._moments = np.empty(0) if moments is None else moments
        self._seen = 0
        self._last = Track.empty()  # the newest fix, of which it may not be certain yet what becomes of it

    def add(self, track: Track) -> Track:
        """The next part; returns vertices as one run, maybe none."""
        if not len(track):
            return track
        found = self._simplifier.extend(track.fix_time, track.latitude, track.longitude, self._kept(track.fix_time))
        whole, first = track, self._seen
        if len(self._last):
            columns: dict[str, Any] = {
                name: np.append(getattr(self._last, name), getattr(track, name)) for name in _COLUMNS
            }
            whole, first = replace(track, offset=np.array([0, len(track.fix_time) + 1]), **columns), first - 1
        thinned = _take(whole, first, *found)
        self._seen += len(track.fix_time)
        self._last = _take(track, 0, np.array([len(track.fix_time) - 1]))
        return thinned

    def end(self) -> Track:
        """The last vertex, unless it was given before."""
        return _take(self._last, self._seen - 1, *self._simplifier.end()) if self._seen else self._last

    def _kept(self, fix_time: Floats) -> Bools:
        """(n,) the fixes next to a moment; over a silence, none is next to it."""
        kept = np.zeros(len(fix_time), np.bool_)
        before = np.searchsorted(fix_time, self._moments, side="right") - 1
        after = np.searchsorted(fix_time, self._moments, side="left")
        for place in (before, after):
            known = (place >= 0) & (place < len(fix_time))
            place, moments = place[known], self._moments[known]
            kept[place[np.abs(fix_time[place] - moments) <= CONNECT_WITHIN_S]] = True
        return kept


def _take(
    track: Track, first: int, index: Ints, latitude: Floats | None = None, longitude: Floats | None = None
) -> Track:
    """The fixes `index`, counted from `first`, of a track of one run, at other places where these are given."""
    if not len(index):
        return Track.empty()
    column = {name: getattr(track, name)[index - first] for name in _COLUMNS}
    moved = {} if latitude is None or longitude is None else {"latitude": latitude, "longitude": longitude}
    return replace(track, offset=np.array([0, len(index)]), **(column | moved))
