"""When a driver reaches each of his stops in turn, leg by leg, and which of it is news: one compiled loop over legs."""

from math import exp, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import compiled, helper
from geo.intervals import Intervals, quantiles
from geo.speeds import ANY, Speeds, hour_of, pace_at, straight_seconds
from tracker.paths import PathTimes, reckon, seconds_at
from tracker.records import Bools, Floats, Ints

CHANGED, SOON, CLOSE = 0, 1, 2
"""Kinds of news: the ETA moved enough; it is now so near that the driver approaches; he approached by distance."""
PACE_MEMORY_S = 600.0
"""A driver's own pace forgets with this time constant."""
PACE_MOST = 3.0
"""A driver's own pace counts at most so many times slower, or faster, than the fleet's."""
PAUSE_S = 120.0
"""A longer silence says nothing of a driver's pace."""
MOVING_MPS = 1.0
"""Slower than this on the whole is standing, which says nothing of a driver's pace either."""
SERVICE_LEFT = 0.2
"""A stop that takes longer than it should is expected to take this share of its time yet."""


class Stops(NamedTuple):
    """Orders under way, in columns by slot; times are fix_times."""

    latitude: Floats
    longitude: Floats
    service_s: Floats  # how long the stop takes
    along: Floats  # metres along the driver's planned path, NaN off it
    approached_at: Floats  # inf before; so the next two
    arrived_at: Floats
    departed_at: Floats
    eta: Floats
    eta_low: Floats
    eta_high: Floats
    metres: Floats  # to go when it was predicted
    through: Floats  # stops before it then
    reckoned_s: Floats  # seconds to go, before `Intervals` said how far to trust them
    before: Floats  # (slots, 5) of the straight way from the stop before: from where, in which hour, metres, seconds
    announced: Floats  # the ETA that its people know
    announced_at: Floats


class Pace(NamedTuple):
    """Drivers against the fleet, in a row each of those who have had a stop."""

    row: NDArray[np.int32]  # (drivers,) of each one, -1 for none
    asked: Bools  # predict again at once
    ratio: Floats  # seconds he takes for one that the fleet takes
    since: Floats  # (2, drivers) seconds and metres since the last prediction


class Rules(NamedTuple):
    """What the settings say."""

    interval_s: float
    change_s: float
    change_share: float
    announce_every_s: float
    approaching_s: float
    pace_trust: float


class Drives(NamedTuple):
    """Columns of `Legs`, and which of them came in while they were news."""

    driver: Ints
    t0: Floats
    t1: Floats
    latitude1: Floats
    longitude1: Floats
    length: Floats
    along: Floats  # metres along the driver's path, NaN without or off one
    live: Bools


@compiled
def predict(
    legs: Drives,
    start: Ints,
    chain: Ints,
    slot: Ints,
    stops: Stops,
    pace: Pace,
    paths: PathTimes,
    speeds: Speeds,
    intervals: Intervals,
    rules: Rules,
    quiet: bool,
) -> Floats:
    """Predict at each live leg that is due; news in rows (k, 9), as `_note` fills them.

    Each driver's legs begin at `start` (m,); his stops in turn are `slot[chain[i] : chain[i + 1]]`. A prediction is due
    at fixed fix_times, so that any batching predicts from the same fixes; `quiet` makes no news of it.
    """
    news = np.empty((16, 9))
    count = 0
    for run in range(len(start)):
        mine = slot[chain[run] : chain[run + 1]]
        end = start[run + 1] if run + 1 < len(start) else len(legs.driver)
        for leg in range(start[run], end if len(mine) else start[run]):
            driver, t = legs.driver[leg], legs.t1[leg]
            own = pace.row[driver]
            seconds = t - legs.t0[leg]
            if 0.0 < seconds <= PAUSE_S and not _is_served(stops, mine, t):
                pace.since[0, own] += seconds
                pace.since[1, own] += legs.length[leg]
            if not legs.live[leg]:
                continue
            if len(news) < count + len(mine):
                news = np.concatenate((news, np.empty((len(news) + len(mine), 9))))
            asked = pace.asked[own]
            if asked or seconds == 0.0 or t // rules.interval_s != legs.t0[leg] // rules.interval_s:
                pace.asked[own] = False
                latitude, longitude = legs.latitude1[leg], legs.longitude1[leg]
                _learn(pace, own, pace_at(speeds, latitude, longitude, hour_of(t), ANY))
                factor = 1.0 + rules.pace_trust * (pace.ratio[own] - 1.0)
                at = legs.along[leg]
                if at == at:
                    reckon(paths, driver, speeds, t)
                _reckon(driver, latitude, longitude, at, t, mine, stops, paths, speeds, intervals, factor)
            is_next = True
            for s in mine[: 0 if quiet else len(mine)]:
                kind = _approaches(stops, s, is_next, t, rules)
                if kind != CHANGED or _has_changed(stops, s, t, asked, rules):
                    _note(news, count, kind, leg, s, stops, t)
                    count += 1
                is_next = is_next and t >= stops.departed_at[s]
    return news[:count]


@helper
def _is_served(stops: Stops, mine: Ints, t: float) -> bool:
    for s in mine:  # noqa: SIM110 compiled
        if stops.arrived_at[s] <= t < stops.departed_at[s]:
            return True
    return False


@helper
def _learn(pace: Pace, own: int, fleet: float) -> None:
    """Compare the driver's last stretch with the fleet's `fleet` seconds a metre there."""
    seconds, metres = pace.since[0, own], pace.since[1, own]
    pace.since[0, own] = pace.since[1, own] = 0.0
    if metres > MOVING_MPS * seconds:
        ratio = min(max(seconds / max(metres * fleet, 1e-9), 1.0 / PACE_MOST), PACE_MOST)
        pace.ratio[own] += (1.0 - exp(-seconds / PACE_MEMORY_S)) * (ratio - pace.ratio[own])


@helper
def _reckon(
    driver: int,
    latitude: float,
    longitude: float,
    at: float,
    t: float,
    mine: Ints,
    stops: Stops,
    paths: PathTimes,
    speeds: Speeds,
    intervals: Intervals,
    factor: float,
) -> None:
    """Predict the stops ahead from a driver's place, `at` metres along his path (NaN: off it).

    Straight to a stop off the path, or behind him on it; the path is taken up again at the next stop on it.
    """
    metres, seconds, through = 0.0, 0.0, 0
    for s in mine:
        if t >= stops.departed_at[s]:
            continue
        if t >= stops.arrived_at[s]:
            spent = t - stops.arrived_at[s]
            seconds += max(stops.service_s[s] - spent, SERVICE_LEFT * stops.service_s[s])
            through += 1
            continue
        along = stops.along[s]
        if at <= along:
            metres += along - at
            seconds += factor * (seconds_at(paths, driver, along) - seconds_at(paths, driver, at))
        else:
            straight, drive = _straight(stops, s, through > 0, latitude, longitude, speeds, hour_of(t + seconds))
            metres += straight
            seconds += factor * drive
        low, middle, high = quantiles(intervals, seconds, through)
        stops.eta[s], stops.eta_low[s], stops.eta_high[s] = t + middle, t + low, t + high
        stops.metres[s], stops.through[s], stops.reckoned_s[s] = metres, through, seconds
        latitude, longitude, at = stops.latitude[s], stops.longitude[s], along
        seconds += stops.service_s[s]
        through += 1


@helper
def _straight(
    stops: Stops, s: int, kept: bool, latitude: float, longitude: float, speeds: Speeds, hour: int
) -> tuple[float, float]:
    """Metres and seconds straight to a stop; from the stop before they are `kept`, as they stay so for an hour."""
    before = stops.before
    if kept and before[s, 0] == latitude and before[s, 1] == longitude and before[s, 2] == hour:
        return float(before[s, 3]), float(before[s, 4])
    metres, seconds = straight_seconds(speeds, latitude, longitude, stops.latitude[s], stops.longitude[s], hour)
    if kept:
        before[s, 0], before[s, 1], before[s, 2] = latitude, longitude, hour
        before[s, 3], before[s, 4] = metres, seconds
    return metres, seconds


@helper
def _has_changed(stops: Stops, s: int, t: float, asked: bool, rules: Rules) -> bool:
    """Whether it matters to a person: in minutes, and against what is left; and after some peace, unless asked."""
    eta, announced = stops.eta[s], stops.announced[s]
    if not isfinite(eta) or t >= stops.arrived_at[s]:
        return False
    if not isfinite(announced):
        return True
    least = max(rules.change_s, rules.change_share * (announced - t))
    return bool(abs(eta - announced) >= least and (asked or t - stops.announced_at[s] >= rules.announce_every_s))


@helper
def _approaches(stops: Stops, s: int, is_next: bool, t: float, rules: Rules) -> int:
    """SOON when the ETA is near now, CLOSE when it was found by distance just now, else CHANGED."""
    if t >= stops.arrived_at[s] or not isfinite(stops.eta[s]):
        return CHANGED
    if t == stops.approached_at[s]:
        return CLOSE
    if is_next and t < stops.approached_at[s] and stops.eta[s] - t <= rules.approaching_s:
        stops.approached_at[s] = t
        return SOON
    return CHANGED


@helper
def _note(news: Floats, row: int, kind: int, leg: int, s: int, stops: Stops, t: float) -> None:
    """Kind, leg, slot, eta, low, high, metres, stops before and seconds reckoned; its people know this ETA now."""
    news[row, 0], news[row, 1], news[row, 2] = kind, leg, s
    news[row, 3], news[row, 4], news[row, 5] = stops.eta[s], stops.eta_low[s], stops.eta_high[s]
    news[row, 6], news[row, 7], news[row, 8] = stops.metres[s], stops.through[s], stops.reckoned_s[s]
    stops.announced[s], stops.announced_at[s] = stops.eta[s], t
