"""Hostile bytes and messages from a seed: hypothesis would take longer to draw one than a server to hear it."""

import struct
from collections.abc import Callable, Sequence
from random import Random

from tracker.messages import ClientMessage

LENGTHS = [0, 1, 125, 126, 65535, 65536, 65537, 2**31, 2**63 - 1, 2**64 - 1]
PAYLOADS = [
    b'{"type":"heartbeat"}', b'{"type":', b'"heartbeat"}', b"\x03\xe8", b"\x03\xe8\xff", b"\xff\xfe", b"\xed\xa0\x80",
    b"", b"\x00" * 126, b" " * 70_000,
]  # fmt: skip
TYPES = [kind.__struct_config__.tag for kind in ClientMessage.__subclasses__()]
OF_FIXES = ["latitude", "longitude", "timestamp", "speed", "heading", "accuracy", "provider", "mock"]
FIELDS = [*sorted({f for kind in ClientMessage.__subclasses__() for f in kind.__struct_fields__}), "type", *OF_FIXES]
WORDS = [
    "orders", "drivers", "order:O1", "order:", "driver:D1", "user:C1", "user:D1", "area:1,2,3,4", "area:nan,0,1e999,",
    "geofence:x", "O1", "delivering", "delivered", "gps", "2025-10-09T08:53:20Z", "9999-99-99T99:99:99Z", "", "\\u0000",
    "王" * 300, "x" * 3000, *TYPES,
]  # fmt: skip
VALUES = [
    "null", "true", "0", "-0.0", "1", "25.03", "121.5", "1760000000", "1760000000500", "1e999", "-1e999", "1e-400",
    "9" * 400, "-1", "9007199254740993", "18446744073709551616", "NaN", "Infinity", '"\\ud800"', '"\\udc00\\ud800"',
    '"\\u0000"', '"\x01"', "[]", "{}", "[" * 600 + "]" * 600, "[" * 30_000, '{"a":' * 500 + "1" + "}" * 500, "", "tru",
    "0x1", "01", "1.", ".5", "+1", "'x'",
]  # fmt: skip


def stream(r: Random) -> bytes:
    """Frames that say anything of themselves, or no frames at all."""
    if r.random() < 0.2:
        return r.randbytes(r.randrange(300))
    return mutated(r, b"".join(_frame(r) for _ in range(r.randrange(12))))


def mutated(r: Random, data: bytes) -> bytes:
    """Sometimes with a few bytes changed, or cut off."""
    if data and r.random() < 0.3:
        changed = bytearray(data)
        for _ in range(r.randrange(1, 4)):
            changed[r.randrange(len(changed))] = r.randrange(256)
        data = bytes(changed[: r.randrange(len(changed) + 1)] if r.random() < 0.3 else changed)
    return data


def _frame(r: Random) -> bytes:
    data = r.choice(PAYLOADS) if r.random() < 0.5 else r.randbytes(r.randrange(40))
    said = len(data) if r.random() < 0.8 else r.choice(LENGTHS)
    opcode = r.choice((0, 1, 2, 8, 9, 10)) if r.random() < 0.9 else r.randrange(16)
    head = (r.random() < 0.7) << 7 | (r.randrange(8) << 4 if r.random() < 0.1 else 0) | opcode
    masked = 0x80 if r.random() < 0.9 else 0
    if said > 65535 or r.random() < 0.1:
        length = struct.pack("!BQ", masked | 127, said)
    elif said > 125 or r.random() < 0.1:
        length = struct.pack("!BH", masked | 126, said)
    else:
        length = bytes((masked | said,))
    return bytes((head,)) + length + (r.randbytes(4) if masked else b"") + data


def message(r: Random) -> bytes:
    """JSON with the right words in the wrong places: fields missing, twice, or anything."""
    fields = [("type", f'"{r.choice(TYPES)}"'), *_fields(r, FIELDS, 6)]
    if r.random() < 0.5:
        fields.append(("seq", str(r.randrange(100)) if r.random() < 0.7 else r.choice(VALUES)))
    if r.random() < 0.4:
        fields.append((r.choice(("fixes", "columns")), _list(r, _fix) if r.random() < 0.8 else _value(r, 3)))
    r.shuffle(fields)
    return mutated(r, _object(fields).encode("utf-8", "surrogatepass"))


def _fix(r: Random) -> str:
    if r.random() < 0.2:
        return _value(r, 2)
    return _object([("latitude", "25.0"), ("longitude", "121.5"), *_fields(r, OF_FIXES, 3)])


def _fields(r: Random, names: Sequence[str], most: int) -> list[tuple[str, str]]:
    return [(r.choice(names), _value(r, 3)) for _ in range(r.randrange(most + 1))]


def _value(r: Random, depth: int) -> str:
    kind = r.random()
    if depth and kind < 0.15:
        return _list(r, lambda r: _value(r, depth - 1))
    if depth and kind < 0.3:
        return _object([(r.choice(FIELDS), _value(r, depth - 1)) for _ in range(r.randrange(5))])
    return r.choice(VALUES) if kind < 0.7 else f'"{r.choice(WORDS)}"'


def _list(r: Random, item: Callable[[Random], str]) -> str:
    return "[" + ",".join(item(r) for _ in range(r.randrange(6))) + "]"


def _object(fields: Sequence[tuple[str, str]]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}"
