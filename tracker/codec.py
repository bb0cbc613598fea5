"""The wire: bytes to reports and messages, messages to bytes and frames. Nothing else knows it."""

import json
import math
import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from tracker.errors import REFUSALS, Flag, InvalidInput, InvalidMessage, MalformedJSON, MessageTooLarge, UnknownType
from tracker.literals import INTEGER, MILLISECONDS_FROM
from tracker.messages import (
    AnyClientMessage,
    ClientMessage,
    Columns,
    Fix,
    LocationBatch,
    LocationUpdate,
    Rejected,
    Seq,
    ServerMessage,
    Timestamp,
)
from tracker.records import Source
from tracker.scan import BY_PROVIDER, MAX_FIXES, Rows, scan

_TYPES = {member.__struct_config__.tag for member in AnyClientMessage.__args__}
_COLUMNS = Columns.__struct_fields__
_EITHER = "location_batch: give either fixes or columns."
_UNEQUAL = "location_batch: all columns must have the same length."
_PROVIDERS = {name: source for source, names in BY_PROVIDER.items() for name in names}

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")
_decode = msgspec.json.Decoder(AnyClientMessage).decode
_encode = msgspec.json.Encoder().encode


class Report(msgspec.Struct, eq=False):
    """Fixes of one driver as one message brought them."""

    seq: int | None  # None: nobody waits for an ack
    fixes: Rows  # (n, 7) in the columns of `tracker.scan`
    sent_at: float = math.nan
    index: list[int] | None = None  # place of each fix in the message; None: 0 to n - 1
    rejected: list[Rejected] = []

    def __len__(self) -> int:
        return len(self.fixes)


def decode(data: bytes, received_at: float) -> Report | ClientMessage:
    """One client message; location_update and location_batch become a Report, other types what they are.

    A fix that cannot be read is in `rejected` and harms no other. Raises InvalidMessage and its children, with
    `ref` where the message has a `seq`.
    """
    seq, sent_at, fixes = scan(data, received_at)
    if len(fixes):
        return Report(seq if seq >= 0 else None, fixes, sent_at)
    try:
        message: AnyClientMessage = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _decode_fix_by_fix(data, received_at, error)
    check_text(data)
    if isinstance(message, LocationUpdate):
        report = _report_of_fixes(message.seq, [message], received_at)
    elif isinstance(message, LocationBatch):
        try:
            report = _report_of_batch(message, received_at)
        except InvalidMessage as error:
            error.ref = message.seq
            raise
    else:
        return message
    if message.sent_at is not None:
        report.sent_at = _time(message.sent_at, math.nan)
    return report


def check_text(data: bytes) -> None:
    """Raises MalformedJSON for half a surrogate pair, which JSON can write and UTF-8 cannot."""
    if _SURROGATE.search(data):
        with suppress(ValueError, RecursionError):  # whoever decodes it says so
            text = json.dumps(json.loads(data), ensure_ascii=False)
            if _HALF.search(text):
                raise MalformedJSON("A text has half of a surrogate pair; escape whole characters only.")


def encode(message: ServerMessage) -> bytes:
    """The message as JSON; NaN becomes null."""
    return _encode(message)


def frame(payload: bytes) -> bytes:
    """One unmasked, unfragmented WebSocket text frame, as a server sends it (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def reliable(body: bytes, *, event_id: str, channel: str, seq: int) -> bytes:
    """The JSON object `body` with these three fields at its end, where they win over any of the same name."""
    comma = b"," if len(body) > 2 else b""
    return b'%b%b"event_id":%b,"channel":%b,"seq":%d}' % (body[:-1], comma, _encode(event_id), _encode(channel), seq)


def iso(t: float) -> str:
    """Unix seconds as ISO 8601 UTC, with milliseconds only where they are not zero."""
    moment = datetime.fromtimestamp(round(t, 3), UTC)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")[:-6] + "Z"


def parse_time(text: str) -> float:
    """Unix seconds, to the millisecond, from ISO 8601 with an offset or epoch seconds or milliseconds.

    Raises InvalidInput.
    """
    try:
        number = float(text)
    except ValueError:
        return _parse_iso(text)
    if not math.isfinite(number):
        raise InvalidInput(REFUSALS[Flag.INVALID_TIMESTAMP])
    return _seconds(number)


def _parse_iso(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(REFUSALS[Flag.INVALID_TIMESTAMP]) from None
    if moment.tzinfo is None:
        raise InvalidInput(REFUSALS[Flag.INVALID_TIMESTAMP])
    return _seconds(moment.timestamp())


# Messages in which all is well


def _report_of_batch(batch: LocationBatch, received_at: float) -> Report:
    if batch.fixes is not None and batch.columns is None:
        _check_size(batch.fixes)
        return _report_of_fixes(batch.seq, batch.fixes, received_at)
    if batch.columns is not None and batch.fixes is None:
        return _report_of_columns(batch.seq, batch.columns, received_at)
    raise InvalidMessage(_EITHER)


def _report_of_fixes(seq: int | None, fixes: Sequence[Fix | LocationUpdate], received_at: float) -> Report:
    return _report(
        seq,
        _times([fix.timestamp for fix in fixes], received_at),
        [fix.latitude for fix in fixes],
        [fix.longitude for fix in fixes],
        _known([fix.speed for fix in fixes]),
        _courses([fix.heading for fix in fixes]),
        _known([fix.accuracy for fix in fixes]),
        _sources([fix.provider for fix in fixes], [fix.mock for fix in fixes]),
    )


def _report_of_columns(seq: int | None, columns: Columns, received_at: float) -> Report:
    n = len(columns.latitude)
    _check_size(columns.latitude)
    for name in _COLUMNS:
        column = getattr(columns, name)
        if column is not None and len(column) != n:
            raise InvalidMessage(_UNEQUAL, field="columns")
    absent = [None] * n
    return _report(
        seq,
        _times(columns.timestamp or absent, received_at),
        columns.latitude,
        columns.longitude,
        _known(columns.speed or absent),
        _courses(columns.heading or absent),
        _known(columns.accuracy or absent),
        _sources(columns.provider or absent, columns.mock or absent),
    )


def _report(seq: int | None, *columns: list[float]) -> Report:
    return Report(seq, np.array(columns, np.float64).T)


def _check_size(fixes: Sequence[Any]) -> None:
    if len(fixes) > MAX_FIXES:
        raise MessageTooLarge(f"A location_batch holds at most {MAX_FIXES} fixes; send smaller batches.")


def _times(stamps: Sequence[Any], received_at: float) -> list[float]:
    try:
        if stamps and type(stamps[0]) is float:
            return [
                ((stamp if stamp > MILLISECONDS_FROM else stamp * 1000.0) + INTEGER - INTEGER) / 1000.0
                for stamp in stamps
            ]
        return [(stamp.timestamp() * 1000.0 + INTEGER - INTEGER) / 1000.0 for stamp in stamps]
    except (AttributeError, TypeError):  # a mixture of texts, numbers and nothing
        return [_time(stamp, received_at) for stamp in stamps]


def _time(stamp: Timestamp, received_at: float) -> float:
    if stamp is None:
        return _seconds(received_at)
    return _seconds(stamp.timestamp() if isinstance(stamp, datetime) else stamp)


def _seconds(number: float) -> float:
    milliseconds = number if number > MILLISECONDS_FROM else number * 1000.0
    return (milliseconds + INTEGER - INTEGER) / 1000.0


def _sources(providers: Sequence[str | None], mocks: Sequence[bool | None]) -> list[float]:
    if not (any(providers) or any(mocks)):
        return [0.0] * len(providers)
    return [float(source_of(provider, mock)) for provider, mock in zip(providers, mocks, strict=True)]


def source_of(provider: str | None, mock: bool | None) -> Source:
    """What a device calls its provider, and whether an app made the fix up; a provider not known here is no error."""
    name = provider.lower() if provider else ""
    return _PROVIDERS.get(name, Source(0)) | (Source.MOCK if mock else Source(0))


def provider_of(source: int) -> str | None:
    """The provider of a Source, in one word."""
    return next((names[0] for member, names in BY_PROVIDER.items() if member & source), None)


def _known(values: Sequence[float | None]) -> list[float]:
    """NaN for what is absent, and for the -1 by which phones mean the same."""
    return [value if value is not None and value >= 0.0 else math.nan for value in values]


def _courses(headings: Sequence[float | None]) -> list[float]:
    return [heading if heading is not None and 0.0 <= heading < 360.0 else _course(heading) for heading in headings]


def _course(heading: float | None) -> float:
    return math.nan if heading is None or heading < 0.0 else heading % 360.0


# Messages in which something is wrong


def _decode_fix_by_fix(data: bytes, received_at: float, error: Exception) -> Report:
    """Use what can be used of a location message that `error` refused as a whole; say what is wrong with any other."""
    loose = _load(data)
    kind = loose.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        named = "is missing" if "type" not in loose else f"{str(kind)[:40]!r} is not one this server knows"
        raise UnknownType(f"The message's type {named}; known are {', '.join(sorted(_TYPES))}.", field="type")
    if kind not in ("location_update", "location_batch"):
        if not isinstance(error, msgspec.ValidationError):
            raise MalformedJSON
        raise InvalidMessage(f"{kind}: {error}", field=str(error).partition("`$.")[2].rstrip("`") or None)
    seq = _seq(loose, kind)
    try:
        report = _report_of_items(seq, _items(loose, kind), received_at)
    except InvalidMessage as refusal:
        refusal.ref = seq
        raise
    with suppress(InvalidInput):  # a time nobody can read is one nobody gave
        report.sent_at = _time(_stamp(loose.get("sent_at")), math.nan)
    return report


def _load(data: bytes) -> dict[str, Any]:
    """Any JSON object, with NaN and numbers that are too large."""
    try:
        loose = json.loads(data.decode(), parse_int=_integer)
    except (ValueError, RecursionError):
        raise MalformedJSON from None
    if not isinstance(loose, dict):
        raise InvalidMessage("A message is a JSON object with a type.")
    return loose


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 20 else float(text)


def _seq(loose: dict[str, Any], kind: str) -> int | None:
    try:
        return msgspec.convert(loose.get("seq"), Seq | None if kind == "location_update" else Seq)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise InvalidMessage(f"{kind}: {error} - at `$.seq`", field="seq") from None


def _items(loose: dict[str, Any], kind: str) -> list[Any]:
    """The fixes of a message, each as it came."""
    if kind == "location_update":
        return [loose]
    fixes, columns = loose.get("fixes"), loose.get("columns")
    if (fixes is None) == (columns is None):
        raise InvalidMessage(_EITHER)
    if fixes is None:
        return _rows(columns)
    if not isinstance(fixes, list):
        raise InvalidMessage("location_batch: fixes must be a list.", field="fixes")
    return fixes


def _rows(columns: Any) -> list[dict[str, Any]]:
    if not isinstance(columns, dict):
        raise InvalidMessage("location_batch: columns must be an object.", field="columns")
    given = {name: columns[name] for name in _COLUMNS if columns.get(name) is not None}
    for name in ("latitude", "longitude", *given):
        if not isinstance(given.get(name), list):
            raise InvalidMessage(f"location_batch: columns.{name} must be a list.", field=f"columns.{name}")
    try:
        return [dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)]
    except ValueError:
        raise InvalidMessage(_UNEQUAL, field="columns") from None


def _report_of_items(seq: int | None, items: list[Any], received_at: float) -> Report:
    _check_size(items)
    fixes, index, rejected = [], [], []
    for place, item in enumerate(items):
        fix = _fix_of(item)
        if isinstance(fix, Fix):
            fixes.append(fix)
            index.append(place)
        else:
            rejected.append(Rejected(place, fix.code, REFUSALS[fix]))
    report = _report_of_fixes(seq, fixes, received_at)
    report.index, report.rejected = index, rejected
    return report


def _fix_of(item: Any) -> Fix | Flag:
    """The fix, or why there is none."""
    if not isinstance(item, dict) or not {"latitude", "longitude"} <= item.keys():
        return Flag.MISSING_FIELD
    try:
        latitude, longitude = _number(item["latitude"]), _number(item["longitude"])
        speed, heading, accuracy = (_number_or_none(item.get(name)) for name in ("speed", "heading", "accuracy"))
    except InvalidInput:
        return Flag.NOT_A_NUMBER
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        return Flag.NOT_A_NUMBER
    try:
        provider = item.get("provider") if isinstance(item.get("provider"), str) else None
        stamp = _stamp(item.get("timestamp"))
        return Fix(latitude, longitude, speed, heading, accuracy, stamp, provider, item.get("mock") in (True, 1))
    except InvalidInput:
        return Flag.INVALID_TIMESTAMP


def _number(value: Any) -> float:
    if type(value) not in (int, float):  # True is an int to Python
        raise InvalidInput
    return float(value)


def _number_or_none(value: Any) -> float | None:
    number = None if value is None else _number(value)
    return None if number is None or not math.isfinite(number) else number


def _stamp(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        return parse_time(value)
    number = _number(value)
    if not math.isfinite(number):
        raise InvalidInput
    return number
