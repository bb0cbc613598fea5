"""Reliable messages: on record with their texts in every language, as frames in the language of who hears them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from tracker.channels import channel
from tracker.codec import frame, reliable
from tracker.records import Message
from tracker.texts import LANGUAGES

_TEXTS = "texts"
_MARK = b'"texts":'


def on_record(body: bytes, texts: Mapping[str, Mapping[str, str]]) -> bytes:
    """The JSON object `body` with other languages' texts for some of its fields: `{"en": {"message": "…"}}`."""
    return body[:-1] + b"," + _MARK + msgspec.json.encode(texts) + b"}" if texts else body


def in_language(body: bytes, language: str) -> bytes:
    """A body on record as it is sent to somebody of this language; where it has no texts for it, with its own."""
    if _MARK not in body:
        return body
    fields: dict[str, Any] = msgspec.json.decode(body)
    texts = fields.pop(_TEXTS, None)
    if not isinstance(texts, dict):  # it was of something inside
        return body
    return msgspec.json.encode(fields | texts.get(language, {}))


def frame_of(seq: int, message: Message, language: str) -> bytes:
    """A stored message as a whole frame."""
    body = in_language(message.body, language)
    return frame(reliable(body, event_id=message.event_id, channel=channel(message.topic), seq=seq))


def frames_of(seq: int, message: Message) -> bytes | dict[str, bytes]:
    """A stored message as one whole frame, or as one for each language where it has texts; "" is that of the record."""
    if _MARK in message.body:
        return {language: frame_of(seq, message, language) for language in ("", *LANGUAGES)}
    return frame_of(seq, message, "")
