"""What is scanned is what msgspec reads, to the bit; the rest is left to it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker import codec
from tracker.scan import MAX_FIXES, scan

NOW = 1_737_369_060.2504
PLACE = {"latitude": 25.033, "longitude": 121.5654}

digits = st.text("0123456789", min_size=1, max_size=12)
blanks = st.text(" \t\n\r", max_size=2)
numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(["0", "7", "25", "121", "00", "1737369000", "1737369000250", "123456789012345678", "9" * 25]),
    st.just("") | digits.map(".{}".format),
    st.sampled_from(["", "", "", "e5", "E-7", "e+2", "e400", "e", "e-30"]),
)
texts = st.builds(
    '"{}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}"'.format,
    st.sampled_from([1969, 1970, 2000, 2024, 2025, 2100, 9999]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from(["T", "T", " ", "t"]),
    st.integers(0, 25),
    st.integers(0, 60),
    st.integers(0, 61),
    st.just("") | digits.map(".{}".format),
    st.sampled_from(["Z", "Z", "", "z", "+08:00", "-03:30", "+0800", "+24:00"]),
)
values = (
    numbers
    | texts
    | st.sampled_from(
        [
            "null",
            "true",
            "false",
            "nul",
            '"GPS"',
            '"beidou"',
            '"networks"',
            '""',
            '"a b"',
            '"\\n"',
            '"é"',
            "[]",
            "{}",
            "[1]",
        ]
    )
)
names = st.sampled_from(["latitude", "longitude", "speed", "heading", "accuracy", "timestamp", "provider", "mock"])


@st.composite
def objects(draw, members) -> str:
    """An object as text: a place, and such members before and after it, with blanks here and there."""
    pairs = draw(st.lists(members, max_size=5))
    pairs += [("latitude", "25.033"), ("longitude", "121.5654")] if draw(st.integers(0, 9)) else []
    blank = draw(blanks)
    pairs = draw(st.permutations(pairs))
    return "{" + blank + ",".join(f'{blank}"{name}"{blank}:{blank}{value}{blank}' for name, value in pairs) + "}"


fix_texts = objects(st.tuples(names | st.sampled_from(["altitude", "type", "x" * 12, "locatio"]), values))


@st.composite
def messages(draw) -> bytes:
    """Location messages in each form, nearly all well formed."""
    seq = draw(st.sampled_from(["17", "17", "0", "-1", "null", "1.0", "9007199254740991", "9" * 20]))
    form = draw(st.sampled_from(["fixes", "columns", "update"]))
    if form == "fixes":
        inner = "[" + ",".join(draw(st.lists(fix_texts, max_size=3))) + "]"
    elif form == "columns":
        n = draw(st.integers(0, 3))
        lists = st.lists(values, min_size=n, max_size=n).map(",".join).map("[{}]".format)
        place = f'"latitude":[{",".join(["25.5"] * n)}],"longitude":[{",".join(["-1e1"] * n)}]'
        inner = draw(objects(st.tuples(names, lists | values)) | st.just("{" + place + "}"))
    else:
        return (draw(fix_texts)[:-1] + f',"type":"location_update"{draw(blanks)}}}').encode()
    sent_at = draw(numbers | texts | st.just("null"))
    members = [f'"seq":{seq}', f'"{form}":{inner}', '"type":"location_batch"', '"app":"x 1.2"', f'"sent_at":{sent_at}']
    return ("{" + ",".join(draw(st.permutations(members))) + "}" + draw(blanks)).encode()


def by_msgspec(data: bytes) -> codec.Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "scan", lambda data, received_at: (-1, np.nan, np.empty((0, 7))))
        report = codec.decode(data, NOW)
    assert isinstance(report, codec.Report)
    return report


def agree(data: bytes) -> bool:
    """Whether it was scanned; then msgspec has to read the same."""
    seq, sent_at, fixes = scan(data, NOW)
    if not len(fixes):
        return False
    expected = by_msgspec(data)
    assert (expected.seq, expected.index, expected.rejected) == (seq if seq >= 0 else None, None, [])
    np.testing.assert_array_equal(fixes, expected.fixes)
    np.testing.assert_array_equal(sent_at, expected.sent_at)
    return True


def batch(*fixes: dict) -> dict:
    return {"type": "location_batch", "seq": 17, "fixes": list(fixes)}


@given(messages())
def test_what_is_scanned_is_what_msgspec_reads(data: bytes) -> None:
    agree(data)


@given(messages(), st.data())
def test_a_garbled_message_is_scanned_only_where_msgspec_reads_the_same(message: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(message)))
    agree(message[:at] + data.draw(st.binary(max_size=2)) + message[at + data.draw(st.integers(0, 2)) :])


@pytest.mark.parametrize(
    "message",
    [
        {"type": "location_update"} | PLACE,
        PLACE | {"seq": 3, "provider": "gps", "charging": True, "battery": 0.5, "type": "location_update"},
        batch(PLACE, PLACE | {"speed": None, "heading": -1, "accuracy": -1.0, "timestamp": None}),
        batch(*[PLACE | {"speed": 0, "heading": 725.5, "accuracy": 1e-3, "timestamp": 1737369000250}] * 10),
        batch(PLACE | {"provider": "Fused"}, PLACE | {"mock": True, "provider": "network"}, PLACE | {"mock": None}),
        batch(PLACE | {"provider": None, "mock": False}) | {"sent_at": "2025-01-20T10:30:00Z"},
        {"type": "location_batch", "seq": 1, "columns": {"mock": [True], "latitude": [1], "longitude": [3]}},
        {"seq": 0, "columns": {"latitude": [1, 2], "longitude": [3, 4], "x": None}, "type": "location_batch"},
        {"type": "location_batch", "seq": 1, "columns": {"latitude": [1], "longitude": [3], "timestamp": [None]}},
    ],
)
def test_plain_messages_are_scanned(message: dict) -> None:
    assert agree(json.dumps(message).encode())
    assert agree(json.dumps(message, indent=1).encode())


@pytest.mark.parametrize(
    "message",
    [
        batch(),
        batch(PLACE, {"latitude": 1.0}),
        batch(PLACE | {"extras": {"a": 1}}),
        batch(PLACE) | {"columns": {"latitude": [1], "longitude": [3]}},
        {"type": "location_batch", "seq": 1, "columns": {"latitude": [1], "longitude": [3, 4]}},
        {"type": "location_batch", "seq": 1, "columns": {"latitude": [1, 2], "longitude": [3]}},
        {"type": "location_batch", "seq": 1, "columns": {"latitude": [1] * 1000, "longitude": [3]}},
        {"type": "location_batch", "seq": 1, "columns": {"latitude": [1] * 1000}},
        {"type": "location_batch", "seq": 1, "columns": {"latitude": [], "longitude": [3]}},
        batch(*[PLACE] * (MAX_FIXES + 1)),
        {"type": "subscribe", "channel": "orders"},
        PLACE,
    ],
)
def test_what_is_not_plain_is_left_to_msgspec(message: dict) -> None:
    assert len(scan(json.dumps(message).encode(), NOW)[2]) == 0
