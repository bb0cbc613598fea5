import pytest

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


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("", True), ("http://here", True), ("https://office.example", True), ("https://evil.example", False)],
)
def test_pages_of_other_sites_need_to_be_allowed(origin: str, allowed: bool) -> None:
    shaken = shake_hands(head(Origin=origin), PATHS, "")
    assert shaken
    assert origin_allowed(shaken.request, ["https://office.example"]) is allowed
