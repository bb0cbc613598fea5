"""A stored track becomes a file, also while a server writes to its store."""

import json
from pathlib import Path

import numpy as np
import pytest

from api.config import Config
from api.exports import Export, export_track
from storage import Commit, open_store
from tests.storage.test_passes import drive
from tests.tracks import T0
from tracker.codec import iso
from tracker.errors import ConfigurationError, InvalidInput


async def test_a_track_is_written_beside_its_writer(store_url: str, tmp_path: Path, capfdbinary):
    store = open_store(store_url)
    await store.open()
    t = np.arange(0.0, 60.0, 5.0)
    await store.commit(Commit(track=drive("a", t, t * 10.0)))
    config, out = Config(store=store_url), tmp_path / "a.geojson"
    await export_track(config, Export.of("a", None, None, "geojson", None), out)
    assert json.loads(out.read_bytes())["properties"]["datetimes"] == [iso(T0 + x) for x in t]
    await export_track(config, Export.of("a", iso(T0 + 5), str(T0 + 15), "csv", None), None)
    assert capfdbinary.readouterr().out.count(b"\n") == 3
    await export_track(config, Export.of("a", None, None, "mfjson", 5.0), out)
    assert 2 <= len(json.loads(out.read_bytes())["temporalGeometry"]["coordinates"]) < 8
    with pytest.raises(InvalidInput, match="no fix of the driver"):
        await export_track(config, Export.of("b", None, None, "csv", None), None)
    with pytest.raises(InvalidInput, match="cannot be written: Is a directory"):
        await export_track(config, Export.of("a", None, None, "csv", None), tmp_path)
    await store.close()


async def test_where_there_is_no_store_there_is_nothing_to_export(sqlite_url: str):
    with pytest.raises(ConfigurationError, match="tracker migrate"):
        await export_track(Config(store=sqlite_url), Export.of("a", None, None, "csv", None), None)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("yesterday", None, "csv", None), '--from: "yesterday" is neither'),
        ((None, "2025-01-20T10:30:00", "csv", None), '--to: "2025-01-20T10:30:00" is neither'),
        (("20", "10", "csv", None), "--from: lies after --to"),
        ((None, None, "shp", None), '--format: "shp" is not one of geojson, gpx, csv, mfjson'),
        ((None, None, "csv", 0.0), "--simplify: metres, more than 0"),
    ],
)
def test_what_cannot_be_exported_is_said(options, sentence):
    with pytest.raises(InvalidInput) as refused:
        Export.of("a", *options)
    assert sentence in str(refused.value)
