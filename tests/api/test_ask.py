import http.server
import threading
from collections.abc import Iterator

import pytest

from api.ask import ask
from tracker.errors import InvalidInput, NotAllowed, Overloaded, TrackerError


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers what the path says, and how it was asked."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = (
            f'{{"size":{len(body)},"type":"{self.headers["Content-Type"]}","who":"{self.headers["Authorization"]}"}}'
        )
        status, said = {
            "/taken": (200, asked),
            "/refused": (403, '{"error":{"code":"not_allowed","message":"Not you.","field":null}}'),
            "/strange": (500, "<html>"),
        }[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_answer_is_its_json(url: str) -> None:
    assert ask("PUT", f"{url}/taken", "t", b"12345", "text/plain") == {
        "size": 5,
        "type": "text/plain",
        "who": "Bearer t",
    }


def test_a_refusal_is_the_same_error(url: str) -> None:
    with pytest.raises(NotAllowed, match="Not you"):
        ask("PUT", f"{url}/refused", "t", b"")


def test_no_tracker_no_answer_and_no_url(url: str) -> None:
    with pytest.raises(TrackerError, match="not that of a tracker"):
        ask("PUT", f"{url}/strange", "t", b"")
    with pytest.raises(Overloaded, match="send it again"):
        ask("PUT", "http://127.0.0.1:1/x", "t", b"")
    for wrong in ("file:///etc/passwd", "127.0.0.1:8000"):
        with pytest.raises(InvalidInput, match="give a URL"):
            ask("PUT", wrong, "t", b"")
