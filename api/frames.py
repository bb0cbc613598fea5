"""Frames of an open WebSocket, a server's side (RFC 6455 section 5), without I/O; the handshake is the library's.

The library's own parser takes three times as long, and keeps some kilobytes a connection.
"""

from collections.abc import Iterator
from typing import NamedTuple

from websockets.exceptions import ProtocolError
from websockets.frames import Close, CloseCode, Opcode
from websockets.speedups import apply_mask

_FIN = 0x80
_RESERVED = 0x70
_MASKED = 0x80
_CONTROL = 0x08
_KNOWN = frozenset(map(int, Opcode))
_CONTROL_BYTES = 125  # at most
_TEXT = _FIN | Opcode.TEXT


class Violation(Exception):
    """What came is not allowed: the connection ends with `code`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Frame(NamedTuple):
    """One frame; `data` is unmasked."""

    opcode: int
    fin: bool
    data: bytes


class FrameReader:
    """Bytes as they come in, frames out."""

    __slots__ = ("_fragments", "_max_size", "_needed", "_rest")

    def __init__(self, max_size: int) -> None:
        """`max_size` bytes may be in one message, over all its fragments."""
        self._max_size = max_size
        self._rest: bytes | bytearray = b""  # the beginning of a frame
        self._needed = 0  # bytes that `_rest` has to have before it is looked at again
        self._fragments = -1  # bytes of the fragments of a message that goes on; -1 while none does

    def receive(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Raises Violation, after the frames that were right."""
        if self._rest:
            if not isinstance(self._rest, bytearray):
                self._rest = bytearray(self._rest)
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data, self._rest, self._needed = bytes(self._rest), b"", 0
        start, end = 0, len(data)
        while end - start >= 2:
            first, second = data[start], data[start + 1]
            length, body = second & ~_MASKED, start + 6
            if length > _CONTROL_BYTES:
                width = 2 if length == 126 else 8
                body += width
                length = int.from_bytes(data[start + 2 : start + 2 + width]) if body <= end else 0
            whole = first == _TEXT and second >= _MASKED and self._fragments < 0 and length <= self._max_size
            if not whole:
                self._check(first, second, length)
            after = body + length
            if after > end:
                self._needed = after - start
                break
            if not (whole or first & _CONTROL):
                self._fragments = -1 if first >= _FIN else max(self._fragments, 0) + length
            yield Frame(first & 0x0F, first >= _FIN, apply_mask(data[body:after], data[body - 4 : body]))
            start = after
        self._rest = data[start:]

    def _check(self, first: int, second: int, length: int) -> None:
        """Whether a frame with this head may come now. Raises Violation."""
        opcode = first & 0x0F
        if first & _RESERVED or opcode not in _KNOWN:
            raise Violation(CloseCode.PROTOCOL_ERROR, "unknown opcode or reserved bits")
        if not second & _MASKED:
            raise Violation(CloseCode.PROTOCOL_ERROR, "frames of a client have to be masked")
        if opcode & _CONTROL:
            if length > _CONTROL_BYTES or first < _FIN:
                raise Violation(CloseCode.PROTOCOL_ERROR, "a control frame is short and in one piece")
            return
        if (opcode == 0) is (self._fragments < 0):
            raise Violation(CloseCode.PROTOCOL_ERROR, "fragments of messages do not fit together")
        if max(self._fragments, 0) + length > self._max_size:
            raise Violation(CloseCode.MESSAGE_TOO_BIG, f"more than {self._max_size} bytes; send smaller batches")


def control(opcode: int, data: bytes = b"") -> bytes:
    """A control frame of the server; `data` has at most 125 bytes."""
    return bytes((_FIN | opcode, len(data))) + data


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut where it does not fit. 1005 is none at all."""
    if code == CloseCode.NO_STATUS_RCVD:
        return control(Opcode.CLOSE)
    return control(
        Opcode.CLOSE, code.to_bytes(2) + reason.encode()[: _CONTROL_BYTES - 2].decode(errors="ignore").encode()
    )


def close_code(data: bytes) -> int:
    """The code in the payload of a close frame; 1005 when it gives none. Raises Violation."""
    try:
        return int(Close.parse(data).code)
    except ProtocolError as error:
        raise Violation(CloseCode.PROTOCOL_ERROR, str(error)) from None
    except UnicodeDecodeError:
        raise Violation(CloseCode.INVALID_DATA, "the reason of the close is not UTF-8") from None
