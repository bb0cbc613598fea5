"""`tracker replay`: a recorded file through the very same engine, offline; the same file gives the same answer."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np

from api.files import Fixes
from api.recorded import Recorded
from api.warm import warm_up
from tracker.engine import Engine
from tracker.errors import Flag, InvalidInput
from tracker.records import (
    Delivery,
    Event,
    FixBatch,
    Flags,
    Floats,
    Geofence,
    Ints,
    Order,
    Stay,
    Track,
    Transition,
    Trip,
)
from tracker.settings import EngineSettings
from tracker.smoothing import smoothed

BATCH = 4096
"""Fixes of a file without `received_at` go through the engine so many at a time."""


def replay(
    fixes: Fixes,
    out: Path,
    *,
    settings: EngineSettings,
    geofences: Iterable[Geofence] = (),
    orders: Iterable[Order] = (),
    progress: Callable[[int], object] = lambda done: None,
) -> dict[str, Any]:
    """Write positions.csv, track.csv, events.ndjson, stays.csv, trips.csv and summary.json into `out`.

    Returns the summary. `progress` is called with the number of fixes done since the last call. Raises InvalidInput.
    """
    engine = Engine(settings)
    engine.set_geofences(geofences)
    for order in orders:
        engine.set_order(order)
    flag = np.zeros(len(fixes), np.uint8)
    estimate = np.full((5, len(fixes)), np.nan)
    kinds: Counter[str] = Counter()
    spans: list[Stay | Trip] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        warm_up()
        started = time.perf_counter()
        with (out / "events.ndjson").open("wb") as file:
            for events, index, estimates, done in _run(engine, fixes, flag, spans, settings):
                estimate[:, index] = estimates
                file.writelines(_line(event) for event in events)
                kinds.update(_counted(event) for event in events)
                progress(done)
        spans += engine.finish()
        seconds = time.perf_counter() - started
        with (out / "positions.csv").open("w", encoding="utf-8", newline="\n") as text:
            _write_positions(text, fixes, flag, estimate)
        with (out / "track.csv").open("w", encoding="utf-8", newline="\n") as text:
            _write_track(text, fixes, flag, settings)
        _write_spans(out, spans)
        summary = _summary(fixes, flag, kinds, seconds) | {
            "stays": sum(isinstance(span, Stay) for span in spans),
            "trips": sum(isinstance(span, Trip) for span in spans),
        }
        (out / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    except OSError as error:
        raise InvalidInput(f"{error.filename}: cannot be written: {error.strerror}") from None
    return summary


def _run(
    engine: Engine, fixes: Fixes, flag: Flags, spans: list[Stay | Trip], settings: EngineSettings
) -> Iterator[tuple[Sequence[Event], Ints, Floats, int]]:
    """What each batch, and each group of late fixes, tells: events, some fixes
    and their estimates (5, k), how many of them are new; fills in `flag`, adds to `spans`.
    """
    rows = {driver_id: engine.driver_row(driver_id) for driver_id in dict.fromkeys(fixes.driver_id)}
    driver = np.fromiter((rows[driver_id] for driver_id in fixes.driver_id), np.int64, len(fixes))
    received_at = fixes.fix_time if fixes.received_at is None else fixes.received_at
    recorded = Recorded(engine, fixes, driver, settings.retell_after_s)
    for index in _batches(fixes):
        batch = FixBatch(
            driver=driver[index],
            fix_time=fixes.fix_time[index],
            latitude=fixes.latitude[index],
            longitude=fixes.longitude[index],
            speed=fixes.speed[index],
            course=fixes.course[index],
            accuracy=fixes.accuracy[index],
            received_at=received_at[index],
            source=fixes.sources[index],
            sent_at=np.empty(0) if fixes.sent_at is None else fixes.sent_at[index],
        )
        updates = engine.ingest(batch)
        recorded.take(index, batch, updates)
        flag[index] = updates.flag
        spans += updates.spans
        estimate = np.stack([updates.latitude, updates.longitude, updates.speed, updates.course, updates.sigma])
        yield updates.events, index, estimate, len(index)
        for amended in recorded.amended(float(received_at[index].max())):
            yield *amended, 0
    for amended in recorded.amended(math.inf):
        yield *amended, 0
    recorded.tell(flag)


def _batches(fixes: Fixes) -> list[Ints]:
    """Indices of the fixes in the order they arrived and as they came together; without `received_at`, by fix_time."""
    if fixes.received_at is None:
        order = np.argsort(fixes.fix_time, kind="stable")
        return np.split(order, np.arange(BATCH, len(order), BATCH)) if len(order) else []
    order = np.argsort(fixes.received_at, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(fixes.received_at[order])) + 1) if len(order) else []


def _counted(event: Event) -> str:
    """As what the summary counts it: a new version, or its kind."""
    assert isinstance(event, Transition | Delivery)
    return event.kind if event.version == 1 else "withdrawn" if event.withdrawn else "amended"


def _line(event: Event) -> bytes:
    """An event as one line of JSON."""
    fields = msgspec.to_builtins(event)
    if isinstance(event, Transition):
        kind, subject = "geofence.event", {"geofence_id": event.geofence_id}
        rest: dict[str, Any] = {}
    else:
        assert isinstance(event, Delivery)
        kind, subject = "delivery.update", {"order_id": event.order_id}
        rest = {name: fields[name] for name in ("eta", "eta_low", "eta_high") if fields[name] is not None}
    body = {
        "event_id": event.event_id,
        "type": kind,
        "kind": fields["kind"],
        "driver_id": event.driver_id,
        **subject,
        "occurred_at": round(event.occurred_at, 3),
        "detected_at": round(event.detected_at, 3),
        "confidence": event.confidence,
        "late": event.late,
        **rest,
        "version": event.version,
        **({"amends": event.event_id, "withdrawn": event.withdrawn} if event.version > 1 else {}),
        "evidence": fields["evidence"],
    }
    return msgspec.json.encode(body) + b"\n"


def _write_positions(file: TextIO, fixes: Fixes, flag: Flags, estimate: Floats) -> None:
    texts = {int(value): _flag_text(Flag(int(value))) for value in np.unique(flag)}
    columns = (column.tolist() for column in (fixes.fix_time, *estimate, flag))
    file.write("driver_id,timestamp,latitude,longitude,speed,heading,sigma,flag\n")
    file.writelines(
        f"{_quoted(driver)},{t:.3f},{_text(lat, 8)},{_text(lon, 8)},{_text(speed, 3)},{_text(course, 2)},"
        f"{_text(sigma, 3)},{texts[fate]}\n"
        for driver, t, lat, lon, speed, course, sigma, fate in zip(fixes.driver_id, *columns, strict=True)
    )


def _write_spans(out: Path, spans: list[Stay | Trip]) -> None:
    """stays.csv and trips.csv, by driver and time; `ongoing` is 1 where the recording ends before it does."""
    spans = sorted(spans, key=lambda span: (span.driver_id, span.started_at))
    with (out / "stays.csv").open("w", encoding="utf-8", newline="\n") as file:
        file.write("driver_id,started_at,ended_at,latitude,longitude,ongoing\n")
        file.writelines(
            f"{_quoted(s.driver_id)},{s.started_at:.3f},{s.ended_at:.3f},{s.latitude:.7f},{s.longitude:.7f},{s.ongoing:d}\n"
            for s in spans
            if isinstance(s, Stay)
        )
    with (out / "trips.csv").open("w", encoding="utf-8", newline="\n") as file:
        file.write("driver_id,started_at,ended_at,distance,ongoing\n")
        file.writelines(
            f"{_quoted(t.driver_id)},{t.started_at:.3f},{t.ended_at:.3f},{t.distance:.1f},{t.ongoing:d}\n"
            for t in spans
            if isinstance(t, Trip)
        )


def _write_track(file: TextIO, fixes: Fixes, flag: Flags, settings: EngineSettings) -> None:
    """All fixes that came through, by driver, then time, smoothed in the light of each other; no outliers."""
    ids = sorted(set(fixes.driver_id))
    number = {driver_id: i for i, driver_id in enumerate(ids)}
    driver = np.fromiter((number[driver_id] for driver_id in fixes.driver_id), np.int64, len(fixes))
    kept = np.flatnonzero((flag == Flag.ACCEPTED) | (flag == Flag.LATE) | (flag == Flag.OUTLIER))
    index = kept[np.lexsort((fixes.fix_time[kept], driver[kept]))]
    track, outlier = smoothed(
        Track(
            ids,
            np.zeros(len(ids), np.uint8),
            np.zeros(len(ids), np.bool_),
            np.searchsorted(driver[index], np.arange(len(ids) + 1)),
            fixes.fix_time[index],
            fixes.latitude[index],
            fixes.longitude[index],
            fixes.speed[index],
            fixes.course[index],
            fixes.accuracy[index],
        ),
        settings,
    )
    columns = (
        driver[index],
        track.fix_time,
        track.latitude,
        track.longitude,
        track.speed,
        track.course,
        track.accuracy,
    )
    file.write("driver_id,timestamp,latitude,longitude,speed,heading,accuracy\n")
    file.writelines(
        f"{_quoted(ids[who])},{t:.3f},{_text(lat, 8)},{_text(lon, 8)},{_text(speed, 3)},{_text(course, 2)},"
        f"{_text(accuracy, 3)}\n"
        for who, t, lat, lon, speed, course, accuracy in zip(
            *(column[~outlier].tolist() for column in columns), strict=True
        )
    )


def _text(value: float, digits: int) -> str:
    return "" if value != value else f"{value:.{digits}f}"


def _quoted(text: str) -> str:
    """A cell of a CSV file (RFC 4180)."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def _flag_text(flag: Flag) -> str:
    if flag == Flag.ACCEPTED:
        return ""
    return f"rejected:{flag.code}" if flag >= Flag.REJECTED else flag.code


def _summary(fixes: Fixes, flag: Flags, kinds: Counter[str], seconds: float) -> dict[str, Any]:
    values, counts = np.unique(flag, return_counts=True)
    fates = {_flag_text(Flag(int(v))) or "accepted": int(n) for v, n in zip(values, counts, strict=True)}
    return {
        "fixes": len(fixes),
        "drivers": len(set(fixes.driver_id)),
        "flags": fates,
        "events": dict(sorted(kinds.items())),
        "seconds": round(seconds, 3),
        "fixes_per_second": round(len(fixes) / seconds) if seconds > 0 else 0,
    }
