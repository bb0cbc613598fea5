import msgspec

from tracker.records import Message
from tracker.spoken import frame_of, frames_of, in_language, on_record

BODY = b'{"type":"notification","message":"\xe7\x93\xa6\xe6\x96\xaf","n":1}'
RECORD = on_record(BODY, {"en": {"message": "Gas"}})


def message(body: bytes) -> Message:
    return Message(event_id="e", topic="order:o1@customer:c1", body=body, created_at=0.0)


def test_each_hears_their_own_language_and_nobody_the_others():
    assert msgspec.json.decode(in_language(RECORD, "en")) == {"type": "notification", "message": "Gas", "n": 1}
    assert in_language(RECORD, "zh-TW") == BODY == in_language(RECORD, "")


def test_what_has_no_texts_stays_as_it_is():
    assert on_record(BODY, {}) == BODY
    for body in (BODY, b'{"details":{"a":1,"texts":{"en":{"message":"x"}}}}', b'{"texts":5}'):
        assert in_language(body, "en") == body


def test_a_frame_a_language_and_only_one_where_there_is_nothing_to_say():
    frames = frames_of(7, message(RECORD))
    assert isinstance(frames, dict)
    assert frames["en"] == frame_of(7, message(RECORD), "en")
    assert b'"Gas"' in frames["en"]
    assert frames["zh-TW"] == frames[""]
    assert b"texts" not in b"".join(frames.values())
    assert b'"event_id":"e","channel":"order:o1","seq":7}' in frames["en"]
    assert frames_of(7, message(BODY)) == frame_of(7, message(BODY), "en")
