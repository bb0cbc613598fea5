from typing import get_args

from tracker.records import DeliveryStatus
from tracker.texts import DELIVERY, ETA_WITHDRAWN, Language


def test_every_status_has_a_sentence_in_every_language() -> None:
    assert set(DELIVERY) == set(ETA_WITHDRAWN) == set(get_args(Language))
    assert all(ETA_WITHDRAWN.values())
    for sentences in DELIVERY.values():
        assert set(sentences) == set(get_args(DeliveryStatus))
        assert all(sentences.values())
