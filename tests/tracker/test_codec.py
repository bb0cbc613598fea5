"""The wire: what is well formed becomes columns, one bad fix harms only itself, frames are those of RFC 6455."""

import json
import math
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from tracker.codec import MAX_FIXES, Report, decode, encode, frame, iso, parse_time, provider_of, reliable, source_of
from tracker.errors import InvalidInput, InvalidMessage, MalformedJSON, MessageTooLarge, UnknownType
from tracker.messages import Acknowledge, DriverLocation, Error, LocationAck, OrderUpdate, Rejected, Since, Subscribe
from tracker.records import Source

NOW = 1_737_369_060.25
NAN = math.nan
FIX = {
    "latitude": 25.0330,
    "longitude": 121.5654,
    "speed": 8.3,
    "heading": 45,
    "accuracy": 10,
    "timestamp": "2025-01-20T10:30:00Z",
}
"""2025-01-20T10:30:00Z is 1737369000."""

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
"""Any value a JSON parser may give, NaN and infinities among them."""


def wire(message) -> bytes:
    return json.dumps(message).encode()


class Told(NamedTuple):
    """A report as plain values."""

    seq: int | None
    fix_time: list[float]
    latitude: list[float]
    longitude: list[float]
    speed: list[float]
    course: list[float]
    accuracy: list[float]
    source: list[float]
    sent_at: float
    index: list[int] | None
    rejected: list[Rejected]


def told(report: Report) -> Told:
    assert report.fixes.shape == (len(report), 7)
    return Told(report.seq, *report.fixes.T.tolist(), report.sent_at, report.index, report.rejected)


def report(message) -> Told:
    decoded = decode(message if isinstance(message, bytes) else wire(message), NOW)
    assert isinstance(decoded, Report)
    return told(decoded)


def batch(*fixes, seq=17) -> dict:
    return {"type": "location_batch", "seq": seq, "fixes": list(fixes)}


def columns(seq=18, **lists) -> dict:
    return {"type": "location_batch", "seq": seq, "columns": lists}


def same(got: list[float], expected: list[float]) -> bool:
    return got == pytest.approx(expected, abs=0, rel=0, nan_ok=True)


def refusal(message, kind: type[InvalidMessage] = InvalidMessage) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        decode(message if isinstance(message, bytes) else wire(message), NOW)
    assert type(caught.value) is kind
    return caught.value


# What is well formed


def test_an_update_is_a_report_of_one_fix():
    got = report({"type": "location_update"} | FIX)
    assert got[:8] == (None, [1737369000.0], [25.0330], [121.5654], [8.3], [45.0], [10.0], [0.0])


def test_an_update_may_ask_for_an_ack():
    assert report({"type": "location_update", "seq": 5} | FIX).seq == 5


def test_fixes_and_columns_say_the_same():
    fixes = [FIX | {"latitude": 25.0 + i, "timestamp": f"2025-01-20T10:30:0{i}.5Z"} for i in range(3)]
    lists = {name: [fix[name] for fix in fixes] for name in FIX}
    by_fixes, by_columns = report(batch(*fixes, seq=18)), report(columns(**lists))
    assert by_fixes[:8] == by_columns[:8]
    assert by_fixes.fix_time == [1737369000.5, 1737369001.5, 1737369002.5]


@pytest.mark.parametrize("form", ["fixes", "columns"])
@pytest.mark.parametrize("given", ["absent", "null"])
def test_what_is_not_given_is_nan_and_the_time_that_of_receipt(form, given):
    null = {} if given == "absent" else dict.fromkeys(("speed", "heading", "accuracy", "timestamp"))
    fix = {"latitude": 1, "longitude": 2} | null
    message = batch(fix) if form == "fixes" else columns(**{k: v if v is None else [v] for k, v in fix.items()})
    got = report(message)
    assert (got.latitude, got.longitude, got.fix_time, got.index, got.rejected) == ([1.0], [2.0], [NOW], None, [])
    assert all(math.isnan(value) for [value] in (got.speed, got.course, got.accuracy))


@pytest.mark.parametrize(
    ("heading", "course"), [(0, 0), (359.9, 359.9), (360, 0), (725, 5), (-1, NAN), (None, NAN), (1e300, 1e300 % 360)]
)
def test_a_heading_becomes_a_course_below_360(heading, course):
    assert same(report(batch(FIX | {"heading": heading})).course, [course])


def test_minus_one_means_not_known():
    got = report(batch(FIX | {"speed": -1, "accuracy": -1, "heading": -1}))
    assert all(math.isnan(value) for [value] in (got.speed, got.course, got.accuracy))


@pytest.mark.parametrize(
    ("stamp", "t"),
    [
        ("2025-01-20T10:30:00Z", 1737369000.0),
        ("2025-01-20T18:30:00+08:00", 1737369000.0),
        ("2025-01-20T18:30:00+0800", 1737369000.0),
        ("2025-01-20 10:30:00.250Z", 1737369000.25),
        ("2025-01-20T10:30Z", 1737369000.0),
        ("20250120T103000Z", 1737369000.0),
        ("2025-01-20T10:30:00.1234567Z", 1737369000.123),
        (1737369000, 1737369000.0),
        (1737369000.2506, 1737369000.251),
        (1737369000250, 1737369000.25),
        (1737369000250.4, 1737369000.25),
        ("1737369000", 1737369000.0),
        (-1, -1.0),
    ],
)
@pytest.mark.parametrize("beside", [None, "2025-01-20T10:30:00Z", 1737369000])
def test_a_timestamp_is_iso_or_epoch_and_kept_to_the_millisecond(stamp, t, beside):
    got = report(batch(FIX | {"timestamp": stamp}, FIX | {"timestamp": beside}))
    assert got.fix_time == [t, NOW if beside is None else 1737369000.0]


@given(st.integers(0, 4_102_444_800_000))
def test_every_millisecond_survives_the_wire_in_each_form(ms):
    t = ms / 1000
    assert report(batch(FIX | {"timestamp": iso(t)})).fix_time == [t]
    assert report(batch(FIX | {"timestamp": t})).fix_time == [t]
    assert ms <= 1e11 or report(batch(FIX | {"timestamp": ms})).fix_time == [t]
    assert parse_time(iso(t)) == t


def test_an_empty_batch_is_a_report_of_nothing():
    nothing = (17, [], [], [], [], [], [], [])
    assert report(batch())[:8] == report(columns(17, latitude=[], longitude=[]))[:8] == nothing


def test_other_messages_come_typed():
    assert decode(b'{"type":"subscribe","channel":"orders","since":{"epoch":"e","seq":41}}', NOW) == Subscribe(
        "orders", Since("e", 41)
    )
    assert decode(b'{"type":"ack","channel":"user:C","seq":42,"later":"ignored"}', NOW) == Acknowledge("user:C", 42)
    details = {"notes": "路上", "eta": None}
    assert decode(
        wire({"type": "order_update", "order_id": "O", "status": "x", "details": details}), NOW
    ) == OrderUpdate("O", "x", details)


# One bad fix harms only itself


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"latitude": 25.0}, "missing_field"),
        ({"longitude": 121.0}, "missing_field"),
        ({}, "missing_field"),
        (5, "missing_field"),
        (None, "missing_field"),
        ([25.0, 121.0], "missing_field"),
        (FIX | {"latitude": None}, "not_a_number"),
        (FIX | {"latitude": "25.0"}, "not_a_number"),
        (FIX | {"longitude": True}, "not_a_number"),
        (FIX | {"latitude": NAN}, "not_a_number"),
        (FIX | {"longitude": -math.inf}, "not_a_number"),
        (FIX | {"latitude": 10**400}, "not_a_number"),
        (FIX | {"latitude": {}}, "not_a_number"),
        (FIX | {"speed": "fast"}, "not_a_number"),
        (FIX | {"heading": False}, "not_a_number"),
        (FIX | {"accuracy": []}, "not_a_number"),
        (FIX | {"timestamp": "2025-01-20T10:30:00"}, "invalid_timestamp"),
        (FIX | {"timestamp": "2025-01-20"}, "invalid_timestamp"),
        (FIX | {"timestamp": "2025-02-30T10:30:00Z"}, "invalid_timestamp"),
        (FIX | {"timestamp": "yesterday"}, "invalid_timestamp"),
        (FIX | {"timestamp": ""}, "invalid_timestamp"),
        (FIX | {"timestamp": "nan"}, "invalid_timestamp"),
        (FIX | {"timestamp": NAN}, "invalid_timestamp"),
        (FIX | {"timestamp": math.inf}, "invalid_timestamp"),
        (FIX | {"timestamp": True}, "invalid_timestamp"),
        (FIX | {"timestamp": {}}, "invalid_timestamp"),
    ],
)
def test_a_bad_fix_is_refused_by_name_and_its_neighbours_are_used(bad, code):
    first, last = FIX | {"latitude": 1}, FIX | {"latitude": 3, "timestamp": "2025-01-20T10:30:01Z"}
    got = report(batch(first, bad, last))
    assert (got.seq, got.latitude, got.index) == (17, [1.0, 3.0], [0, 2])
    assert got.fix_time == [1737369000.0, 1737369001.0]
    assert [(r.index, r.code) for r in got.rejected] == [(1, code)]
    assert got.rejected[0].message
    if isinstance(bad, dict):
        alone = report({"type": "location_update", "seq": 4} | bad)
        assert (alone.seq, alone.latitude, [r.code for r in alone.rejected]) == (4, [], [code])


@pytest.mark.parametrize("seq", ["5", "\ud800", 1.5, None, -1])
def test_a_batch_needs_a_number_to_be_acknowledged_by(seq):
    assert refusal(batch(FIX) | {"seq": seq}).field == "seq"


def test_a_bad_value_in_a_column_harms_only_its_fix():
    got = report(
        columns(latitude=[1, None, 3, 4], longitude=[5, 6, 7, 8], timestamp=[1e9, 1e9, "x", None], speed=[1, 2, 3, -1])
    )
    assert (got.latitude, got.longitude, got.index) == ([1.0, 4.0], [5.0, 8.0], [0, 3])
    assert got.fix_time == [1e9, NOW]
    assert same(got.speed, [1.0, NAN])
    assert [(r.index, r.code) for r in got.rejected] == [(1, "not_a_number"), (2, "invalid_timestamp")]


def test_nan_where_a_value_is_optional_means_not_known():
    got = report(batch(FIX | {"speed": NAN, "heading": math.inf, "accuracy": 10**400}))
    assert (got.latitude, got.rejected) == ([25.0330], [])
    assert all(math.isnan(value) for [value] in (got.speed, got.course, got.accuracy))


@given(st.lists(st.none() | st.sampled_from(sorted(FIX)), min_size=1, max_size=6), anything)
def test_every_index_is_accounted_for(broken, value):
    """A fix with any value in any field is either used, with finite coordinates, or refused; the others are as ever."""
    fixes = [FIX | ({} if name is None else {name: value}) for name in broken]
    got = report(batch(*fixes))
    index = list(range(len(got.fix_time))) if got.index is None else got.index
    assert sorted(index + [r.index for r in got.rejected]) == list(range(len(fixes)))
    assert {i for i, name in enumerate(broken) if name is None} <= set(index)
    assert all(map(math.isfinite, got.latitude + got.longitude + got.fix_time))
    assert all(speed >= 0 or math.isnan(speed) for speed in got.speed + got.accuracy)
    assert all(0 <= course < 360 or math.isnan(course) for course in got.course)


# Messages that are refused whole


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"hello",
        b"\xff",
        b'{"type":"subscribe","channel":"\xff"}',
        b'{"type":"order_update","order_id":"O","status":"x","details":{"eta":NaN}}',
        b"[" * 60_000,
        b'{"type":"order_update","details":' + b"[" * 60_000,
        wire(batch(FIX))[:-1],
        wire(batch(FIX)) + b"}",
        json.dumps(batch(FIX)).encode("utf-16"),
        b'{"type":"subscribe","channel":"order:\\ud800"}',
        b'{"type":"ack","seq":1,"channel":"\\udc00\\ud800"}',
    ],
)
def test_what_is_no_json_is_malformed(data):
    refusal(data, MalformedJSON)


@pytest.mark.parametrize("data", [b"[]", b"5", b'"heartbeat"', b"null", b"NaN"])
def test_a_message_is_an_object(data):
    assert "object" in refusal(data).message


@pytest.mark.parametrize("kind", ["bogus", "", 5, None, ["heartbeat"], {}, "\ud800", "x" * 5000])
def test_an_unknown_type_is_named_in_few_words(kind):
    error = refusal({"type": kind}, UnknownType)
    assert repr(str(kind)[:40]) in error.message
    assert len(error.message) < 400
    assert encode(Error(code=error.code, message=error.message))


def test_a_missing_type_is_missing():
    assert "missing" in refusal({"channel": "orders"}, UnknownType).message


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"type": "subscribe", "channel": 5}, "channel"),
        ({"type": "subscribe", "channel": "c", "since": {"epoch": "e", "seq": "x"}}, "since.seq"),
        ({"type": "ack", "channel": "c", "seq": -1}, "seq"),
        ({"type": "ack", "channel": "c", "seq": 2**63}, "seq"),
        ({"type": "delivery.confirmed", "order_id": "O", "confirmed_at": "2025-01-20T10:30:00"}, "confirmed_at"),
        (batch(FIX, seq="x"), "seq"),
        (batch(FIX, seq=None), "seq"),
        (batch(FIX, seq=True), "seq"),
        (batch(FIX, seq=-1), "seq"),
        (batch(FIX, seq=10**400), "seq"),
        (batch(FIX, seq=1.5), "seq"),
        ({"type": "location_update", "seq": "x"} | FIX, "seq"),
        ({"type": "location_batch", "seq": 1, "fixes": {}}, "fixes"),
        ({"type": "location_batch", "seq": 1, "columns": []}, "columns"),
        (columns(latitude=[1]), "columns.longitude"),
        (columns(latitude=[1], longitude=2), "columns.longitude"),
        (columns(latitude=[1], longitude=[2], speed="fast"), "columns.speed"),
    ],
)
def test_a_wrong_field_is_named(message, field):
    error = refusal(message)
    assert error.field == field
    assert field in error.message


@pytest.mark.parametrize("bad", [False, True])
def test_columns_of_unequal_length_are_refused(bad):
    lists = {"latitude": [1, "x" if bad else 2], "longitude": [1, 2], "timestamp": [1e9]}
    error = refusal(columns(**lists))
    assert "length" in error.message
    assert error.ref == 18


@pytest.mark.parametrize("bad", [False, True])
def test_a_batch_has_either_fixes_or_columns(bad):
    fix = FIX | ({"latitude": "x"} if bad else {})
    both = batch(fix) | {"columns": {"latitude": [1], "longitude": [2]}}
    neither = {"type": "location_batch", "seq": 17}
    for message in (both, neither):
        error = refusal(message)
        assert "either" in error.message
        assert error.ref == 17


@pytest.mark.parametrize("bad", [False, True])
def test_a_batch_has_its_limit(bad):
    place = [1.0] * MAX_FIXES
    assert len(report(columns(latitude=place, longitude=place)).latitude) == MAX_FIXES
    more = [*place, "x" if bad else 1.0]
    by_columns = refusal(columns(latitude=more, longitude=more), MessageTooLarge)
    by_fixes = refusal(batch(*({"latitude": x, "longitude": 2} for x in more)), MessageTooLarge)
    assert (by_columns.ref, by_fixes.ref) == (18, 17)


@given(
    st.sampled_from(
        [
            "heartbeat",
            "subscribe",
            "location_update",
            "location_batch",
            "order_update",
            "delivery.confirmed",
            "ack",
            "x",
        ]
    ),
    st.dictionaries(
        st.sampled_from(["channel", "since", "seq", "fixes", "columns", "order_id", "details", "confirmed_at", *FIX]),
        anything | st.just([FIX, FIX]) | st.fixed_dictionaries({"latitude": anything, "longitude": anything}),
    ),
)
def test_any_value_in_any_field_is_used_or_refused(kind, fields):
    try:
        decoded = decode(wire({"type": kind} | fields), NOW)
    except InvalidMessage as error:
        encode(Error(code=error.code, message=error.message, ref=error.ref))
    else:
        if isinstance(decoded, Report):
            got = told(decoded)
            assert all(map(math.isfinite, got.latitude + got.longitude + got.fix_time))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_message(data):
    with pytest.raises(InvalidMessage):
        decode(data, NOW)


@given(st.data())
def test_a_message_cut_or_garbled_anywhere_is_used_or_refused(data):
    whole = wire(batch(FIX, FIX | {"speed": None}))
    at = data.draw(st.integers(0, len(whole) - 1))
    garbled = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 3)) :]
    try:
        decoded = decode(garbled, NOW)
    except InvalidMessage:
        return
    if isinstance(decoded, Report):
        got = told(decoded)
        assert all(map(math.isfinite, got.latitude + got.longitude + got.fix_time))


# Out


def test_a_server_message_is_json_with_its_type_and_nothing_unknown():
    message = DriverLocation(driver_id="D", latitude=25.033, longitude=121.5654, timestamp=iso(NOW), age=0.5)
    assert json.loads(encode(message)) == {
        "type": "driver.location",
        "driver_id": "D",
        "latitude": 25.033,
        "longitude": 121.5654,
        "timestamp": "2025-01-20T10:31:00.250Z",
        "age": 0.5,
    }


def test_an_ack_lists_what_was_refused():
    ack = LocationAck(seq=17, accepted=1, duplicates=0, rejected=[Rejected(1, "not_a_number", "why")])
    assert json.loads(encode(ack)) == {
        "type": "location.ack",
        "seq": 17,
        "accepted": 1,
        "duplicates": 0,
        "rejected": [{"index": 1, "code": "not_a_number", "message": "why"}],
    }


@given(st.binary(max_size=300) | st.sampled_from([125, 126, 127, 65535, 65536, 70000]).map(bytes))
def test_a_frame_is_read_back_by_a_websocket_client(payload):
    stream = StreamReader()
    stream.feed_data(frame(payload))
    stream.feed_eof()
    with pytest.raises(StopIteration) as done:
        next(Frame.parse(stream.read_exact, mask=False))
    assert done.value.value == Frame(Opcode.TEXT, payload)
    with pytest.raises(StopIteration) as rest:
        next(stream.at_eof())
    assert rest.value.value


@given(st.dictionaries(st.sampled_from(["a", "seq", "event_id", "é"]), st.integers()), st.text(), st.integers(0, 2**53))
def test_a_reliable_message_carries_its_place_in_the_channel(body, channel, seq):
    channel = channel.encode("utf-8", "replace").decode()
    whole = json.loads(reliable(msgspec.json.encode(body), event_id='e"1', channel=channel, seq=seq))
    assert whole == body | {"event_id": 'e"1', "channel": channel, "seq": seq}


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1737369000.25, "2025-01-20T10:30:00.250Z"),
        (1737369000.0004, "2025-01-20T10:30:00Z"),
        (1737369000.9996, "2025-01-20T10:30:01Z"),
        (-0.5, "1969-12-31T23:59:59.500Z"),
    ],
)
def test_times_are_written_with_milliseconds_only_where_there_are_some(t, text):
    assert iso(t) == text


@pytest.mark.parametrize(
    "text", ["", "x", "nan", "inf", "1e999", "2025-01-20T10:30:00", "2025-13-01T00:00:00Z", "\x00"]
)
def test_a_time_that_is_none_says_what_one_is(text):
    with pytest.raises(InvalidInput, match="ISO 8601 with an offset"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "t"),
    [("1737369000", 1737369000.0), ("1737369000250", 1737369000.25), ("2025-01-20T18:30:00+08:00", 1737369000.0)],
)
def test_a_time_in_a_query_is_iso_or_epoch(text, t):
    assert parse_time(text) == t


@pytest.mark.parametrize("strange", [{}, {"note": 1e999}])
def test_where_fixes_come_from_is_read_on_both_ways(strange) -> None:
    fixes = [FIX | {"provider": "network"}, FIX | {"provider": "GPS", "mock": True}, FIX, FIX | {"provider": "flp"}]
    by_fix = report(batch(*fixes) | strange)
    assert by_fix.source == [Source.NETWORK, Source.GPS | Source.MOCK, 0, Source.FUSED]
    columns = {name: [fix.get(name) for fix in fixes] for name in (*FIX, "provider", "mock")}
    by_column = report({"type": "location_batch", "seq": 1, "columns": columns} | strange)
    assert by_column.source == by_fix.source
    assert report({"type": "location_update", **fixes[1]} | strange).source == [Source.GPS | Source.MOCK]
    assert report(batch(FIX) | strange).source == [0]


def test_a_provider_or_clock_nobody_can_read_harms_nothing() -> None:
    odd = report(batch(FIX | {"provider": 7, "mock": "maybe"}, FIX | {"provider": "beidou"}) | {"sent_at": "soon"})
    assert odd.source == [0, 0]
    assert (len(odd.fix_time), odd.rejected) == (2, [])
    assert math.isnan(odd.sent_at)


@pytest.mark.parametrize("sent_at", [1_737_369_001.5, 1_737_369_001_500, "2025-01-20T10:30:01.5Z"])
def test_the_time_a_message_was_made_is_read_like_any_other(sent_at) -> None:
    assert report(batch(FIX) | {"sent_at": sent_at}).sent_at == 1_737_369_001.5
    assert report({"type": "location_update", "sent_at": sent_at, **FIX}).sent_at == 1_737_369_001.5
    assert report(batch(FIX, {}) | {"sent_at": sent_at}).sent_at == 1_737_369_001.5
    assert math.isnan(report(batch(FIX)).sent_at)


def test_a_source_has_one_word_for_its_provider() -> None:
    assert [provider_of(source_of(name, True)) for name in ("gnss", "NLP", "fused", "?", None)] == [
        "gps",
        "network",
        "fused",
        None,
        None,
    ]
