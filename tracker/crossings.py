"""What legs do to the visits of geofences: all drivers at once, in columns.

Each leg with each geofence that may matter to it is a row; the rows of one driver and geofence are a case. Along a case
marks say "in" (a crossing inwards, or a position inside) and "gone" (a position outside by the margin): the first "in"
is an enter, the first "gone" after it an exit, stamped with the last crossing outwards.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from geo.earth import wrap_degrees
from geo.fences import Cuts, FenceIndex
from tracker.records import Bools, Floats, Ints, Legs
from tracker.settings import EngineSettings
from tracker.visits import KEYS, Visits

_SHORTEST_S = 0.001
"""A visit lasts at least this long, so that its exit comes after its enter where only a corner was touched."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of one kind, in columns (c,)."""

    code: Ints  # of the visit
    leg: Ints  # that revealed it
    occurred_at: Floats
    entered_at: Floats  # of the visit
    distance: Floats  # of the leg's end from the boundary, m, negative inside
    depth: Floats  # how far on the side that it tells of, m
    crossed: Bools  # False: found inside, at a first position or when a fence was put around the driver


@dataclass(frozen=True, slots=True)
class Followed:
    """What legs changed."""

    enter: Changes
    exit: Changes
    dwell: Changes


@dataclass(frozen=True, slots=True)
class _Rows:
    """Columns (p,), by case, then time."""

    code: Ints
    leg: Ints
    t0: Floats
    t1: Floats
    cuts: Cuts  # pair is the row
    place: Ints  # of the case's visit before these legs
    visiting: Bools  # whether there was one
    case: Ints

    def time(self, row: Ints, share: Floats) -> Floats:
        """When such a share of these rows' legs was done."""
        result: Floats = self.t0[row] + share * (self.t1 - self.t0)[row]
        return result

    def last(self, marked: Ints, side: Literal["left", "right"] = "right") -> tuple[Ints, Bools]:
        """For each row the last of the rows `marked` (m,), sorted, up to it in its case: index, whether there is one.

        With side "left", before it.
        """
        i = np.searchsorted(marked, np.arange(len(self.case)), side) - 1
        there = i >= 0
        there[there] = self.case[marked[i[there]]] == self.case[there]
        return i, there


@dataclass(frozen=True, slots=True)
class _Turns:
    """Where visits begin and end."""

    enter: Ints  # (e,) rows
    share: Floats  # (e,) of the leg, NaN where found inside at its end
    exit: Ints  # (x,) rows, each at its leg's end


@dataclass(frozen=True, slots=True)
class _Stays:
    """The visit that each row has a part in; columns (p,), of no meaning where there is none."""

    there: Bools
    number: Ints
    began: Bools  # it began with these legs
    entered_at: Floats
    left_at: Floats  # NaN inside
    until: Floats  # it has lasted by the end of the leg
    due: Floats  # when its dwell is; infinite once told
    dwelled: Bools  # it is


def follow(index: FenceIndex, visits: Visits, legs: Legs, settings: EngineSettings) -> Followed | None:
    """Move the visits on by these legs; None where nobody is or was inside."""
    margin = settings.exit_margin_m + settings.exit_margin_sigmas * legs.sigma1
    rows = _rows(index, visits, legs, margin, settings.pass_within_s)
    if not len(rows.code):
        return None
    inside = rows.cuts.inside
    distance = np.full(len(inside), np.nan)
    _measure(index, legs, rows, ~inside, distance)
    gone = distance > margin[rows.leg]
    turns = _turns(rows, gone)
    stays = _stays(rows, turns, visits, settings.dwell_after_s)
    _update(visits, rows, stays, gone)

    dwell = np.flatnonzero(stays.dwelled)
    dwell = dwell[np.diff(stays.number[dwell], prepend=np.iinfo(np.int64).min) != 0]  # the first row that shows it
    told = np.zeros(len(inside), np.bool_)
    told[turns.enter] = told[dwell] = True
    _measure(index, legs, rows, told & inside, distance)
    depth = _depth_of_passes(index, legs, rows, turns)
    entered = stays.entered_at
    until = np.maximum(stays.until, entered + _SHORTEST_S)

    def changes(row: Ints, occurred_at: Floats, depth: Floats, crossed: Bools) -> Changes:
        return Changes(rows.code[row], rows.leg[row], occurred_at, entered[row], distance[row], depth, crossed)

    return Followed(
        changes(turns.enter, entered[turns.enter], np.fmax(depth, -distance)[turns.enter], np.isfinite(turns.share)),
        changes(turns.exit, until[turns.exit], np.fmin(depth, distance)[turns.exit], np.ones(len(turns.exit), bool)),
        changes(dwell, entered[dwell] + settings.dwell_after_s, -distance[dwell], np.ones(len(dwell), np.bool_)),
    )


def _near(index: FenceIndex, visits: Visits, legs: Legs, margin: Floats, silent: Bools) -> tuple[Ints, Ints]:
    """(code, leg) of who is inside with each of his legs, and of others with those that come near a geofence.

    Near is the margin of a leg or of the one before: whoever is not yet outside is near, so no visit gets lost. Of a
    leg over a silence only its ends count: it may be very long, and what lies on its way is not believed anyway.
    """
    reach = np.maximum(margin, np.roll(margin, 1))
    lat0, lon0, lat1, lon1 = legs.latitude0, legs.longitude0, legs.latitude1, legs.longitude1
    leg, key = index.candidates(np.where(silent, lat1, lat0), np.where(silent, lon1, lon0), lat1, lon1, reach)
    if silent.any():
        s = np.flatnonzero(silent)
        at, key0 = index.candidates(lat0[s], lon0[s], lat0[s], lon0[s], reach[s])
        pair = np.unique(np.concatenate([leg * KEYS + key, s[at] * KEYS + key0]))
        leg, key = pair // KEYS, pair % KEYS
    code = legs.driver[leg] * KEYS + key
    new = ~visits.find(code)[1]
    own, place = visits.of_drivers(legs.driver)
    leg, code = np.concatenate([leg[new], own]), np.concatenate([code[new], visits.code[place]])
    order = np.argsort(code, kind="stable")
    return code[order], leg[order]


def _rows(index: FenceIndex, visits: Visits, legs: Legs, margin: Floats, pass_within_s: float) -> _Rows:
    """The rows of cases where there is a visit, or one begins."""
    silent = legs.t1 - legs.t0 > pass_within_s
    code, leg = _near(index, visits, legs, margin, silent)
    cuts = index.cut(legs.latitude0, legs.longitude0, legs.latitude1, legs.longitude1, leg, code % KEYS)
    passes = ~cuts.inside & (np.bincount(cuts.pair, minlength=len(leg)) % 2 == 0)
    case = np.cumsum(np.diff(code, prepend=-1) != 0) - 1
    place, visiting = visits.find(code)
    inside = visiting | cuts.inside
    believed = ~(silent[leg] & passes)[cuts.pair]
    inside[cuts.pair[believed & cuts.inward]] = True
    of_note = np.zeros(len(code), np.bool_)
    of_note[case[inside]] = True
    kept = of_note[case]
    c = believed & kept[cuts.pair]
    pair = (np.cumsum(kept) - 1)[cuts.pair[c]]
    leg = leg[kept]
    return _Rows(
        code[kept],
        leg,
        legs.t0[leg],
        legs.t1[leg],
        Cuts(pair, cuts.fraction[c], cuts.inward[c], cuts.inside[kept]),
        place[kept],
        visiting[kept],
        case[kept],
    )


def _measure(index: FenceIndex, legs: Legs, rows: _Rows, wanted: Bools, distance: Floats) -> None:
    """Fill in the distance of the legs' ends from the boundary, m, where wanted; (p,)."""
    leg = rows.leg[wanted]
    distance[wanted] = index.signed_distance(legs.latitude1[leg], legs.longitude1[leg], rows.code[wanted] % KEYS)


def _turns(rows: _Rows, gone: Bools) -> _Turns:
    """Where the marks of a case turn from "gone" to "in" and back."""
    into, end = np.flatnonzero(rows.cuts.inward), np.flatnonzero(rows.cuts.inside | gone)
    row = np.concatenate([rows.cuts.pair[into], end])
    share = np.concatenate([rows.cuts.fraction[into], np.full(len(end), np.nan)])  # NaN sorts last
    in_ = np.concatenate([np.ones(len(into), np.bool_), ~gone[end]])
    order = np.lexsort((share, row))
    row, share, in_ = row[order], share[order], in_[order]
    before = np.roll(in_, 1)
    first = np.diff(rows.case[row], prepend=-1) != 0
    before[first] = rows.visiting[row[first]]
    enter = in_ & ~before
    return _Turns(row[enter], share[enter], row[before & ~in_])


def _stays(rows: _Rows, turns: _Turns, visits: Visits, dwell_after_s: float) -> _Stays:
    """Which visit each row has a part in, and how it stands at the leg's end."""
    enter, began = rows.last(turns.enter)
    exit_, ended = rows.last(turns.exit, "left")
    begin = np.full(len(rows.code), -1)
    begin[began] = turns.enter[enter[began]]
    ended[ended] = turns.exit[exit_[ended]] >= begin[ended]
    times = np.where(np.isnan(turns.share), rows.t1[turns.enter], rows.time(turns.enter, turns.share))
    entered_at = _pick(times, enter, began, _pick(visits.entered_at, rows.place, rows.visiting))

    outward = ~rows.cuts.inward
    row = rows.cuts.pair[outward]
    crossed, went_out = rows.last(row)
    times = rows.time(row, rows.cuts.fraction[outward])
    left_at = _pick(times, crossed, went_out, _pick(visits.left_at, rows.place, rows.visiting))
    left_at[rows.cuts.inside] = np.nan
    until = np.where(np.isnan(left_at), rows.t1, left_at)

    there = (began | rows.visiting) & ~ended
    due = _pick(visits.dwell_at, rows.place, rows.visiting & ~began, entered_at + dwell_after_s)
    return _Stays(
        there, np.where(began, enter, -1 - rows.case), began, entered_at, left_at, until, due, there & (until >= due)
    )


def _pick(column: Floats, index: Ints, there: Bools, otherwise: Floats | None = None) -> Floats:
    """column[index] where there is one, else otherwise, else NaN."""
    result = np.full(len(index), np.nan) if otherwise is None else otherwise.copy()
    result[there] = column[index[there]]
    return result


def _update(visits: Visits, rows: _Rows, stays: _Stays, gone: Bools) -> None:
    """Write down how each case stands after its last row."""
    end = np.flatnonzero(np.diff(rows.case, append=-1))
    stay = stays.there[end] & ~gone[end]
    dwell_at = np.where(stays.dwelled, np.inf, stays.due)
    old = end[stay & ~stays.began[end]]
    visits.left_at[rows.place[old]] = stays.left_at[old]
    visits.dwell_at[rows.place[old]] = dwell_at[old]
    over = end[rows.visiting[end] & ~(stay & ~stays.began[end])]
    kept = np.ones(len(visits.code), np.bool_)
    kept[rows.place[over]] = False
    visits.keep(kept)
    new = end[stay & stays.began[end]]
    visits.add(Visits(rows.code[new], stays.entered_at[new], stays.left_at[new], dwell_at[new]))


def _depth_of_passes(index: FenceIndex, legs: Legs, rows: _Rows, turns: _Turns) -> Floats:
    """(p,) how deep inside the middle of its chord a leg lies that enters and ends outside, m; NaN for others."""
    depth = np.full(len(rows.code), np.nan)
    passing = ~rows.cuts.inside[turns.enter]
    row, share = turns.enter[passing], turns.share[passing]
    outward = np.flatnonzero(~rows.cuts.inward)
    out = outward[np.searchsorted(rows.cuts.pair[outward], row)]
    middle, leg = (share + rows.cuts.fraction[out]) / 2, rows.leg[row]
    latitude = legs.latitude0[leg] + middle * (legs.latitude1 - legs.latitude0)[leg]
    longitude = legs.longitude0[leg] + middle * wrap_degrees(legs.longitude1 - legs.longitude0)[leg]
    depth[row] = -index.signed_distance(latitude, longitude, rows.code[row] % KEYS)
    return depth
