"""One request to a running tracker over HTTP, from a command or another program."""

import urllib.request
from typing import Any
from urllib.error import HTTPError, URLError

import msgspec

from tracker.errors import InvalidInput, Overloaded, TrackerError, told

TIMEOUT_S = 10.0


def ask(method: str, url: str, token: str, body: bytes, media_type: str = "application/json") -> Any:
    """The JSON that it answers with. Raises the error that it answered with, and Overloaded without any answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"{url}: give a URL such as http://127.0.0.1:8000")
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 http or https
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 the operator's own URL
            return msgspec.json.decode(answer.read())
    except HTTPError as error:
        raise _refusal(error.read()) from None
    except (URLError, TimeoutError) as error:
        raise Overloaded(f"{url}: no answer ({error}); send it again") from None


def _refusal(answer: bytes) -> TrackerError:
    """The error that a server answered, as the same error here."""
    try:
        refused = msgspec.json.decode(answer)["error"]
        code, message, field = refused["code"], refused["message"], refused.get("field")
    except (msgspec.DecodeError, KeyError, TypeError):
        return TrackerError("The server's answer is not that of a tracker.")
    return told(code, message, field)
