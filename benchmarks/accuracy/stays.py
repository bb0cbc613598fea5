"""B1, B2: when drivers stop and go on, against the speed of the car, and against a person's diary."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from benchmarks.accuracy.data import Ride, rows, whu
from benchmarks.accuracy.report import Row
from geo.earth import metres_per_degree
from tracker.engine import Engine
from tracker.records import Bools, FixBatch, Floats, Stay
from tracker.settings import EngineSettings

STEPS = {1.0: (3, 0.982, 7.0), 5.0: (4, 0.986, 4.0), 10.0: (5, 0.979, 6.0)}
"""By seconds between fixes: error of start and end wanted; F1 and start error of the best rule known, within 4 m."""
STOP_MPS, STOP_S, ALSO_S = 0.3, 30.0, 20.0
"""A true stop is slower than this for STOP_S; one of ALSO_S is none to be found, and to find it is no mistake."""
TRAFFIC = EngineSettings(stay_after_s=STOP_S, stay_radius_m=4.0, stay_merge_s=1.0)
DIARY_RULE = 52.0, 130.0
"""The best radius and duration known for MovingPandas' rule on the diary."""

Spans = list[tuple[float, float]]


def measure() -> Iterator[Row]:
    """B1 with the settings for traffic at three sampling rates, B2 with those for deliveries."""
    for step, (wanted, others_f1, others_error) in STEPS.items():
        fixes = [ride.every(step) for ride in whu()]
        f1, start, end = score(found(fixes, TRAFFIC))
        raw_f1, raw_start, raw_end = score([within(ride, 15.0, STOP_S) for ride in fixes])
        name = f"stops of {STOP_S:.0f} s, {step:.0f} s"
        yield Row("B1", f"{name}: F1 (raw: within 15 m)", f1, ">= 0.99", raw_f1, others_f1, 3)
        yield Row("B1", f"{name}: start error p95 s", start, f"<= {wanted}", raw_start, others_error, 1)
        yield Row("B1", f"{name}: end error p95 s", end, f"<= {wanted}", raw_end, None, 1)
    ride, stop = diary()
    ours = f1_of(inside(ride.time, found([ride], EngineSettings())[0]), stop)
    yield Row(
        "B2",
        "diary: F1 of samples",
        ours,
        ">= 0.93",
        None,
        f1_of(inside(ride.time, within(ride, *DIARY_RULE)), stop),
        3,
    )


def found(fixes: list[Ride], settings: EngineSettings) -> list[Spans]:
    """The stays that the engine tells of each ride."""
    engine = Engine(settings)
    driver = np.repeat([engine.driver_row(str(i)) for i in range(len(fixes))], [len(ride.time) for ride in fixes])
    time, latitude, longitude = (
        np.concatenate([getattr(ride, name) for ride in fixes]) for name in ("time", "latitude", "longitude")
    )
    unknown = np.full(len(time), np.nan)
    spans = engine.ingest(FixBatch(driver, time, latitude, longitude, unknown, unknown, unknown, time)).spans
    stays: list[Spans] = [[] for _ in fixes]
    for span in [*spans, *engine.finish()]:
        if isinstance(span, Stay):
            stays[int(span.driver_id)].append((span.started_at, span.ended_at))
    return stays


def score(stays: list[Spans]) -> tuple[float, float, float]:
    """F1, and the 95th percentile of the errors of start and end: a stay is the true stop that it overlaps most.

    A ride's first and last fixes cut stops off: what happened then is not known, and is no error.
    """
    true = matched = wrong = 0
    errors: tuple[list[float], list[float]] = [], []
    for ride, told in zip(whu(), stays, strict=True):
        stops = standing(ride)
        used = set()
        for start, end in (stop for stop in stops if stop[1] - stop[0] >= STOP_S):
            true += 1
            overlaps = [(min(end, b) - max(start, a), i) for i, (a, b) in enumerate(told) if i not in used]
            if overlaps and max(overlaps)[0] > 0:
                i = max(overlaps)[1]
                used.add(i)
                matched += 1
                if start > ride.time[0]:
                    errors[0].append(abs(told[i][0] - start))
                if end < ride.time[-1]:
                    errors[1].append(abs(told[i][1] - end))
        for i, (a, b) in enumerate(told):
            near = any(min(end, b) > max(start, a) and end - start >= ALSO_S for start, end in stops)
            wrong += i not in used and not near
    f1 = 2 * matched / (true + matched + wrong)
    return f1, float(np.percentile(errors[0], 95)), float(np.percentile(errors[1], 95))


def standing(ride: Ride) -> Spans:
    """When the car stood, truly."""
    still = np.concatenate([[False], ride.true_speed < STOP_MPS, [False]])
    start, end = np.flatnonzero(still[1:] & ~still[:-1]), np.flatnonzero(still[:-1] & ~still[1:]) - 1
    return list(zip(ride.time[start].tolist(), ride.time[end].tolist(), strict=True))


def within(ride: Ride, radius: float, seconds: float) -> Spans:
    """The rule of MovingPandas: as long as all fixes are within a radius of their mean, and for so many seconds."""
    north, east = metres_per_degree(ride.latitude[0])
    x, y = (ride.longitude - ride.longitude[0]) * east, (ride.latitude - ride.latitude[0]) * north
    spans, i = [], 0
    while i < len(x):
        j = i + 1
        while (
            j < len(x)
            and np.hypot(x[i : j + 1] - x[i : j + 1].mean(), y[i : j + 1] - y[i : j + 1].mean()).max() <= radius
        ):
            j += 1
        if ride.time[j - 1] - ride.time[i] >= seconds:
            spans.append((float(ride.time[i]), float(ride.time[j - 1])))
            i = j
        else:
            i += 1
    return spans


def diary() -> tuple[Ride, Bools]:
    """A person's day on foot and wheels, and which of its samples the diary calls a stop."""
    samples = rows("stopgo_diary_example/preprocessed_example.csv")
    time = np.array([datetime.fromisoformat(row["ts"]).timestamp() for row in samples])
    latitude, longitude = (np.array([float(row[name]) for row in samples]) for name in ("latitude", "longitude"))
    unknown = np.full(len(time), np.nan)
    ride = Ride("diary", "person", "phone", time, latitude, longitude, unknown, unknown, unknown)
    return ride, np.array([row["diary_label"] == "stop" for row in samples])


def inside(time: Floats, spans: Spans) -> Bools:
    """Which samples lie in a span."""
    return np.array([any(start <= t <= end for start, end in spans) for t in time.tolist()])


def f1_of(told: Bools, true: Bools) -> float:
    return float(2 * (told & true).sum() / (told.sum() + true.sum()))
