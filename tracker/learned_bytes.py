"""What was learned as bytes, for a row of the store: numpy arrays in a zip (.npz), read without running anything."""

import io
import zipfile
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from geo.eta import UnfitModel
from geo.intervals import AT_S, QUANTILES, Intervals
from geo.speeds import CELL_M, HEADINGS, HOURS
from tracker.corridors import Corridors
from tracker.learning import Learned

FORMAT = "tracker.eta.live"
VERSION = 2
"""Raised whenever an older one would be read wrongly."""
MOST_BYTES = 256 << 20
"""Unpacked; nothing that is learned comes near it."""


def to_bytes(learned: Learned) -> bytes:
    """The state, so that `from_bytes` gives an equal one, to single precision."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "cell_m": CELL_M,
        "trips": learned.trips,
        "until": learned.until,
        "by_driver": learned.by_driver,
        "by_place": learned.by_place,
    }
    drives = [(end, drive) for end, found in learned.corridors.items() for drive in found]
    row, hour = np.nonzero(learned.driven.any(axis=0))
    file = io.BytesIO()
    np.savez_compressed(
        file,
        allow_pickle=False,
        head=np.frombuffer(msgspec.json.encode(head), np.uint8),
        cell=learned.cell,
        row=row.astype(np.int32),
        hour=hour.astype(np.uint8),
        driven=learned.driven[:, row, hour].astype(np.float32),
        headed=learned.headed.astype(np.float32),
        circuity=learned.circuity,
        service=learned.service,
        strayed=learned.intervals.strayed,
        assumed=learned.assumed.strayed,
        corridor_end=np.array([end for end, _ in drives], np.int64),
        corridor_stop=np.cumsum([drive.shape[1] for _, drive in drives], dtype=np.int64),
        corridor=np.round(np.concatenate([np.empty((2, 0)), *(drive for _, drive in drives)], axis=1) * 1e6).astype(
            np.int32
        ),
    )
    return file.getvalue()


def from_bytes(data: bytes) -> Learned:
    """Read a state. Raises UnfitModel where the bytes are not one that this version can use."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            if sum(part.file_size for part in file.zip.infolist()) > MOST_BYTES:
                raise UnfitModel(f"the live ETA model has more than {MOST_BYTES >> 20} MiB: learn it from fewer places")
            arrays = {name: file[name] for name in file.files}  # each with its checksum
        head = msgspec.json.decode(arrays["head"].tobytes())
        if head["format"] != FORMAT:
            raise KeyError
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile):
        raise UnfitModel("this is not a live ETA model, or it is damaged: it has to be learned again") from None
    if head["version"] != VERSION or head["cell_m"] != CELL_M:
        raise UnfitModel(
            f"the live ETA model has version {head['version']} with cells of {head['cell_m']} m, "
            f"and this program reads {VERSION} with {CELL_M} m: it has to be learned again"
        )
    try:
        learned = _learned(head, arrays)
        _check(learned)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        raise UnfitModel("the live ETA model does not fit this program: it has to be learned again") from None
    return learned


def _learned(head: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Learned:
    cell = arrays["cell"]
    driven = np.zeros((2, len(cell), HOURS))
    driven[:, arrays["row"], arrays["hour"]] = arrays["driven"]
    return Learned(
        trips=float(head["trips"]),
        until=float(head["until"]),
        cell=cell,
        driven=driven,
        headed=arrays["headed"].astype(np.float64).reshape(2, len(cell), HEADINGS),
        circuity=arrays["circuity"],
        service=arrays["service"],
        by_driver={key: (float(n), float(s)) for key, (n, s) in head["by_driver"].items()},
        by_place={key: (float(n), float(s)) for key, (n, s) in head["by_place"].items()},
        intervals=Intervals(arrays["strayed"]),
        assumed=Intervals(arrays["assumed"]),
        corridors=_corridors(arrays),
    )


def _check(learned: Learned) -> None:
    """Raises ValueError where a number is none that can have been learned; the engine would predict with it."""
    known = [np.array(list(sums.values())) for sums in (learned.by_driver, learned.by_place)]
    sums = [*known, learned.driven, learned.headed, learned.circuity.reshape(2), learned.service.reshape(2)]
    sums.append(np.array([learned.trips]))
    tables = learned.intervals.strayed, learned.assumed.strayed
    shape = 2, len(AT_S), len(QUANTILES)
    drives = [drive for found in learned.corridors.values() for drive in found]
    if not (
        learned.cell.dtype == np.int64
        and (np.diff(learned.cell) > 0).all()
        and all(np.isfinite(each).all() and (each >= 0).all() for each in sums)
        and np.isfinite(learned.until)
        and all(t.shape == shape and np.isfinite(t).all() and (np.diff(t) >= 0).all() for t in tables)
        and all(drive.shape[1] > 1 and np.abs(drive).max() <= 180.0 for drive in drives)
    ):
        raise ValueError


def _corridors(arrays: dict[str, NDArray[Any]]) -> Corridors:
    found: Corridors = {}
    drives = np.split(arrays["corridor"] / 1e6, arrays["corridor_stop"][:-1], axis=1)
    for end, drive in zip(arrays["corridor_end"].tolist(), drives, strict=False):
        found.setdefault(end, []).append(drive)
    return found
