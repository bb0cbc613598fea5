"""A model as bytes, for a file or a row of a database: numpy arrays in a zip (.npz), read without running anything."""

import io
import json
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geo.eta.boost import Trees
from geo.eta.calibration import Calibration
from geo.eta.effects import EFFECTS
from geo.eta.hierarchy import Hierarchy
from geo.eta.model import Model, UnfitModel

FORMAT = "tracker.eta"
VERSION = 2
"""Raised whenever a model of an older version would be read wrongly."""


def to_bytes(model: Model) -> bytes:
    """The model, so that `from_bytes` gives an equal one."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "kind": model.kind,
        "classes": model.classes,
        "trips": model.trips,
        "effects": [[e.name, e.knots] for e in EFFECTS],
    }
    arrays: dict[str, NDArray[Any]] = {f"trees.{name}": column for name, column in model.trees._asdict().items()}
    arrays |= {"calibration.at": model.calibration.at, "calibration.quantile": model.calibration.quantile}
    for i, effect in enumerate(EFFECTS):
        arrays[f"keys.{i}"] = model.hierarchy.keys[effect.name]
        arrays[f"slowness.{i}"] = model.hierarchy.slowness[effect.name].astype(np.float32)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, head=np.array(json.dumps(head)), **arrays)
    return file.getvalue()


def from_bytes(data: bytes) -> Model:
    """Read a model. Raises UnfitModel where the bytes are not one that this version can use."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}  # each with its checksum
        head = json.loads(str(arrays["head"]))
        if head["format"] != FORMAT:
            raise KeyError
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile):
        raise UnfitModel("this is not an ETA model, or it is damaged: train it again") from None
    if head["version"] != VERSION:
        raise UnfitModel(
            f"the ETA model has version {head['version']}, and this program reads {VERSION}: train it again"
        )
    try:
        if head["effects"] != [[e.name, e.knots] for e in EFFECTS]:
            raise KeyError
        keys = {e.name: arrays[f"keys.{i}"] for i, e in enumerate(EFFECTS)}
        slowness = {e.name: arrays[f"slowness.{i}"].astype(np.float64) for i, e in enumerate(EFFECTS)}
        if any(slowness[e.name].shape != (len(keys[e.name]), e.knots) for e in EFFECTS):
            raise KeyError
        calibration = Calibration(arrays["calibration.at"], arrays["calibration.quantile"])
        trees = Trees(*(arrays[f"trees.{name}"] for name in Trees._fields))
        if trees.feature.shape != trees.threshold.shape or len(trees.leaf) != len(trees.feature):
            raise KeyError
        rest = head["kind"], tuple(head["classes"]), int(head["trips"])
        return Model(Hierarchy(keys, slowness), trees, calibration, *rest)
    except (KeyError, TypeError):
        raise UnfitModel("the ETA model does not fit this program: train it again") from None
