import numpy as np

from tests.fixes import T0, place
from tracker.records import Track
from tracker.settings import EngineSettings
from tracker.smoothing import noise, smoothed


def test_each_run_is_smoothed_by_itself_and_an_outlier_is_told() -> None:
    t = np.arange(20.0)
    latitude, longitude = place(10 * t + 300 * (t == 7))
    nothing, two = np.full(40, np.nan), np.zeros(2, np.uint8)
    track = Track(
        ["a", "b"],
        two,
        two.astype(np.bool_),
        np.array([0, 20, 40]),
        np.tile(T0 + t, 2),
        np.tile(latitude, 2),
        np.concatenate([longitude, longitude + 1]),
        nothing,
        nothing,
        nothing,
    )
    found, outlier = smoothed(track, EngineSettings())
    assert np.flatnonzero(outlier).tolist() == [7, 27]
    assert found.fix_time.tolist() == track.fix_time.tolist()
    np.testing.assert_allclose(found.longitude[20:] - 1, found.longitude[:20], atol=1e-9)
    np.testing.assert_allclose(found.longitude[:20], place(10 * t)[1], atol=2e-5)
    assert (found.accuracy > 0).all()


def test_every_setting_of_the_filter_reaches_it() -> None:
    settings = EngineSettings()
    for name, value in noise(settings)._asdict().items():
        assert value == getattr(settings, name)
