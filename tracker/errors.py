"""The error tree. A class is a failure; its docstring is the sentence a person reads; `code` is what goes on the wire.

TrackerError
├── InvalidMessage         the client's message cannot be understood
│   ├── MalformedJSON
│   ├── MessageTooLarge
│   └── UnknownType
├── InvalidInput           a file, a body or a query is wrong, with the field that is
├── NotAuthenticated
│   └── TokenExpired
├── NotAllowed
├── UnknownChannel
├── NotFound
├── Conflict
├── LimitExceeded
├── Overloaded             temporary: try again
├── Unhealthy
├── Draining               temporary: try again
├── StoreUnavailable       temporary: try again
├── EngineUnavailable      temporary: try again
├── StoreInUse
└── ConfigurationError
"""

from collections.abc import Iterator
from enum import IntEnum


class TrackerError(Exception):
    """Something went wrong inside the tracker."""

    code = "internal_error"
    status = 500
    temporary = False

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])
        self.field = field

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self)


class InvalidMessage(TrackerError):
    """The message does not have the form the protocol asks for."""

    code = "invalid_message"
    status = 400
    ref: int | None = None
    """`seq` of the message, where it had one that can be read."""


class MalformedJSON(InvalidMessage):
    """The message is not valid JSON."""

    code = "malformed_json"


class MessageTooLarge(InvalidMessage):
    """The message is larger than 64 KiB; send smaller batches."""

    code = "message_too_large"
    status = 413


class UnknownType(InvalidMessage):
    """The message has no type this server knows."""

    code = "unknown_type"


class InvalidInput(TrackerError):
    """A value is missing or out of range."""

    code = "invalid_input"
    status = 400


class NotAuthenticated(TrackerError):
    """A valid token is required: pass a signed JWT with sub, role and exp."""

    code = "not_authenticated"
    status = 401


class TokenExpired(NotAuthenticated):
    """The token has expired; get a new one and connect again."""

    code = "token_expired"


class NotAllowed(TrackerError):
    """This token's role does not allow that."""

    code = "not_allowed"
    status = 403


class UnknownChannel(TrackerError):
    """There is no such channel."""

    code = "unknown_channel"
    status = 404


class NotFound(TrackerError):
    """There is nothing with this id."""

    code = "not_found"
    status = 404


class Conflict(TrackerError):
    """This does not fit what is stored; read it again and retry."""

    code = "conflict"
    status = 409


class LimitExceeded(TrackerError):
    """There are as many of these as there may be; give one up first."""

    code = "limit_exceeded"
    status = 429


class Overloaded(TrackerError):
    """The server is busy; keep the data and send it again in a moment."""

    code = "overloaded"
    status = 503
    temporary = True


class Unhealthy(TrackerError):
    """Something in the server has ended that should not; restart it."""

    code = "unhealthy"
    status = 503


class Draining(TrackerError):
    """The server is about to stop; connect elsewhere, or again in a moment."""

    code = "draining"
    status = 503
    temporary = True


class StoreUnavailable(TrackerError):
    """The store does not answer; nothing that was acknowledged is lost. Keep the data and send it again."""

    code = "store_unavailable"
    status = 503
    temporary = True


class EngineUnavailable(TrackerError):
    """The instance that writes cannot be reached; keep the data and send it again in a moment."""

    code = "engine_unavailable"
    status = 503
    temporary = True


class StoreInUse(TrackerError):
    """Another tracker server is writing to this store; stop it first, or give this one a store of its own."""

    code = "store_in_use"


class ConfigurationError(TrackerError):
    """A setting is missing or wrong."""

    code = "configuration_error"


def _tree(kind: type[TrackerError]) -> Iterator[type[TrackerError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


BY_CODE: dict[str, type[TrackerError]] = {kind.code: kind for kind in _tree(TrackerError)}
"""Every error, by its code on the wire."""
SEND_AGAIN = frozenset(code for code, kind in BY_CODE.items() if kind.temporary or kind is TrackerError)
"""Codes after which an app may send the same once more."""


def told(code: str, message: str, field: str | None = None) -> TrackerError:
    """The error that another server or instance has told."""
    return BY_CODE.get(code, TrackerError)(message, field=field)


class Flag(IntEnum):
    """What became of one fix. From REJECTED on it was refused, and its name in lower case is the wire code."""

    ACCEPTED = 0
    OUTLIER = 1  # stored, but not believed
    LATE = 2  # older than the driver's newest: history only
    DUPLICATE = 3  # already stored
    COARSE = 4  # stored, but not followed: a much better fix is seconds old
    REJECTED = 16
    LATITUDE_OUT_OF_RANGE = 17
    LONGITUDE_OUT_OF_RANGE = 18
    TIMESTAMP_IN_FUTURE = 19
    TIMESTAMP_TOO_OLD = 20
    NOT_A_NUMBER = 21
    MISSING_FIELD = 22
    INVALID_TIMESTAMP = 23
    CLOCK_WRONG = 24
    MOCK_LOCATION = 25

    @property
    def code(self) -> str:
        """The code on the wire and in counters."""
        return self.name.lower()


ASIDE = (Flag.LATE, Flag.OUTLIER, Flag.COARSE)
"""Stored, but the driver is not moved by it."""
REFUSALS: dict[Flag, str] = {
    Flag.LATITUDE_OUT_OF_RANGE: "latitude must be a number from -90 to 90 degrees",
    Flag.LONGITUDE_OUT_OF_RANGE: "longitude must be a number from -180 to 180 degrees",
    Flag.TIMESTAMP_IN_FUTURE: "timestamp lies in the future; set the phone's clock",
    Flag.TIMESTAMP_TOO_OLD: "timestamp is older than this server keeps tracks",
    Flag.NOT_A_NUMBER: "latitude and longitude must be finite numbers; speed, heading and accuracy a number or null",
    Flag.MISSING_FIELD: "latitude and longitude are required",
    Flag.INVALID_TIMESTAMP: "timestamp must be ISO 8601 with an offset, or epoch seconds or milliseconds",
    Flag.CLOCK_WRONG: "the phone's clock is wrong, as sent_at shows; let the phone set its time by itself",
    Flag.MOCK_LOCATION: "this server takes no made-up locations; turn off the app that makes them",
}
"""The sentence that goes with each refusal."""
