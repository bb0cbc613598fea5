"""A stored track as its driver probably drove it: smoothed, and without the outliers that all its fixes show."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from geo.kalman import Noise
from geo.motion import ACCURACY_PER_SIGMA
from geo.smooth import smooth
from tracker.records import Bools, Track
from tracker.settings import EngineSettings


class Smoothed(NamedTuple):
    """A track of as many fixes; `accuracy` is what the smoother says of its own positions, the radius of 68 %."""

    track: Track
    outlier: Bools  # (k,) fixes that others show to be wrong; they are where the others say


def noise(settings: EngineSettings) -> Noise:
    """The settings of the filter."""
    return Noise(
        default_accuracy_m=float(settings.default_accuracy_m),
        min_accuracy_m=float(settings.min_accuracy_m),
        outlier_share=float(settings.outlier_share),
        outlier_patience=float(settings.outlier_patience),
        filter_reset_s=float(settings.filter_reset_s),
        still_speed_mps=float(settings.still_speed_mps),
    )


def smoothed(track: Track, settings: EngineSettings) -> Smoothed:
    """Smooth each run of a track; its fixes are as measured, outliers among them where they are known."""
    run = np.repeat(np.arange(len(track)), np.diff(track.offset))
    fixes = track.latitude, track.longitude, track.speed, track.course, track.accuracy
    outlier, (latitude, longitude, speed, course, sigma) = smooth(run, track.fix_time, *fixes, noise(settings))
    accuracy = sigma * ACCURACY_PER_SIGMA
    return Smoothed(
        replace(track, latitude=latitude, longitude=longitude, speed=speed, course=course, accuracy=accuracy), outlier
    )
