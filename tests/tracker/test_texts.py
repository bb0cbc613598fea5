from typing import get_args

from tracker.records import DeliveryStatus
from tracker.texts import DELIVERY, ETA_WITHDRAWN, Language, language_of


def test_every_status_has_a_sentence_in_every_language() -> None:
    assert set(DELIVERY) == set(ETA_WITHDRAWN) == set(get_args(Language))
    assert all(ETA_WITHDRAWN.values())
    for sentences in DELIVERY.values():
        assert set(sentences) == set(get_args(DeliveryStatus))
        assert all(sentences.values())


def test_a_language_is_found_by_its_first_part() -> None:
    assert [language_of(tag, "zh-TW") for tag in ("en", "EN-gb", "zh", "zh-Hant-TW")] == ["en", "en", "zh-TW", "zh-TW"]
    assert [language_of(tag, "en") for tag in (None, "", "de")] == ["en", "en", "en"]
