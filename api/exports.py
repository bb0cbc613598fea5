"""`tracker export`: a driver's stored track as a file, read beside a server that goes on writing."""

import math
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from api.config import Config
from api.formats import FORMATS, written
from api.history import boundaries, thinned
from geo.simplify import MAX_BOUND_M
from storage import open_store
from tracker.codec import parse_time
from tracker.errors import InvalidInput

_EVER = 1e11
"""Seconds; no fix is older or newer."""


@dataclass(frozen=True, slots=True)
class Export:
    """What to write."""

    driver_id: str
    start: float
    end: float
    format: str
    bound_m: float | None

    @classmethod
    def of(cls, driver_id: str, start: str | None, end: str | None, form: str, bound_m: float | None) -> "Export":
        """From the options of the command line. Raises InvalidInput."""
        if form not in FORMATS:
            raise InvalidInput(f'--format: "{form}" is not one of {", ".join(FORMATS)}')
        if bound_m is not None and not 0.0 < bound_m <= MAX_BOUND_M:
            raise InvalidInput(f"--simplify: metres, more than 0 and at most {MAX_BOUND_M:g}")
        begin, finish = _time("--from", start, -_EVER), _time("--to", end, _EVER)
        if finish < begin:
            raise InvalidInput("--from: lies after --to")
        return cls(driver_id, begin, finish, form, bound_m)


async def export_track(config: Config, export: Export, out: Path | None) -> None:
    """Write it to `out` or to standard output. Raises InvalidInput where there is nothing or it cannot be written."""
    store = open_store(config.store)
    try:
        await store.open(read_only=True)
        driver_id, start, end = export.driver_id, export.start, export.end
        first = await anext(store.parts(driver_id, start, end), None)
        if first is None:
            raise InvalidInput(f'there is no fix of the driver "{driver_id}" in that time')
        tracks = store.parts(driver_id, float(first.fix_time[0]), end)
        if export.bound_m is not None:
            tracks = thinned(tracks, export.bound_m, await boundaries(store, config.engine, driver_id, start, end))
        try:
            with out.open("wb") if out else nullcontext(sys.stdout.buffer) as file:
                async for text in written(FORMATS[export.format][1](driver_id), tracks):
                    file.write(text)
                file.flush()
        except OSError as error:
            raise InvalidInput(f"{out or 'standard output'}: cannot be written: {error.strerror}") from None
    finally:
        await store.close()


def _time(name: str, text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        found = parse_time(text)
    except InvalidInput:
        raise InvalidInput(f'{name}: "{text}" is neither ISO 8601 with an offset nor epoch seconds') from None
    return found if math.isfinite(found) else default
