import io
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from geo.eta import UnfitModel
from geo.intervals import Intervals, cold_intervals
from tests.tracker.test_learning import SETTINGS, drive
from tracker import learned_bytes
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
    np.testing.assert_allclose(after.headed, before.headed, rtol=1e-6)
    model = after.model(3, SETTINGS)
    np.testing.assert_allclose(model.speeds.pace, before.model(3, SETTINGS).speeds.pace, rtol=1e-5)
    drive(after, 12.0)  # and goes on learning
    assert after.trips == 2


def test_intervals_come_back() -> None:
    state = learned()
    state.intervals, state.assumed = (Intervals(cold_intervals().strayed * share) for share in (0.5, 0.7))
    after = from_bytes(to_bytes(state))
    np.testing.assert_array_equal(after.intervals.strayed, state.intervals.strayed)
    np.testing.assert_array_equal(after.assumed.strayed, state.assumed.strayed)


@pytest.mark.parametrize(
    "change",
    [
        {"circuity": np.array([np.nan, 1.0])},
        {"service": np.array([1.0, -5.0])},
        {"by_place": {"x": (np.inf, 1.0)}},
        {"trips": np.nan},
        {"until": np.inf},
        {"intervals": Intervals(cold_intervals().strayed[:, :, ::-1])},
        {"assumed": Intervals(np.full_like(cold_intervals().strayed, np.inf))},
        {"corridors": {1: [np.array([[25.0, 25.1], [999.0, 121.0]])]}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_numbers_that_cannot_have_been_learned_are_refused(change: dict) -> None:
    with pytest.raises(UnfitModel, match="learned again"):
        from_bytes(to_bytes(replace(learned(), **change)))


def test_cells_out_of_order_are_refused() -> None:
    state = learned()
    with pytest.raises(UnfitModel, match="learned again"):
        from_bytes(to_bytes(replace(state, cell=state.cell[::-1].copy())))


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned_bytes, "MOST_BYTES", 1000)
    with pytest.raises(UnfitModel, match="fewer places"):
        from_bytes(to_bytes(learned()))


@pytest.mark.parametrize("data", [b"", b"PK nonsense", to_bytes(learned())[:-40]])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(UnfitModel, match="learned again"):
        from_bytes(data)


@pytest.mark.parametrize("fields", [{"version": 99}, {"cell_m": 100.0}, {"format": "other"}, {"by_driver": 3}])
def test_a_model_of_another_kind_is_refused_with_the_reason(fields: dict) -> None:
    from_bytes(changed())
    with pytest.raises(UnfitModel, match="learned again"):
        from_bytes(changed(**fields))
