"""Frames are read as the library reads them, however the bytes are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from api.frames import FrameReader, Violation, close_code, close_frame, control

MAX_SIZE = 300
MASK = b"\x12\x34\x56\x78"

payloads = st.binary(max_size=140) | st.sampled_from([b"x" * n for n in (125, 126, 299, 300, 301)])
frames = st.builds(Frame, st.sampled_from(Opcode), payloads, st.booleans(), rsv1=st.sampled_from([False] * 9 + [True]))
sound = st.lists(frames.map(lambda frame: _masked(frame)), max_size=6).map(b"".join)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Frames that may come in an order that is not allowed, with some bytes changed, cut off or invented."""
    data = bytearray(draw(sound))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=2)):
        if place < len(data):
            data[place] = value
    return bytes(data) + draw(st.just(b"") | st.binary(max_size=20))


def _masked(frame: Frame) -> bytes:
    head = frame.opcode | frame.fin << 7 | frame.rsv1 << 6
    size = len(frame.data)
    body = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(frame.data))
    return bytes((head, 0x80 | min(size, 126))) + (size.to_bytes(2) if size >= 126 else b"") + MASK + body


def ours(pieces: list[bytes]) -> tuple[list[tuple[int, bool, bytes]], int | None]:
    """Frames up to the first close, and the code of the violation."""
    reader, seen = FrameReader(MAX_SIZE), []
    try:
        for piece in pieces:
            for opcode, fin, data in reader.receive(piece):
                if opcode == Opcode.CLOSE:
                    close_code(data)
                    if reader._fragments >= 0:  # RFC 6455 allows it, the library does not
                        return seen, CloseCode.PROTOCOL_ERROR
                seen.append((opcode, fin, data))
                if opcode == Opcode.CLOSE:
                    return seen, None
    except Violation as violation:
        return seen, violation.code
    return seen, None


def theirs(data: bytes) -> tuple[list[tuple[int, bool, bytes]], int | None]:
    protocol = ServerProtocol(state=State.OPEN, max_size=MAX_SIZE)
    protocol.receive_data(data)
    seen = [(frame.opcode, frame.fin, bytes(frame.data)) for frame in protocol.events_received()]
    failed = protocol.parser_exc is not None
    return seen, protocol.close_sent.code if failed else None


@given(streams(), st.lists(st.integers(0, 500), max_size=6))
def test_the_library_and_we_read_the_same(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    seen, code = ours(pieces)
    expected, expected_code = theirs(data)
    assert seen == expected
    if expected_code is not None:  # without it: we look at the head of a frame before the whole of it is there
        assert code in ({1002, 1009} if expected_code == 1009 else {expected_code})  # a frame may have two faults


@given(sound)
def test_byte_by_byte_is_the_same_as_at_once(data: bytes) -> None:
    assert ours([data[i : i + 1] for i in range(len(data))][:2000]) == ours([data[:2000]])


@pytest.mark.parametrize(
    "head", [b"\xc1\x80", b"\x83\x80", b"\x81\x05", b"\x09\x80", b"\x89\xfe\x00\x7e" + MASK, b"\x80\x80"]
)
def test_what_may_not_come_is_refused_by_its_head(head: bytes) -> None:
    assert ours([head]) == ([], 1002)


@pytest.mark.parametrize("length", [b"\xfe\x01\x2d", b"\xff" + b"\xff" * 8, b"\xff" + bytes(6) + b"\x01\x2d"])
def test_what_is_too_long_is_refused_by_its_head(length: bytes) -> None:
    assert ours([b"\x81" + length + MASK]) == ([], 1009)


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (4413, "slow"), (1012, "王" * 60), (1005, ""), (4400, "x" * 200)]
)
def test_closes_are_the_library_s(code: int, reason: str) -> None:
    data = close_frame(code, reason)
    protocol_close = Close.parse(data[2:])
    assert protocol_close.code == code == close_code(data[2:])
    assert reason.startswith(protocol_close.reason)
    assert data[0] == 0x88
    assert data[1] == len(data) - 2 <= 125


@pytest.mark.parametrize(("data", "code"), [(b"\x03", 1002), (b"\x00\x07", 1002), (b"\x03\xe8\xff", 1007)])
def test_a_close_that_makes_no_sense_is_a_violation(data: bytes, code: int) -> None:
    with pytest.raises(Violation) as violation:
        close_code(data)
    assert violation.value.code == code


def test_control_frames_are_in_one_piece() -> None:
    assert control(Opcode.PING) == b"\x89\x00"
    assert control(Opcode.PONG, b"abc") == b"\x8a\x03abc"
