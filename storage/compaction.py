"""Fewer, longer rows: the runs of a driver's hour become one, and once they are old enough a simplified one.

A simplified row keeps the times of all fixes that it stands for, outliers among them, so that a fix that is sent
again is known as a repeat for as long as the row is there. A fix of such an hour that never came before is stored
beside it, as late.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import numpy as np

from geo import stays
from geo.motion import ACCURACY_PER_SIGMA
from geo.simplify import simplify
from storage.packing import pack_times
from storage.rows import JUDGEMENTS, Row, Statement
from storage.segments import HOUR_S, Rows, Vertices, assemble, concatenate, cut, keep
from storage.store import Compaction
from tracker.errors import Flag
from tracker.records import Bools, Flags, Floats, Track
from tracker.settings import EngineSettings

_SETTINGS = EngineSettings()
RUNS_OF_HOUR = """
    SELECT driver_id, connected, start_time, path, speed, course, accuracy, source, kind, fix_times FROM {runs}
    WHERE driver_id = $1 AND end_time >= $2 AND end_time < $3 ORDER BY connected, start_time"""
DROP_HOUR = "DELETE FROM {runs} WHERE driver_id = $1 AND end_time >= $2 AND end_time < $3"
DROP_JUDGEMENTS = "DELETE FROM judgements WHERE driver_id = $1 AND fix_time >= $2 AND fix_time < $3"
CROSSINGS = """
    SELECT occurred_at, detected_at FROM events
    WHERE driver_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND NOT withdrawn"""
MERGED = "UPDATE driver_hours SET merged = true WHERE driver_id = $1 AND hour = $2"
SIMPLIFIED = "DELETE FROM driver_hours WHERE driver_id = $1 AND hour = $2"
RULE = stays.Rule(
    radius_m=_SETTINGS.stay_radius_m,
    still_mps=_SETTINGS.moving_mps,
    shortest_s=_SETTINGS.stay_after_s,
    merge_s=_SETTINGS.stay_merge_s,
)
UNSURE_M = 10.0
"""Accuracy of a fix that told none."""


def compact(
    what: Compaction, runs: str, vertices: Callable[[Sequence[Row]], Vertices]
) -> Generator[Statement | Rows, Sequence[Row], None]:
    """The steps for an hour of a driver, in a transaction: `vertices` are those of rows of the table `runs`."""
    hour = (what.driver_id, what.hour, what.hour + HOUR_S)
    rows = yield Statement(RUNS_OF_HOUR.format(runs=runs), [hour])
    judged = yield Statement(JUDGEMENTS, [hour])
    crossings = yield Statement(CROSSINGS, [hour])
    found = merged(what, vertices(rows), judged, crossings) if rows and not any(r["fix_times"] for r in rows) else None
    if found is not None:
        yield Statement(DROP_HOUR.format(runs=runs), [hour])
        yield found
        yield Statement(DROP_JUDGEMENTS, [hour])
    yield Statement(MERGED if what.bound_m is None else SIMPLIFIED, [(what.driver_id, what.hour)])


def merged(what: Compaction, found: Vertices, judged: Sequence[Row], crossings: Sequence[Row]) -> Rows | None:
    """What the rows of an hour become; None where they stay as they are, because no fix is believed."""
    track, kind = assemble(what.driver_id, found, -np.inf, np.inf)
    for row in judged:
        kind[track.fix_time == row["fix_time"]] = row["kind"]
    kind[kind == Flag.LATE] = Flag.ACCEPTED
    line = keep(track, kind == Flag.ACCEPTED)
    if not len(line) or line.fix_time[-1] < what.hour:
        return None
    line = cut(replace(line, connected=line.fix_time[:1] < what.hour))
    if what.bound_m is None:
        return Rows.of(concatenate([line, *(_of_kind(track, kind, flag) for flag in (Flag.OUTLIER, Flag.COARSE))]))
    return _simplified(line, what.bound_m, track.fix_time[track.fix_time >= what.hour], crossings)


def _of_kind(track: Track, kind: Flags, flag: Flag) -> Track:
    found = keep(track, kind == flag)
    return replace(found, kind=np.full(len(found), flag, np.uint8))


def _simplified(line: Track, bound_m: float, times: Floats, crossings: Sequence[Row]) -> Rows:
    """Each run with fewer vertices; the last row has the times of all fixes."""
    parts = []
    for number in range(len(line)):
        run = slice(line.offset[number], line.offset[number + 1])
        time, latitude, longitude = line.fix_time[run], line.latitude[run], line.longitude[run]
        bounds = _crossed(time, crossings)
        bounds |= _stay_bounds(time, latitude, longitude, line.accuracy[run], line.speed[run])
        index, latitude, longitude = simplify(time, latitude, longitude, bound_m, bounds)
        columns = {name: getattr(line, name)[run][index] for name in ("speed", "course", "accuracy", "source")}
        parts.append(
            Track(
                line.driver_id[number : number + 1],
                line.kind[number : number + 1],
                line.connected[number : number + 1],
                np.array([0, len(index)]),
                time[index],
                latitude,
                longitude,
                **columns,
            )
        )
    rows = Rows.of(concatenate(parts))
    rows.start[-1], rows.end[-1] = min(rows.start[-1], times[0]), max(rows.end[-1], times[-1])
    return replace(rows, fix_times=[*rows.fix_times[:-1], pack_times(times)])


def _crossed(time: Floats, crossings: Sequence[Row]) -> Bools:
    """(n,) fixes on either side of an event, and that which revealed it."""
    kept = np.zeros(len(time), np.bool_)
    for row in crossings:
        after = int(np.searchsorted(time, row["occurred_at"]))
        kept[max(after - 1, 0) : after + 1] = True
        kept[time == row["detected_at"]] = True
    return kept


def _stay_bounds(time: Floats, latitude: Floats, longitude: Floats, accuracy: Floats, speed: Floats) -> Bools:
    """(n,) the fixes on either side of where a stay begins or ends, by the engine's own rule."""
    state, sigma = stays.empty(1), np.where(accuracy > 0, accuracy, UNSURE_M) / ACCURACY_PER_SIGMA
    row = np.zeros(len(time), np.int64)
    told = (stays.advance(state, row, time, latitude, longitude, speed, sigma, RULE), stays.finish(state))
    bounds = np.concatenate([t for spans in told for t in (spans.start, spans.end)])
    kept = np.zeros(len(time), np.bool_)
    for after in np.searchsorted(time, bounds[np.isfinite(bounds)]).tolist():
        kept[max(after - 1, 0) : after + 1] = True
    return kept
