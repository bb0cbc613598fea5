"""What the parts of a running server are; made by `api.assembly`, handed to every connection and request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from api.config import Config
from api.meters import Meters
from api.scoreboard import Scoreboard
from storage.store import Store
from storage.writer import Writer
from tracker.engine import Engine
from tracker.errors import TrackerError
from tracker.hub import Hub

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from api.auth import Authenticator
    from api.cluster.instance import Instance
    from api.historian import Historian
    from api.http_requests import Call
    from api.learning import Teacher
    from api.line import Line
    from api.mailroom import Mailroom
    from api.office import Office
    from api.publisher import Publisher
    from api.upkeep import Upkeep


@dataclass(slots=True)
class Services:
    """One server. `clock` gives Unix seconds, and is the only clock there is."""

    config: Config
    clock: Callable[[], float]
    store: Store
    writer: Writer
    engine: Engine
    hub: Hub
    authenticator: "Authenticator"
    line: "Line" = field(init=False)
    mailroom: "Mailroom" = field(init=False)
    publisher: "Publisher" = field(init=False)
    office: "Office" = field(init=False)
    historian: "Historian" = field(init=False)
    teacher: "Teacher" = field(init=False)
    upkeep: "Upkeep" = field(init=False)
    scoreboard: Scoreboard = field(default_factory=Scoreboard)
    meters: Meters = field(default_factory=Meters)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    fail: Callable[[TrackerError], None] = lambda error: None
    """Ends the server with this error."""
    works: "list[asyncio.Task[None]]" = field(default_factory=list)
    """What must go on for as long as the server runs."""
    draining: bool = False
    """The server is about to stop."""
    app: "ASGIApp" = field(init=False)
    """What answers HTTP requests."""
    instance: "Instance | None" = None
    """What it is among several."""
    forward: "Callable[[Call], Awaitable[Response | None]] | None" = None
    """Has another instance answer a request, where that is needed."""
