import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import handshake
from api.handshake import origin_allowed, shake_hands

PATHS = {"/ws"}


def head(path: str = "/ws", method: str = "GET", **headers: str) -> bytes:
    given = {
        "Host": "here",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_sound_request_is_accepted() -> None:
    shaken = shake_hands(head("/ws?token=x&y=1"), PATHS, "elsewhere")
    assert shaken
    assert (shaken.accepted, shaken.path, shaken.query) == (True, "/ws", "token=x&y=1")
    assert shaken.reply.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in shaken.reply  # of the key in RFC 6455 section 1.3


CHROMIUM = {
    "pragma": "no-cache",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0",
    "origin": "http://here",
    "accept-encoding": "gzip, deflate, br",
    "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
}
FIREFOX = {
    "accept": "*/*",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-protocol": "tracker.v1, bearer.aa.bb.c-_c",
    "upgrade": "websocket",
}
OKHTTP = {"authorization": "Bearer aa.bb.cc", "user-agent": "okhttp/4.12.0"}


@pytest.mark.parametrize("headers", [{}, CHROMIUM, FIREFOX, OKHTTP], ids=["least", "chromium", "firefox", "okhttp"])
def test_what_apps_and_browsers_send_is_answered_without_the_library(headers: dict[str, str]) -> None:
    given = {"host": "here", "upgrade": "websocket", "connection": "Upgrade", **SOUND} | headers
    same_as_the_library(lines("GET /ws?token=aa.bb.cc HTTP/1.1", given.items()))
    assert handshake._plain(lines("GET /ws?token=aa.bb.cc HTTP/1.1", given.items()), PATHS)


SOUND = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13"}
FIELDS = {
    "Host": ["here", "", "a b"],
    "Upgrade": ["websocket", "WebSocket", "websocket, h2c", "h2c"],
    "Connection": ["Upgrade", "keep-alive, Upgrade", "upgrade,", "close"],
    "Sec-WebSocket-Key": ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZQ", "short"],
    "Sec-WebSocket-Version": ["13", "013", "12"],
    "Sec-WebSocket-Protocol": ["tracker.v1", "x,tracker.v1", "bearer.a.b, x", ",", "a b", "tracker.v1 ,\t x", "é"],
    "Sec-WebSocket-Extensions": ["permessage-deflate", ";"],
    "Content-Length": ["0", "5"],
    "Transfer-Encoding": ["chunked"],
    "Origin": ["http://here", " spaced ", "\x01"],
    "X_Y": ["1"],
}
FIRST = [
    "GET /ws HTTP/1.1",
    "GET / HTTP/1.1",
    "POST /ws HTTP/1.1",
    "GET /ws HTTP/1.0",
    "GET /ws\x01 HTTP/1.1",
    "GET /ws",
]
NAMES = st.sampled_from(sorted(FIELDS))


@given(
    first=st.just("GET /ws?token=x HTTP/1.1") | st.sampled_from(FIRST),
    changed=st.lists(NAMES.flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(FIELDS[name]))), max_size=3),
    without=st.just("") | NAMES,
    twice=st.just([]) | st.lists(NAMES, max_size=1),
    at=st.just(0) | st.integers(1, 300),
    edit=st.sampled_from([b"\r\n", b"\n", b" ", b":", b"\0", b"\xff"]),
)
def test_no_request_is_answered_other_than_the_library_does(first, changed, without, twice, at, edit) -> None:
    fields = {name: FIELDS[name][0] for name in list(FIELDS)[:5]} | dict(changed)
    fields.pop(without, None)
    data = lines(first, [*fields.items(), *((name, FIELDS[name][0]) for name in twice)])
    same_as_the_library(data[:at] + edit + data[at:] if at else data)


def lines(first: str, fields: Iterable[tuple[str, str]]) -> bytes:
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in fields), "", ""]).encode("latin-1")


def same_as_the_library(data: bytes) -> None:
    """Whatever is answered without the library is answered so by it, but for the date."""
    ours = handshake._plain(data, PATHS)
    if ours is not None:
        theirs = handshake._any(data, PATHS, "")
        assert theirs is not None
        assert (ours.path, ours.query, ours.accepted) == (theirs.path, theirs.query, theirs.accepted)
        assert ours.reply == re.sub(rb"Date: .*?\r\n", b"", theirs.reply)
        headers = {name.lower(): value for name, value in theirs.request.headers.raw_items()}
        assert dict(ours.request.headers.raw_items()) == headers


def test_compression_is_not_agreed_to() -> None:
    shaken = shake_hands(head(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"), PATHS, "")
    assert shaken
    assert shaken.accepted
    assert b"Extensions" not in shaken.reply


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head("/nowhere"), b"404"),
        (head(Sec_WebSocket_Key=""), b"400"),
        (head(Sec_WebSocket_Key="short"), b"400"),
        (head(Sec_WebSocket_Version="12"), b"400"),
        (head(Upgrade="h2c"), b"426"),
        (head(method="POST"), b"405"),
    ],
)
def test_another_request_is_answered_with_what_is_wrong(request_: bytes, status: bytes) -> None:
    shaken = shake_hands(request_, PATHS, "connect elsewhere")
    assert shaken
    assert not shaken.accepted
    assert shaken.reply.startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("data", [b"", b"GET", b"\x00\xff" * 40, b"GET /ws HTTP/1.1\r\nHost: here\r\n"])
def test_what_is_no_request_has_no_answer(data: bytes) -> None:
    assert shake_hands(data, PATHS, "") is None


def test_a_request_that_is_cut_off_has_no_answer() -> None:
    assert all(shake_hands(head()[:n], PATHS, "") is None for n in range(len(head())))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("", True), ("http://here", True), ("https://office.example", True), ("https://evil.example", False)],
)
def test_pages_of_other_sites_need_to_be_allowed(origin: str, allowed: bool) -> None:
    shaken = shake_hands(head(Origin=origin), PATHS, "")
    assert shaken
    assert origin_allowed(shaken.request, ["https://office.example"]) is allowed
