import numpy as np
import pytest

from geo.eta import Model, UnfitModel, from_bytes, stored, to_bytes
from tests import towns


@pytest.mark.parametrize("n", [0, 300])
def test_a_model_survives_as_bytes(n: int) -> None:
    trips, taken = towns.trips(300)
    model = Model.fit(trips.take(np.arange(n)), taken[:n])
    again = from_bytes(to_bytes(model))

    np.testing.assert_allclose(again.predict(trips), model.predict(trips), rtol=1e-5)
    assert (again.kind, again.classes, again.trips) == (model.kind, model.classes, n)


def test_damaged_bytes_are_refused() -> None:
    data = bytearray(to_bytes(Model.empty()))
    data[len(data) // 2] ^= 0xFF
    for bad in (b"", b"PK", b"not a model", bytes(data), to_bytes(Model.empty())[:-30]):
        with pytest.raises(UnfitModel, match="train it again"):
            from_bytes(bad)


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "VERSION", stored.VERSION + 1)
    data = to_bytes(Model.empty())
    monkeypatch.undo()

    with pytest.raises(UnfitModel, match=f"version {stored.VERSION + 1}"):
        from_bytes(data)


def test_other_effects_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "EFFECTS", stored.EFFECTS[:-1])
    data = to_bytes(Model.empty())
    monkeypatch.undo()

    with pytest.raises(UnfitModel, match="does not fit"):
        from_bytes(data)
