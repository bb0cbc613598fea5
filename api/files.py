"""Files the command line takes: fixes as CSV, NDJSON, GPX or GeoJSON, orders and geofences as JSON."""

import codecs
import csv
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec
import numpy as np

from api.bodies import read_geofence, read_order
from api.geojson import read_features
from api.gpx import read_points
from tracker.codec import parse_time, source_of
from tracker.errors import InvalidInput
from tracker.records import Flags, Floats, Geofence, Order

NUMBERS = ("latitude", "longitude", "speed", "heading", "accuracy")
FIELDS = ("driver_id", "timestamp", *NUMBERS, "provider", "mock", "received_at", "sent_at")
REQUIRED = ("driver_id", "timestamp", "latitude", "longitude")

_FLAGS = {"": False, "0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}

T = TypeVar("T", Order, Geofence)

Row = tuple[int, dict[str, Any]]
"""Line (or number of the feature) and fields of one fix, as the file has them."""
Reader = Callable[[BinaryIO], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Fixes:
    """Fixes of a file in its order, in columns of shape (n,); NaN is not known."""

    driver_id: list[str]
    fix_time: Floats
    latitude: Floats
    longitude: Floats
    speed: Floats
    course: Floats
    accuracy: Floats
    received_at: Floats | None  # None: the file does not say
    source: Flags | None = None  # of Source; None: not known of any
    sent_at: Floats | None = None  # NaN where not known

    def __len__(self) -> int:
        return len(self.driver_id)

    @property
    def sources(self) -> Flags:
        """Source of each, 0 where not known."""
        return np.zeros(len(self), np.uint8) if self.source is None else self.source


def read_fixes(path: Path, driver_id: str | None = None) -> Fixes:
    """All fixes of a CSV, NDJSON, GPX or GeoJSON file.

    Those without a driver are `driver_id`'s, in a GPX file its stem's.

    Raises InvalidInput that says which file, line and field cannot be read.
    """
    with _opened(path) as (file, reader):
        return _collect(reader(file), _owner(path, driver_id))


def read_parts(
    path: Path, driver_id: str | None, most: int, progress: Callable[[int], object] = lambda done: None
) -> Iterator[Fixes]:
    """The same in parts of at most so many fixes; `progress` is told the bytes read since the last call."""
    with _opened(path) as (file, reader):
        rows, told = reader(file), 0
        while part := list(islice(rows, most)):
            yield _collect(part, _owner(path, driver_id))
            done = file.tell()
            progress(done - told)
            told = done


def check_file(path: Path) -> None:
    """Raises InvalidInput for a file that is not there or not of a known kind."""
    with _opened(path):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Reader]]:
    """The file and what reads it. Raises InvalidInput that begins with the path."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path}: fixes are read from {', '.join(_READERS)} files")
    try:
        with path.open("rb") as file:
            yield file, reader
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: is not UTF-8 text") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}:{error}", field=error.field) from None


def _owner(path: Path, driver_id: str | None) -> str | None:
    """Whose the fixes are that do not say so."""
    return driver_id or path.stem if path.suffix.lower() == ".gpx" else driver_id


def read_orders(path: Path) -> list[Order]:
    """Orders from a JSON list of bodies, each with an `order_id`. Raises InvalidInput."""
    return _read_documents(path, "order", "orders", read_order)


def read_geofences(path: Path) -> list[Geofence]:
    """Geofences from a FeatureCollection or a JSON list of Features, each with an `id`. Raises InvalidInput."""
    return _read_documents(path, "geofence", "features", read_geofence)


# Rows of each format


def _csv_rows(file: BinaryIO) -> Iterator[Row]:
    reader = csv.reader(codecs.iterdecode(file, "utf-8-sig"), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header)
        for cells in reader:
            if len(cells) == len(header):
                yield reader.line_num, dict(zip(header, cells, strict=True))
            elif cells:
                raise InvalidInput(f"{reader.line_num}: has {len(cells)} cells where the header has {len(header)}")
    except csv.Error as error:
        raise InvalidInput(f"{reader.line_num}: not a valid CSV file: {error}") from None


def _check_header(header: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in header and name != "driver_id"]
    if missing:
        raise InvalidInput(f"1: the header lacks {', '.join(missing)}", field=missing[0])
    repeated = [name for name in FIELDS if header.count(name) > 1]
    if repeated:
        raise InvalidInput(f"1: the header has {repeated[0]} twice", field=repeated[0])


def _ndjson_rows(file: BinaryIO) -> Iterator[Row]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for line, text in enumerate(file, 1):
        if text.strip():
            try:
                yield line, decode(text.removeprefix(b"\xef\xbb\xbf"))
            except msgspec.DecodeError as error:
                raise InvalidInput(f"{line}: not a JSON object: {error}") from None


_READERS: dict[str, Reader] = {
    ".csv": _csv_rows,
    ".ndjson": _ndjson_rows,
    ".jsonl": _ndjson_rows,
    ".gpx": read_points,
    ".geojson": read_features,
    ".json": read_features,
}


# From rows to columns


def _collect(rows: Iterable[Row], driver_id: str | None) -> Fixes:
    drivers: list[str] = []
    times: list[float] = []
    received: list[float] = []
    sent: list[float] = []
    sources: list[int] = []
    numbers: dict[str, list[float]] = {name: [] for name in NUMBERS}
    for line, row in rows:
        try:
            drivers.append(_driver(row.get("driver_id"), driver_id))
            times.append(_time(row, "timestamp"))
            for name, column in numbers.items():
                column.append(_number(row, name))
            sources.append(source_of(_provider(row), _flag(row, "mock")))
            sent.append(_time(row, "sent_at") if row.get("sent_at") not in ("", None) else math.nan)
            if row.get("received_at") not in ("", None):
                received.append(_time(row, "received_at"))
        except InvalidInput as error:
            raise InvalidInput(f"{line}: {error}", field=error.field) from None
        if received and len(received) < len(drivers):
            raise InvalidInput(f"{line}: received_at: is given for all fixes or for none", field="received_at")
    column_of = {name: np.array(column, np.float64) for name, column in numbers.items()}
    return Fixes(
        drivers,
        np.array(times, np.float64),
        column_of["latitude"],
        column_of["longitude"],
        _known(column_of["speed"]),
        _known(column_of["heading"]) % 360.0,
        _known(column_of["accuracy"]),
        np.array(received, np.float64) if received else None,
        np.array(sources, np.uint8) if any(sources) else None,
        np.array(sent, np.float64) if not np.isnan(sent).all() else None,
    )


def _driver(value: Any, default: str | None) -> str:
    if value in ("", None):
        if default is None:
            raise InvalidInput("driver_id: is required", field="driver_id")
        return default
    return str(value)


def _time(row: dict[str, Any], name: str) -> float:
    value = row.get(name)
    if value in ("", None):
        raise InvalidInput(f"{name}: is required", field=name)
    try:
        return parse_time(str(value))
    except InvalidInput:
        reason = "is neither ISO 8601 with an offset nor epoch seconds or milliseconds"
        raise InvalidInput(f'{name}: "{value}" {reason}', field=name) from None


def _number(row: dict[str, Any], name: str) -> float:
    value = row.get(name)
    if value in ("", None):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidInput(f'{name}: "{value}" is not a number', field=name) from None


def _provider(row: dict[str, Any]) -> str | None:
    value = row.get("provider")
    return value.strip() if isinstance(value, str) else None


def _flag(row: dict[str, Any], name: str) -> bool:
    value = row.get(name)
    text = "" if value is None else str(value).strip().lower()
    if text not in _FLAGS:
        raise InvalidInput(f'{name}: "{value}" is neither true nor false', field=name)
    return _FLAGS[text]


def _known(values: Floats) -> Floats:
    """NaN where there is no such value, and for the -1 by which phones say that they do not know."""
    return np.where(np.isfinite(values) & (values >= 0.0), values, np.nan)


# Documents


def _read_documents(path: Path, noun: str, member: str, read: Callable[[str, Any], T]) -> list[T]:
    try:
        content = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: not valid JSON: {error}") from None
    bodies = content.get(member) if isinstance(content, dict) else content
    if not isinstance(bodies, list):
        raise InvalidInput(f"{path}: must be a JSON list, or an object with the list {member}", field=member)
    documents: dict[str, T] = {}
    for number, body in enumerate(bodies, 1):
        try:
            key = _key(body, f"{noun}_id")
            if key in documents:
                raise InvalidInput(f'{noun}_id: "{key}" is there twice', field=f"{noun}_id")
            documents[key] = read(key, body)
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {noun} {number}: {error}", field=error.field) from None
    return list(documents.values())


def _key(body: Any, name: str) -> str:
    """The id: `order_id` or `geofence_id`, else `id`, of the body or of its properties."""
    for members in (body, body.get("properties") if isinstance(body, dict) else None):
        if isinstance(members, dict):
            for key in (name, "id"):
                if members.get(key) not in (None, ""):
                    return str(members[key])
    raise InvalidInput(f"{name}: is required", field=name)
