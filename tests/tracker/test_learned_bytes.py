import io

import msgspec
import numpy as np
import pytest

from geo.eta import UnfitModel
from tests.tracker.test_learning import SETTINGS, drive
from tracker.learned_bytes import from_bytes, to_bytes
from tracker.learning import Learned


def learned() -> Learned:
    state = Learned(until=123.5)
    drive(state, 12.0)
    state.add_stop("d", "25.0,121.0", 77.0)
    return state


def changed(**fields) -> bytes:
    """The bytes of a state with another head."""
    with np.load(io.BytesIO(to_bytes(learned()))) as file:
        arrays = {name: file[name] for name in file.files}
    head = msgspec.json.decode(arrays.pop("head").tobytes()) | fields
    out = io.BytesIO()
    np.savez(out, head=np.frombuffer(msgspec.json.encode(head), np.uint8), **arrays)
    return out.getvalue()


def test_a_state_comes_back_as_it_was() -> None:
    before, after = learned(), from_bytes(to_bytes(learned()))
    assert (after.trips, after.until, after.by_driver, after.by_place) == (
        before.trips,
        before.until,
        before.by_driver,
        before.by_place,
    )
    assert list(after.corridors) == list(before.corridors)
    assert len(after.corridors) == 1
    for one, other in zip(after.corridors.values(), before.corridors.values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_array_equal(after.cell, before.cell)
    np.testing.assert_allclose(after.driven, before.driven, rtol=1e-6)
    model = after.model(3, SETTINGS)
    np.testing.assert_allclose(model.speeds.pace, before.model(3, SETTINGS).speeds.pace, rtol=1e-5)
    drive(after, 12.0)  # and goes on learning
    assert after.trips == 2


@pytest.mark.parametrize("data", [b"", b"PK nonsense", to_bytes(learned())[:-40]])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(UnfitModel, match="learned again"):
        from_bytes(data)


@pytest.mark.parametrize("fields", [{"version": 99}, {"cell_m": 100.0}, {"format": "other"}, {"by_driver": 3}])
def test_a_model_of_another_kind_is_refused_with_the_reason(fields: dict) -> None:
    from_bytes(changed())
    with pytest.raises(UnfitModel, match="learned again"):
        from_bytes(changed(**fields))
