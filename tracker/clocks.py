"""The clocks of phones against ours: how far each is ahead, and when a wrong one was set right.

A fix cannot be measured after it was received, so one from the future shows that its clock is ahead. `sent_at`, when
the phone made the message, tells it outright; but a message may wait in a queue, so of several the least delayed
counts. What was reported is stored as it was; this only decides what is believed of it.
"""

from math import exp, isfinite, isnan

import numpy as np

from geo.compiled import helper
from tracker.records import Bools, FixBatch, Floats, Ints

HEARD, AHEAD, STEADY, IN_TIME = range(4)
"""Columns: when the newest message came; seconds by which the clock is ahead of ours, NaN while nothing is known;
messages in turn that say so; fix_time of the newest fix that was not from the future."""
FIELDS = 4

SLACK_S = 5.0
"""Clocks that differ by no more are right."""
CONFIRMED = 3
"""So many messages in turn, each a second or more after the one before, make sure that a clock is behind."""
_FORGET_S = 300.0


def empty(drivers: int) -> Floats:
    """Clocks of which nothing is known; (drivers, FIELDS)."""
    clock = np.full((drivers, FIELDS), -np.inf)
    clock[:, AHEAD] = np.nan
    clock[:, STEADY] = 0.0
    return clock


def follow(batch: FixBatch, clock: Floats, newest: Floats, future_limit_s: float) -> Ints:
    """Learn from a batch, and give the rows of drivers (r,) whose clock was set right.

    Theirs was ahead: their newest fix lies in the future, and one that was measured just now does not. `newest`
    (drivers,) goes back for them to the newest fix that was in time, so that nothing measured since is taken for late.
    """
    mended = np.zeros(len(newest), np.bool_)
    if _follow(batch.driver, batch.fix_time, batch.received_at, batch.sent_at, future_limit_s, clock, newest, mended):
        return np.flatnonzero(mended)
    return np.empty(0, np.int64)


@helper
def _follow(
    driver: Ints,
    fix_time: Floats,
    received_at: Floats,
    sent_at: Floats,
    future_limit_s: float,
    clock: Floats,
    newest: Floats,
    mended: Bools,
) -> bool:
    """Whether any is mended."""
    found = False
    for i in range(len(driver)):
        d, t, now = driver[i], fix_time[i], received_at[i]
        said = sent_at[i] - now
        if now < clock[d, HEARD] - _FORGET_S:  # our own clock was set back
            clock[d, HEARD], clock[d, AHEAD], clock[d, STEADY] = -np.inf, np.nan, 0.0
        if now > clock[d, HEARD]:
            _hear(clock[d], now, said)
        if isfinite(t) and isnan(said) and 0.0 < t - now <= future_limit_s and not clock[d, AHEAD] >= t - now:
            clock[d, AHEAD] = t - now
        now = clock[d, HEARD]  # of messages that seem to come in another order, none came before the one heard before
        if t < newest[d] and newest[d] > now + SLACK_S and abs(now - t) <= SLACK_S:
            newest[d] = min(clock[d, IN_TIME], t - 0.001)
            mended[d] = found = True
    return found


@helper
def _hear(clock: Floats, now: float, said: float) -> None:
    """A message came, which says by how much its clock is ahead; NaN where it does not."""
    since = now - clock[HEARD]
    keep = exp(-since / _FORGET_S)
    if isnan(said):
        clock[STEADY] = 0.0
        clock[AHEAD] *= keep
    else:
        if since >= 1.0:
            clock[STEADY] = clock[STEADY] + 1.0 if abs(said - clock[AHEAD]) <= SLACK_S else 0.0
        late = said < clock[AHEAD]
        clock[AHEAD] = clock[AHEAD] * keep + said * (1.0 - keep) if late else said
    clock[HEARD] = now
