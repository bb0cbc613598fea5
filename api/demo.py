"""`tracker demo`: a server, and a simulated fleet in Taipei that talks to it over real sockets and HTTP."""

import asyncio
import http.client
import os
import secrets
import time
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog
from rich.console import Console

from api.app import serve
from api.auth import secret_of, sign
from api.config import Config
from api.driver_client import DriverClient
from api.places import FENCES, NAMES, PLACES
from api.services import Services
from api.simulator import drive, measure
from geo.earth import offset
from tracker.channels import Role
from tracker.errors import ConfigurationError, TrackerError
from tracker.messages import Fix

DIRECTORY = Path("data/demo")
DRIVERS = 12
STOPS = 3  # orders a driver has at a time
FIRST_DRIVE_M = 150.0  # each driver begins so much further from his first stop than the one before: soon there is news
TOKEN_TTL_S = 86400.0
DEAD_ZONE_SHARE = 0.25  # of trips lead through one
DEAD_ZONE_S = (30.0, 90.0)
RETRY_S = 1.0

log = structlog.get_logger()


async def demo(config: Config) -> None:
    """Run until told to stop. Raises TrackerError."""
    config = prepared(config)
    await serve(config, ready=partial(_run_fleet, config))


def prepared(config: Config) -> Config:
    """The configuration with a store, a secret and a quiet log where none is given. Raises ConfigurationError."""
    if config.jwt_algorithm != "HS256":
        raise ConfigurationError(
            "jwt_algorithm: the demo signs its own tokens, which takes HS256", field="jwt_algorithm"
        )
    if config.port == 0:
        raise ConfigurationError("port: the demo prints links, so it needs a port that is known: not 0", field="port")
    if config.store == Config().store:
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        config = replace(config, store=f"sqlite:///{DIRECTORY}/tracker.gpkg")
    if config.log_level == Config().log_level:
        config = replace(config, log_level="warning")  # the links shall stay in sight
    if not (config.jwt_secret or config.jwt_secret_file):
        config = replace(config, jwt_secret=_own_secret(DIRECTORY / "jwt_secret"))
    return config


def _own_secret(path: Path) -> str:
    """The secret in a file that only its owner can read, made the first time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return path.read_text().strip()


class Site:
    """The server as those who use it see it: its address, tokens for it, and its HTTP interface."""

    def __init__(self, config: Config) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104
        self._port = config.port
        self._secret = secret_of(config)
        self._office = self.token("office", "office")
        self.address = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    def token(self, sub: str, role: Role) -> str:
        """A token of this person."""
        return sign(self._secret, sub=sub, role=role, ttl_s=TOKEN_TTL_S, now=time.time())

    def page(self, token: str, channels: str) -> str:
        """The link to the test page that connects at once."""
        return f"http://{self.address}/api/v1/websocket/ws/test#token={token}&subscribe={channels}"

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """What the office asks for, again until the server answers. Raises TrackerError when it refuses."""
        while True:
            try:
                status, answer = await asyncio.to_thread(self._request, method, path, body)
            except (OSError, http.client.HTTPException):
                status, answer = 503, b""
            if status < 400:
                return
            if status < 500:
                raise TrackerError(f"{method} {path}: {status} {answer.decode(errors='replace')}")
            await asyncio.sleep(RETRY_S)

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=10.0)
        headers = {"Authorization": f"Bearer {self._office}", "Content-Type": "application/json"}
        try:
            connection.request(method, f"/api/v1{path}", msgspec.json.encode(body) if body else None, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


async def _run_fleet(config: Config, services: Services) -> None:
    """Place orders and drive until cancelled."""
    site = Site(config)
    numbers = count(1)
    for order_id in list(services.engine.orders):  # of an earlier demo
        await site.request("DELETE", f"/orders/{order_id}")
    for geofence_id, feature in FENCES.items():
        await site.request("PUT", f"/geofences/{geofence_id}", feature)
    first: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    try:
        async with asyncio.TaskGroup() as fleet:
            for number in range(1, DRIVERS + 1):
                fleet.create_task(_drive_forever(site, number, numbers, first))
            _show_links(site, await first)
    except* TrackerError as errors:
        log.error("the fleet has stopped", reason=str(errors.exceptions[0]))


async def _drive_forever(
    site: Site, number: int, numbers: "count[int]", first: "asyncio.Future[dict[str, Any]]"
) -> None:
    """One driver: a round of orders after the other. `first` gets the first order that is driven to."""
    driver_id = f"DRIVER-{number:02d}"
    rng = np.random.default_rng(number)
    here: tuple[float, float] | None = None
    url = f"ws://{site.address}/api/v1/websocket/ws/driver"
    async with DriverClient(url, site.token(driver_id, "driver"), proxy=None) as client:
        while True:
            orders = [_new_order(driver_id, next(numbers), rng) for _ in range(STOPS)]
            for order in orders:
                await site.request("PUT", f"/orders/{order['order_id']}", order)
            stops = [order["order_id"] for order in orders]
            await site.request("PUT", f"/routes/{driver_id}", {"driver_id": driver_id, "stops": stops})
            if not first.done():
                first.set_result(orders[0])
            for order in orders:
                there = order["destination"]["latitude"], order["destination"]["longitude"]
                here = here or offset(*there, 0.0, FIRST_DRIVE_M * number)
                trip = drive(here, there, rng, stay_s=rng.uniform(40.0, 120.0))
                await _report(client, measure(trip, rng, start_time=time.time()), rng)
                await site.request("PUT", f"/orders/{order['order_id']}", order | {"status": "delivered"})
                here = there


def _new_order(driver_id: str, number: int, rng: np.random.Generator) -> dict[str, Any]:
    address, latitude, longitude = PLACES[rng.integers(len(PLACES))]
    kilograms = int(rng.choice([16, 20, 20, 20]))
    return {
        "order_id": time.strftime(f"DEMO-%m%d%H%M-{number:04d}"),
        "customer_id": f"CUST-{number:04d}",
        "customer_name": NAMES[number % len(NAMES)],
        "driver_id": driver_id,
        "address": address,
        "destination": {"latitude": latitude, "longitude": longitude, "radius": 40},
        "products": [{"name": f"{kilograms}kg 瓦斯桶", "quantity": int(rng.integers(1, 3))}],
        "delivery_date": time.strftime("%Y-%m-%d"),
    }


async def _report(client: DriverClient, fixes: list[Fix], rng: np.random.Generator) -> None:
    """Send each fix when it is measured; those of a dead zone all together after it."""
    times = [float(fix.timestamp) for fix in fixes]  # type: ignore[arg-type]
    begin = rng.uniform(times[0], times[-1]) if rng.random() < DEAD_ZONE_SHARE else np.inf
    end = begin + rng.uniform(*DEAD_ZONE_S)
    held = []
    for t, fix in zip(times, fixes, strict=True):
        await client.sleep(max(t - time.time(), 0.0))
        held.append(fix)
        if not begin <= t < end:
            client.put(held)
            held = []
    client.put(held)


def _show_links(site: Site, order: dict[str, Any]) -> None:
    office = site.token("office", "office")
    customer = site.token(order["customer_id"], "customer")
    parts = [
        ("All drivers, as the office sees them", site.page(office, "drivers,orders")),
        (f"Order {order['order_id']}, as its customer sees it", site.page(customer, f"order:{order['order_id']}")),
        ("Over HTTP", f'curl -H "Authorization: Bearer {office}" http://{site.address}/api/v1/drivers'),
        ("Token of the office", office),
        (f"Token of the customer {order['customer_id']}", customer),
        ("Token of a driver, DRIVER-99, for an app or `tracker send`", site.token("DRIVER-99", "driver")),
    ]
    console = Console(highlight=False)
    console.print(f"\n[bold]{DRIVERS} drivers deliver in Taipei. Ctrl-C ends it.[/bold]")
    for title, text in parts:
        console.print(f"\n[green]{title}[/green]")
        console.print(text, soft_wrap=True, markup=False)
