from typing import get_args

from tracker.records import DeliveryStatus
from tracker.texts import DELIVERY, Language


def test_every_status_has_a_sentence_in_every_language() -> None:
    assert set(DELIVERY) == set(get_args(Language))
    for sentences in DELIVERY.values():
        assert set(sentences) == set(get_args(DeliveryStatus))
        assert all(sentences.values())
