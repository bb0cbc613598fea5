import numpy as np

from tracker.errors import Flag
from tracker.judgements import judgements
from tracker.records import Revisions


def test_the_last_word_counts() -> None:
    revised = Revisions(np.array([1, 0, 1, 1]), np.array([5.0, 5.0, 6.0, 5.0]), np.array([True, True, True, False]))
    assert judgements(revised, ["a", "b"]) == [
        ("b", 5.0, Flag.ACCEPTED),
        ("a", 5.0, Flag.OUTLIER),
        ("b", 6.0, Flag.OUTLIER),
    ]
