"""The HTTP side on a real socket in this process, with a real engine and a real store behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import uvicorn

from api.app import running
from api.auth import sign
from api.config import Config
from api.http_shell import HttpShell
from api.protocol import websocket_class
from api.services import Services
from api.web import make_app
from tests.fixes import LATITUDE, LONGITUDE, T0, place
from tracker.channels import Viewer

SECRET = "0123456789abcdef0123456789abcdef"
OFFICE = Viewer("U1", "office", None, None)
DRIVER = Viewer("D1", "driver", "D1", None)
CUSTOMER = Viewer("C1", "customer", None, "C1")
STRANGERS = [Viewer("D2", "driver", "D2", None), Viewer("C2", "customer", None, "C2")]


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    now: float = T0

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """A server, its parts and a client."""

    services: Services
    clock: Clock
    http: httpx.AsyncClient = field(repr=False)

    async def ask(self, viewer: Viewer | None, method: str, path: str, **options: Any) -> httpx.Response:
        """A request to the API as this viewer, or without a token."""
        headers = options.pop("headers", {})
        if viewer is not None:
            headers = {"Authorization": f"Bearer {self.token(viewer)}", **headers}
        return await self.http.request(method, f"/api/v1/{path}", headers=headers, **options)

    async def get(self, viewer: Viewer, path: str, **options: Any) -> Any:
        """The JSON of an answer that must be 200."""
        answer = await self.ask(viewer, "GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def put(self, path: str, body: Any) -> None:
        """The office puts something."""
        answer = await self.ask(OFFICE, "PUT", path, json=body)
        assert answer.is_success, answer.text

    async def drive(self, driver_id: str, t: list[float], east: list[float], **columns: list[float]) -> None:
        """Fixes of a driver `t` seconds after T0, metres from the place; the clock goes along."""
        self.clock.now = max(self.clock.now, T0 + t[-1])
        latitude, longitude = place(east, [0.0] * len(east))
        body = {"timestamp": [T0 + x for x in t], "latitude": latitude.tolist(), "longitude": longitude.tolist()}
        viewer = Viewer(driver_id, "driver", driver_id, None)
        answer = await self.ask(viewer, "POST", "locations", json={"columns": body | columns})
        assert answer.json().get("accepted") == len(t), answer.text

    async def metrics(self) -> str:
        """What Prometheus reads."""
        answer = await self.http.get("/metrics", headers={"Authorization": f"Bearer {self.token(OFFICE)}"})
        assert answer.status_code == 200, answer.text
        return answer.text

    def token(self, viewer: Viewer, ttl_s: float = 3600.0) -> str:
        return sign(SECRET, sub=viewer.user_id, role=viewer.role, ttl_s=ttl_s, now=self.clock.now)


@asynccontextmanager
async def site(store: str, **settings: Any) -> AsyncIterator[Site]:
    """A server on this store."""
    clock = Clock()
    config = Config(jwt_secret=SECRET, store=store, tick_ms=1.0, **settings)
    async with running(config, clock) as services:
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(services),
                host="127.0.0.1",
                port=0,
                ws=websocket_class(services),
                http=HttpShell,
                lifespan="off",
                access_log=False,
                log_config=None,
            )
        )
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                yield Site(services, clock, http)
        finally:
            await server.shutdown()


def order_body(**changes: Any) -> dict[str, Any]:
    """An order of C1, delivered by D1 at the place."""
    return {
        "customer_id": "C1",
        "driver_id": "D1",
        "destination": {"latitude": LATITUDE, "longitude": LONGITUDE, "radius": 50},
    } | changes


def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and field of an answer that must be an error with a sentence."""
    error = answer.json()["error"]
    assert error["message"]
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, error["code"], error["field"]


async def said(services: Services, topic: str) -> list[dict[str, Any]]:
    """Bodies of the reliable messages a topic has had."""
    return [msgspec.json.decode(message.body) for _, message in await services.store.messages(topic, after=0)]
