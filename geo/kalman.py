"""The live filter: each driver's fixes in order, many drivers at once. Judges outliers, stands still at stops.

Whether a fix is an outlier shows best by the fixes after it. Where a fix is doubtful the filter follows both beliefs,
and the one that is better by the next two fixes stands: the estimate is always that of the likelier so far, and a
judgement of one of the last two fixes may be revised. (A multiple hypothesis test with two hypotheses and N-scan 2:
Blackman, Multiple Hypothesis Tracking for Multiple Target Tracking, 2004.)
"""

from dataclasses import dataclass
from math import atan2, degrees, hypot, inf, isfinite, log, nan, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.compiled import helper
from geo.earth import metric_scale, wrapped
from geo.motion import (
    ACCURACY_PER_SIGMA,
    COURSE_MIN_MPS,
    Motion,
    Spread,
    Velocity,
    acceleration,
    first,
    innovation,
    innovation_variance,
    own_velocity,
    predict,
    spread,
    with_position,
    with_velocity,
)

Floats = NDArray[np.float64]
Reals = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ESTIMATE = ("latitude", "longitude", "speed", "course", "sigma")
DOUBT = 6.0
"""A belief less likely than the best by this, as a difference of logarithms, is dropped."""
OUTLIER_NEAR_M, OUTLIER_FAR_M = 20.0, 450.0
"""An outlier may be anywhere around: its distance is taken as uniform up to so far, its density as flat so near."""
OUTLIER_LEAST_M = 5.0
"""A fix as near as this to where it is expected is none, however sure the filter is."""
HOLD_M, HOLD_SHARE = 6.0, 0.6
"""A driver who stands is held while the filter stays within so many metres, or share of the accuracy."""
HOLD_MPS, LET_GO_MPS = 1.2, 1.8
"""Where a device does not tell its speed, slower than the one is standing, until faster than the other ..."""
HOLD_VARIANCE = 1.0
"""... where the variance of the filter's own velocity is less than this, m²/s²."""

_SCORE, _VERDICTS, _MISSES = 12, 13, 14
"""Of a belief, after its Motion: logarithm of its likelihood over the best one's; a bit a fix that is an outlier, the
last fix lowest; outliers in a row."""
_BELIEF = 15
_TIME, _LATITUDE, _LONGITUDE, _SEEN, _SEEN_BEFORE = range(5)
_SPEED, _COURSE, _SIGMA, _STANDING = range(4)


class Noise(NamedTuple):
    """How the filter weighs what it sees."""

    default_accuracy_m: float
    min_accuracy_m: float
    outlier_share: float
    outlier_patience: float
    filter_reset_s: float
    still_speed_mps: float


@dataclass(frozen=True, slots=True)
class FilterState:
    """What is known of each driver, a row a driver; NaN before the first fix."""

    place: Floats  # (drivers, 5): time, latitude, longitude of the newest believed fix; times of the last two fixes
    belief: Reals  # (drivers, 2, 15): the best belief and another one, in metres from the place
    shown: Floats  # (drivers, 4): speed, course, sigma, standing (1 or 0)

    @classmethod
    def empty(cls, capacity: int) -> "FilterState":
        """Drivers never seen."""
        return cls(
            np.full((capacity, 5), nan),
            np.full((capacity, 2, _BELIEF), nan, np.float32),
            np.full((capacity, 4), nan),
        )

    def grown(self, extra: int) -> "FilterState":
        """The same with room for more."""
        more = FilterState.empty(extra)
        return FilterState(
            np.concatenate([self.place, more.place]),
            np.concatenate([self.belief, more.belief]),
            np.concatenate([self.shown, more.shown]),
        )

    def forget(self, rows: Ints) -> None:
        """Make these drivers as if never seen."""
        self.place[rows], self.belief[rows], self.shown[rows] = nan, nan, nan

    def __len__(self) -> int:
        return len(self.place)

    @property
    def time(self) -> Floats:
        """fix_time of the newest believed fix, Unix seconds."""
        return self.place[:, _TIME]

    @property
    def latitude(self) -> Floats:
        """Estimate, degrees."""
        return self.place[:, _LATITUDE]

    @property
    def longitude(self) -> Floats:
        """Estimate, degrees."""
        return self.place[:, _LONGITUDE]

    @property
    def speed(self) -> Floats:
        """The device's own where it reports one, else the filter's; m/s."""
        return self.shown[:, _SPEED]

    @property
    def course(self) -> Floats:
        """Over ground, degrees; the last one known while standing."""
        return self.shown[:, _COURSE]

    @property
    def sigma(self) -> Floats:
        """Standard deviation of the position per axis, m."""
        return self.shown[:, _SIGMA]


class Updated(NamedTuple):
    """What fixes told, in columns of n fixes and r revisions."""

    outlier: Bools  # (n,) as far as known by then; an outlier leaves no trace
    estimate: Floats  # (5, n) in the rows of ESTIMATE; that of an outlier is the prediction for its time
    free: Floats  # (2, n) latitude and longitude, of one who stands as if he were not held
    revised_by: Ints  # (r,) the fix that showed that an earlier one of its driver had been judged wrongly
    revised_time: Floats  # (r,) fix_time of that one, one of the two before
    revised: Bools  # (r,) whether it is an outlier, as far as known now


def update(
    state: FilterState,
    rows: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    course: Floats,
    accuracy: Floats,
    noise: Noise,
) -> Updated:
    """Advance the drivers `rows` by the fixes in columns (n,), by driver, then time; degrees, m/s and m."""
    n = len(rows)
    outlier, estimate, free = np.empty(n, np.bool_), np.empty((len(ESTIMATE), n)), np.empty((2, n))
    revised_by, revised_time, revised = np.empty(2 * n, np.int64), np.empty(2 * n), np.empty(2 * n, np.bool_)
    count = _advance(
        state.place, state.belief, state.shown, rows, time, latitude, longitude, speed, course, accuracy, noise,
        np.empty((4, _BELIEF)), outlier, estimate, free, revised_by, revised_time, revised,
    )  # fmt: skip
    return Updated(outlier, estimate, free, revised_by[:count], revised_time[:count], revised[:count])


@helper
def _advance(
    place: Floats,
    belief: Reals,
    shown: Floats,
    rows: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    course: Floats,
    accuracy: Floats,
    noise: Noise,
    candidates: Floats,
    outlier: Bools,
    estimate: Floats,
    free: Floats,
    revised_by: Ints,
    revised_time: Floats,
    revised: Bools,
) -> int:
    """`update` in place; how many judgements are revised."""
    revisions = 0
    for i in range(len(rows)):
        here, beliefs, show = place[rows[i]], belief[rows[i]], shown[rows[i]]
        metres_north, metres_east = metric_scale(latitude[i])
        fix = spread(accuracy[i], noise.default_accuracy_m, noise.min_accuracy_m)
        own = own_velocity(speed[i], course[i], noise.still_speed_mps)
        dt = time[i] - here[_SEEN]
        if dt <= noise.filter_reset_s:
            east = wrapped(longitude[i] - here[_LONGITUDE]) * metres_east
            north = (latitude[i] - here[_LATITUDE]) * metres_north
            changed = _judge(beliefs, candidates, dt, east, north, fix, own, noise)
            for back in range(2):
                if changed >> back & 1:
                    revised_by[revisions], revised_time[revisions] = i, here[_SEEN + back]
                    revised[revisions] = int(beliefs[0, _VERDICTS]) >> back + 1 & 1
                    revisions += 1
        else:
            here[_LATITUDE], here[_LONGITUDE] = latitude[i], longitude[i]
            show[_COURSE], show[_STANDING] = nan, 0.0
            _put(candidates[0], first(0.0, 0.0, fix, own), 0.0, 0, 0.0)
            _keep_best(beliefs, candidates, 1)
        here[_SEEN], here[_SEEN_BEFORE] = time[i], here[_SEEN]
        m = _motion(beliefs[0])
        outlier[i] = int(beliefs[0, _VERDICTS]) & 1
        free[0, i] = min(max(here[_LATITUDE] + m.north / metres_north, -90.0), 90.0)
        free[1, i] = wrapped(here[_LONGITUDE] + m.east / metres_east)
        if not outlier[i]:
            if not _held(m, fix, own, show):
                _move(here, beliefs, metres_north, metres_east)
            here[_TIME] = time[i]
            _tell(show, m, own, course[i])
        aside = outlier[i] and show[_STANDING] == 0.0
        estimate[0, i] = free[0, i] if aside else here[_LATITUDE]
        estimate[1, i] = free[1, i] if aside else here[_LONGITUDE]
        estimate[2, i], estimate[3, i], estimate[4, i] = show[_SPEED], show[_COURSE], sqrt(max(m.pp, 0.0))
    return revisions


@helper
def _judge(
    beliefs: Reals, candidates: Floats, dt: float, east: float, north: float, fix: Spread, own: Velocity, noise: Noise
) -> int:
    """Follow what is believed through one fix; which judgements of the two before it are revised, as bits."""
    before, count, q = int(beliefs[0, _VERDICTS]), 0, acceleration(dt, fix.told)
    for number in range(2):
        score, misses = np.float64(beliefs[number, _SCORE]), np.float64(beliefs[number, _MISSES])
        if not score > -inf:
            continue
        verdicts = int(beliefs[number, _VERDICTS]) << 1 & 7
        m = predict(_motion(beliefs[number]), dt, fix.wane_s, q)
        true, false = _evidence(m, east, north, fix, noise.outlier_share)
        if false > true - DOUBT:
            if misses + 1.0 >= noise.outlier_patience:
                _put(candidates[count], first(east, north, fix, own), score + false, 0, 0.0)
            else:
                _put(candidates[count], m, score + false, verdicts | 1, misses + 1.0)
            count += 1
        if true > false - DOUBT:
            after = with_velocity(with_position(m, east, north, fix), own)
            _put(candidates[count], after, score + true, verdicts, 0.0)
            count += 1
    _keep_best(beliefs, candidates, count)
    return (int(beliefs[0, _VERDICTS]) >> 1 ^ before) & 3


@helper
def _evidence(m: Motion, east: float, north: float, fix: Spread, outlier_share: float) -> tuple[float, float]:
    """Logarithm of the likelihood of a fix if it is true, and if it is an outlier."""
    variance = innovation_variance(m, fix)
    off_east, off_north = innovation(m, east, north, fix)
    square = off_east * off_east + off_north * off_north
    true = -0.5 * square / variance - log(2.0 * pi * variance) + log(1.0 - outlier_share)
    if square < OUTLIER_LEAST_M**2:
        return true, -inf
    false = log(outlier_share) - log(2.0 * pi * OUTLIER_FAR_M * max(sqrt(square), OUTLIER_NEAR_M))
    return true, false


@helper
def _keep_best(beliefs: Reals, candidates: Floats, count: int) -> None:
    """Keep the best candidate, and the next that judges the fix before the last two alike and is not hopeless."""
    best, other = 0, -1
    for i in range(1, count):
        if candidates[i, _SCORE] > candidates[best, _SCORE]:
            best = i
    for i in range(count):
        alike = int(candidates[i, _VERDICTS]) >> 2 == int(candidates[best, _VERDICTS]) >> 2
        hopeful = candidates[i, _SCORE] > candidates[best, _SCORE] - DOUBT
        if i != best and alike and hopeful and (other < 0 or candidates[i, _SCORE] > candidates[other, _SCORE]):
            other = i
    for field in range(_BELIEF):
        beliefs[0, field] = candidates[best, field]
        if other >= 0:
            beliefs[1, field] = candidates[other, field]
    beliefs[0, _SCORE] = 0.0
    beliefs[1, _SCORE] = candidates[other, _SCORE] - candidates[best, _SCORE] if other >= 0 else -inf


@helper
def _held(m: Motion, fix: Spread, own: Velocity, show: Floats) -> bool:
    """Whether a driver who stood stands still, near enough; `show` learns whether he stands now."""
    stood, pace = show[_STANDING] == 1.0, hypot(m.speed_east, m.speed_north)
    if isfinite(own.speed):
        stands = own.still
    elif stood:
        stands = pace < LET_GO_MPS
    else:
        stands = pace < HOLD_MPS and m.vv < HOLD_VARIANCE
    show[_STANDING] = 1.0 if stands else 0.0
    near = max(HOLD_M, HOLD_SHARE * ACCURACY_PER_SIGMA * fix.sigma)
    return stood and stands and hypot(m.east, m.north) < near


@helper
def _move(here: Floats, beliefs: Reals, metres_north: float, metres_east: float) -> None:
    """Put the place where the best belief is."""
    east, north = beliefs[0, 0], beliefs[0, 1]
    here[_LATITUDE] = min(max(here[_LATITUDE] + north / metres_north, -90.0), 90.0)
    here[_LONGITUDE] = wrapped(here[_LONGITUDE] + east / metres_east)
    for number in range(2):
        beliefs[number, 0] -= east
        beliefs[number, 1] -= north


@helper
def _tell(show: Floats, m: Motion, own: Velocity, course: float) -> None:
    """Speed, course and sigma after a believed fix."""
    pace = 0.0 if show[_STANDING] == 1.0 else hypot(m.speed_east, m.speed_north)
    if isfinite(course) and not own.speed < COURSE_MIN_MPS:
        show[_COURSE] = course
    elif pace >= COURSE_MIN_MPS:
        show[_COURSE] = degrees(atan2(m.speed_east, m.speed_north)) % 360.0
    show[_SPEED] = own.speed if isfinite(own.speed) else pace
    show[_SIGMA] = sqrt(max(m.pp, 0.0))


@helper
def _motion(belief: Reals) -> Motion:
    b, wide = belief, np.float64
    return Motion(
        wide(b[0]), wide(b[1]), wide(b[2]), wide(b[3]), wide(b[4]), wide(b[5]),
        wide(b[6]), wide(b[7]), wide(b[8]), wide(b[9]), wide(b[10]), wide(b[11]),
    )  # fmt: skip


@helper
def _put(candidate: Floats, m: Motion, score: float, verdicts: int, misses: float) -> None:
    for i in range(len(m)):
        candidate[i] = m[i]
    candidate[_SCORE], candidate[_VERDICTS], candidate[_MISSES] = score, verdicts, misses
