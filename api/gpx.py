"""Track points of a GPX 1.0 or 1.1 file, one after the other, however large the file is."""

from collections.abc import Iterator
from typing import BinaryIO
from xml.parsers import expat

from tracker.errors import InvalidInput

CHUNK = 65536  # bytes

_FIELDS = {"time": "timestamp", "speed": "speed", "course": "heading", "accuracy": "accuracy", "src": "provider"}
"""Elements of a track point, of its extensions too, and the fields of a fix that they are. A source that an app made
up is written "network mock", or "mock" alone."""


def read_points(file: BinaryIO) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and texts of each track point: latitude, longitude, timestamp, speed (m/s), heading, where it has them.

    Raises InvalidInput whose sentence begins with the line.
    """
    reader = _Reader()
    while chunk := file.read(CHUNK):
        reader.feed(chunk)
        yield from reader.take()
    reader.feed(b"", last=True)
    yield from reader.take()


class _Reader:
    """Where in the document we are: in which point, in which of its elements."""

    def __init__(self) -> None:
        self._points: list[tuple[int, dict[str, str]]] = []
        self._point: dict[str, str] | None = None
        self._line = 0
        self._text: list[str] | None = None
        self._depth = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def feed(self, chunk: bytes, last: bool = False) -> None:
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError as error:
            raise InvalidInput(f"{error.lineno}: not a valid XML file: {expat.ErrorString(error.code)}") from None

    def take(self) -> list[tuple[int, dict[str, str]]]:
        points, self._points = self._points, []
        return points

    def _refuse(self, *_: object) -> None:
        raise InvalidInput(f"{self._parser.CurrentLineNumber}: a GPX file may not have a document type (DOCTYPE)")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._depth += 1
        if self._depth == 1 and local != "gpx":
            raise InvalidInput(f"{self._parser.CurrentLineNumber}: not a GPX file: its root is <{local}>")
        if local == "trkpt":
            self._point = {"latitude": attributes.get("lat", ""), "longitude": attributes.get("lon", "")}
            self._line = self._parser.CurrentLineNumber
        elif self._point is not None and local in _FIELDS:
            self._text = []

    def _end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        self._depth -= 1
        if local == "trkpt" and self._point is not None:
            self._points.append((self._line, self._point))
            self._point = None
        elif self._point is not None and self._text is not None and local in _FIELDS:
            text = "".join(self._text).strip()
            if local == "src":
                provider, _, mock = text.partition(" ")
                self._point |= {"mock": "true"} if "mock" in (provider, mock) else {}
                text = "" if provider == "mock" else provider
            self._point[_FIELDS[local]] = text
            self._text = None

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
