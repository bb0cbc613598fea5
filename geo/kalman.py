"""The live filter: each driver's fixes in order, many drivers at once. Judges outliers, stands still at stops.

Whether a fix is an outlier shows best by the fixes after it. Where a fix is doubtful the filter follows both beliefs,
and the one that is better by the next two fixes stands: the estimate is always that of the likelier so far, and a
judgement of one of the last two fixes may be revised. (A multiple hypothesis test with two hypotheses and N-scan 2:
Blackman, Multiple Hypothesis Tracking for Multiple Target Tracking, 2004.)
"""

from math import atan2, degrees, hypot, inf, isfinite, log, nan, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.beliefs import (
    BELIEF,
    COURSE,
    LATITUDE,
    LONGITUDE,
    MISSES,
    SCORE,
    SEEN,
    SEEN_BEFORE,
    SIGMA,
    SPEED,
    STANDING,
    TIME,
    VERDICTS,
    FilterState,
    Reals,
    Slots,
)
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


class Noise(NamedTuple):
    """How the filter weighs what it sees."""

    default_accuracy_m: float
    min_accuracy_m: float
    outlier_share: float
    outlier_patience: float
    filter_reset_s: float
    still_speed_mps: float


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
    judged = np.empty(n, np.bool_), np.empty((len(ESTIMATE), n)), np.empty((2, n))
    told = Updated(*judged, np.empty(2 * n, np.int64), np.empty(2 * n), np.empty(2 * n, np.bool_))
    done, count, candidates, doubts = 0, 0, np.empty((4, BELIEF)), state.doubts
    while done < n:
        done, count = _advance(
            done, count, state.place, state.belief, state.other, state.shown, doubts.belief, doubts.after, doubts.free,
            rows, time, latitude, longitude, speed, course, accuracy, noise, candidates, told,
        )  # fmt: skip
        if done < n:
            doubts.grow()
    return Updated(*judged, told.revised_by[:count], told.revised_time[:count], told.revised[:count])


@helper
def _advance(
    start: int,
    revisions: int,
    place: Floats,
    belief: Reals,
    other: Slots,
    shown: Reals,
    doubts: Reals,
    after: Slots,
    unused: Slots,
    rows: Ints,
    time: Floats,
    latitude: Floats,
    longitude: Floats,
    speed: Floats,
    course: Floats,
    accuracy: Floats,
    noise: Noise,
    candidates: Floats,
    told: Updated,
) -> tuple[int, int]:
    """`update` in place from fix `start` on, up to where a slot for a doubt might be wanted and there is none.

    Returns where that is, and how many judgements are revised by then.
    """
    outlier, free = told.outlier, told.free
    for i in range(start, len(rows)):
        row = rows[i]
        if not _has_slot(row, other, doubts, after, unused):
            return i, revisions
        here, best, second, show = place[row], belief[row], doubts[other[row]], shown[row]
        metres_north, metres_east = metric_scale(latitude[i])
        fix = spread(accuracy[i], noise.default_accuracy_m, noise.min_accuracy_m)
        own = own_velocity(speed[i], course[i], noise.still_speed_mps)
        dt = time[i] - here[SEEN]
        if dt <= noise.filter_reset_s:
            east = wrapped(longitude[i] - here[LONGITUDE]) * metres_east
            north = (latitude[i] - here[LATITUDE]) * metres_north
            changed = _judge(best, second, candidates, dt, east, north, fix, own, noise)
            revisions = _revise(told, revisions, changed, i, here, best)
        else:
            here[LATITUDE], here[LONGITUDE] = latitude[i], longitude[i]
            show[COURSE], show[STANDING] = nan, 0.0
            _put(candidates[0], first(0.0, 0.0, fix, own), 0.0, 0, 0.0)
            _keep_best(best, second, candidates, 1)
        here[SEEN], here[SEEN_BEFORE] = time[i], here[SEEN]
        m = _motion(best)
        outlier[i] = int(best[VERDICTS]) & 1
        free[0, i] = min(max(here[LATITUDE] + m.north / metres_north, -90.0), 90.0)
        free[1, i] = wrapped(here[LONGITUDE] + m.east / metres_east)
        if not outlier[i]:
            if not _held(m, fix, own, show):
                _move(here, best, second, metres_north, metres_east)
            here[TIME] = time[i]
            _tell(show, m, own, course[i])
        _estimate(told, i, here, show, m)
        if not second[SCORE] > -inf:
            after[other[row]], unused[0], other[row] = unused[0], other[row], -1
    return len(rows), revisions


@helper
def _has_slot(row: int, other: Slots, doubts: Reals, after: Slots, unused: Slots) -> bool:
    """Have a slot for a second belief, with none in it where it is new; False where no slot is left."""
    if other[row] >= 0:
        return True
    if unused[0] < 0:
        return False
    other[row], unused[0] = unused[0], after[unused[0]]
    doubts[other[row], SCORE] = -inf
    return True


@helper
def _revise(told: Updated, revisions: int, changed: int, i: int, here: Floats, best: Reals) -> int:
    """Tell which judgements, bits of `changed`, fix i has changed; how many revisions there are then."""
    for back in range(2):
        if changed >> back & 1:
            told.revised_by[revisions], told.revised_time[revisions] = i, here[SEEN + back]
            told.revised[revisions] = int(best[VERDICTS]) >> back + 1 & 1
            revisions += 1
    return revisions


@helper
def _estimate(told: Updated, i: int, here: Floats, show: Reals, m: Motion) -> None:
    """Tell where the driver of fix i is."""
    aside = told.outlier[i] and show[STANDING] == 0.0
    told.estimate[0, i] = told.free[0, i] if aside else here[LATITUDE]
    told.estimate[1, i] = told.free[1, i] if aside else here[LONGITUDE]
    told.estimate[2, i], told.estimate[3, i], told.estimate[4, i] = show[SPEED], show[COURSE], sqrt(max(m.pp, 0.0))


@helper
def _judge(
    best: Reals,
    second: Reals,
    candidates: Floats,
    dt: float,
    east: float,
    north: float,
    fix: Spread,
    own: Velocity,
    noise: Noise,
) -> int:
    """Follow what is believed through one fix; which judgements of the two before it are revised, as bits."""
    before, count, q = int(best[VERDICTS]), 0, acceleration(dt, fix.told)
    for number in range(2):
        belief = second if number else best
        score, misses = np.float64(belief[SCORE]), np.float64(belief[MISSES])
        if not score > -inf:
            continue
        verdicts = int(belief[VERDICTS]) << 1 & 7
        m = predict(_motion(belief), dt, fix.wane_s, q)
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
    _keep_best(best, second, candidates, count)
    return (int(best[VERDICTS]) >> 1 ^ before) & 3


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
def _keep_best(best: Reals, second: Reals, candidates: Floats, count: int) -> None:
    """Keep the best candidate, and the next that judges the fix before the last two alike and is not hopeless."""
    one, other = 0, -1
    for i in range(1, count):
        if candidates[i, SCORE] > candidates[one, SCORE]:
            one = i
    for i in range(count):
        alike = int(candidates[i, VERDICTS]) >> 2 == int(candidates[one, VERDICTS]) >> 2
        hopeful = candidates[i, SCORE] > candidates[one, SCORE] - DOUBT
        if i != one and alike and hopeful and (other < 0 or candidates[i, SCORE] > candidates[other, SCORE]):
            other = i
    for field in range(BELIEF):
        best[field] = candidates[one, field]
        if other >= 0:
            second[field] = candidates[other, field]
    best[SCORE] = 0.0
    second[SCORE] = candidates[other, SCORE] - candidates[one, SCORE] if other >= 0 else -inf


@helper
def _held(m: Motion, fix: Spread, own: Velocity, show: Reals) -> bool:
    """Whether a driver who stood stands still, near enough; `show` learns whether he stands now."""
    stood, pace = show[STANDING] == 1.0, hypot(m.speed_east, m.speed_north)
    if isfinite(own.speed):
        stands = own.still
    elif stood:
        stands = pace < LET_GO_MPS
    else:
        stands = pace < HOLD_MPS and m.vv < HOLD_VARIANCE
    show[STANDING] = 1.0 if stands else 0.0
    near = max(HOLD_M, HOLD_SHARE * ACCURACY_PER_SIGMA * fix.sigma)
    return stood and stands and hypot(m.east, m.north) < near


@helper
def _move(here: Floats, best: Reals, second: Reals, metres_north: float, metres_east: float) -> None:
    """Put the place where the best belief is."""
    east, north = best[0], best[1]
    here[LATITUDE] = min(max(here[LATITUDE] + north / metres_north, -90.0), 90.0)
    here[LONGITUDE] = wrapped(here[LONGITUDE] + east / metres_east)
    best[0], best[1] = best[0] - east, best[1] - north
    second[0], second[1] = second[0] - east, second[1] - north


@helper
def _tell(show: Reals, m: Motion, own: Velocity, course: float) -> None:
    """Speed, course and sigma after a believed fix."""
    pace = 0.0 if show[STANDING] == 1.0 else hypot(m.speed_east, m.speed_north)
    if isfinite(course) and not own.speed < COURSE_MIN_MPS:
        show[COURSE] = course
    elif pace >= COURSE_MIN_MPS:
        show[COURSE] = degrees(atan2(m.speed_east, m.speed_north)) % 360.0
    show[SPEED] = own.speed if isfinite(own.speed) else pace
    show[SIGMA] = sqrt(max(m.pp, 0.0))


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
    candidate[SCORE], candidate[VERDICTS], candidate[MISSES] = score, verdicts, misses
