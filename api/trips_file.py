"""Files of trips for the ETA model: a trip a line, as JSON."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np

from geo.earth import distance
from geo.eta import Trips, trips_of_paths
from tracker.errors import InvalidInput
from tracker.records import Floats

Name: TypeAlias = int | str

MONDAY_S = 4 * 86_400.0
"""The first Monday of Unix time, which began on a Thursday."""


class Line(msgspec.Struct, kw_only=True):
    """One trip as the file has it; of k steps, if it names edges."""

    trip: Name
    departed_at: float | None = None
    """Unix seconds; or `weekday` (0 is Monday) and `minute` of the local day."""
    weekday: float | None = None
    minute: float | None = None
    path: list[tuple[float, float]] = []
    """Longitude and latitude: of k + 1 vertices, where the steps begin and end; else the way they take together."""
    lengths: list[float] | None = None
    edges: list[Name] | None = None
    classes: list[Name] | None = None
    planned: list[float] | None = None
    """Seconds a planner reckons for each step."""
    delays: list[float] | None = None
    """Seconds a planner reckons for the crossing at the end of each step."""
    travel_time: float | None = None


@dataclass(frozen=True, slots=True)
class TripsFile:
    """Trips of a file in its order; `travel_time` is NaN where the file does not say."""

    names: list[str]
    trips: Trips
    travel_time: Floats
    departed_at: Floats
    """(n,) Unix seconds; of a trip with a weekday and a minute that time in some week."""

    def __len__(self) -> int:
        return len(self.names)


def read_trips(path: Path, utc_offset_h: float = 0.0) -> TripsFile:
    """Read a file of trips, by edges if all of them name edges, else by the squares their paths lead through.

    The local time of a weekday and a minute is so many hours ahead of UTC. Raises InvalidInput that says which file,
    line and field cannot be read.
    """
    decode = msgspec.json.Decoder(Line, strict=True).decode
    lines = list[Line]()
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.strip():
                    continue
                try:
                    lines.append(_checked(decode(text.removeprefix(b"\xef\xbb\xbf"))))
                except (msgspec.DecodeError, InvalidInput) as error:
                    raise InvalidInput(f"{path}:{number}: {error}") from None
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    if not lines:
        raise InvalidInput(f"{path}: has no trips")
    taken = [np.nan if line.travel_time is None else line.travel_time for line in lines]
    by_edges = all(line.edges is not None for line in lines)
    return TripsFile(
        [str(line.trip) for line in lines],
        _by_edges(lines) if by_edges else _by_paths(path, lines),
        np.array(taken),
        np.array([_departed_at(line, utc_offset_h) for line in lines]),
    )


def _checked(line: Line) -> Line:
    if line.departed_at is None and (line.weekday is None or line.minute is None):
        raise InvalidInput("departed_at: is required, or weekday and minute", field="departed_at")
    if line.edges is None:
        return line
    k = len(line.edges)
    for name in ("lengths", "classes", "planned", "delays"):
        values = getattr(line, name)
        if values is not None and len(values) != k:
            raise InvalidInput(f"{name}: has {len(values)} values for {k} edges", field=name)
    if line.lengths is None and len(line.path) != k + 1:
        raise InvalidInput(f"lengths: are required, or a path of {k + 1} vertices for {k} edges", field="lengths")
    return line


def _minute(line: Line) -> float:
    """Minute of the week from Monday 00:00."""
    if line.departed_at is not None:
        return (line.departed_at - MONDAY_S) / 60.0 % 10_080.0
    assert line.weekday is not None
    assert line.minute is not None
    return line.weekday * 1440.0 + line.minute


def _departed_at(line: Line, utc_offset_h: float) -> float:
    if line.departed_at is not None:
        return line.departed_at
    return MONDAY_S + 60.0 * _minute(line) - 3600.0 * utc_offset_h


def _by_edges(lines: list[Line]) -> Trips:
    edges = [line.edges or [] for line in lines]
    names = {str(name) for line in lines for name in line.classes or ()}
    classes = tuple(sorted(names))
    code = {name: i for i, name in enumerate(classes)}
    road = [
        [-1] * len(e) if line.classes is None else [code[str(c)] for c in line.classes]
        for line, e in zip(lines, edges, strict=True)
    ]
    ends = [_ends(line, len(e)) for line, e in zip(lines, edges, strict=True)]
    length = [_lengths(line, where) for line, where in zip(lines, ends, strict=True)]
    return Trips.of(
        np.cumsum([0, *map(len, edges)]),
        [_key(edge) for e in edges for edge in e],
        np.concatenate(length),
        [_minute(line) for line in lines],
        road=np.concatenate(road).astype(np.int64),
        classes=classes,
        latitude=np.concatenate([where[1] for where in ends]),
        longitude=np.concatenate([where[0] for where in ends]),
        planned=np.concatenate([_column(line.planned, len(e)) for line, e in zip(lines, edges, strict=True)]),
        delay=np.concatenate([_column(line.delays, len(e)) for line, e in zip(lines, edges, strict=True)]),
    )


def _by_paths(path: Path, lines: list[Line]) -> Trips:
    for line in lines:
        if len(line.path) < 2:
            raise InvalidInput(f"{path}: trip {line.trip}: path: of two vertices or more is required without edges")
    vertices = np.array([vertex for line in lines for vertex in line.path])
    offset = np.cumsum([0, *(len(line.path) for line in lines)])
    minute = np.array([_minute(line) for line in lines])
    return trips_of_paths(offset, vertices[:, 1], vertices[:, 0], minute)


def _key(edge: Name) -> int:
    """A number for an edge's name, the same in every process."""
    if isinstance(edge, int) and 0 <= edge < 1 << 62:
        return edge
    return int.from_bytes(hashlib.blake2b(str(edge).encode(), digest_size=8).digest(), "big") >> 2


def _column(values: list[float] | None, k: int) -> Floats:
    return np.full(k, np.nan) if values is None else np.array(values, np.float64).reshape(k)


def _ends(line: Line, k: int) -> Any:
    """Longitudes (k, 2) and latitudes (k, 2) where each step starts and ends; NaN where the path does not tell."""
    if not len(line.path) or not k:
        return np.full((2, k, 2), np.nan)
    vertices = np.array(line.path, np.float64)
    if len(vertices) != k + 1:
        assert line.lengths is not None
        legs = distance(vertices[:-1, 1], vertices[:-1, 0], vertices[1:, 1], vertices[1:, 0])
        along = np.concatenate([[0.0], np.cumsum(legs)])
        until = np.concatenate([[0.0], np.cumsum(line.lengths)])
        at = until / until[-1] * along[-1] if until[-1] > 0 else np.zeros(k + 1)
        vertices = np.stack([np.interp(at, along, vertices[:, i]) for i in (0, 1)], axis=1)
    return np.stack([vertices[:-1], vertices[1:]], axis=2).transpose(1, 0, 2)


def _lengths(line: Line, ends: Any) -> Floats:
    if line.lengths is not None:
        return np.array(line.lengths, np.float64)
    longitude, latitude = ends
    return np.asarray(distance(latitude[:, 0], longitude[:, 0], latitude[:, 1], longitude[:, 1]), np.float64)
