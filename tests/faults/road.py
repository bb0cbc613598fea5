"""What drivers of the fault tests do: each drives along a street of his own, leg by leg, and delivers on each."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.fixes import place
from tracker.engine import Engine
from tracker.messages import Fix
from tracker.records import Destination, Event, FixBatch, Floats, Geofence, Order
from tracker.settings import EngineSettings

LEG_M = 1200.0
SPEED_MPS = 10.0
STOP_S = 60
LEG_S = int(LEG_M / SPEED_MPS) + STOP_S
STOP_M, FENCE_M, FENCE_RADIUS_M, STOP_RADIUS_M = 900.0, 400.0, 60.0, 40.0
LATE = slice(25, 60)
"""Seconds of a leg that lie in a dead zone and are sent after the leg: they hold the way through the geofence."""


class Street:
    """The street of one driver: in each leg a geofence that is driven through and an order that is delivered."""

    def __init__(self, number: int, begins: float) -> None:
        self.driver_id = f"driver-{number}"
        self.begins = begins
        self._north = 3000.0 * number
        self._noise = np.random.default_rng(number)

    def leg(self, leg: int) -> list[Fix]:
        """A fix a second, with errors of a metre; once a leg, as the errors are made anew each time."""
        t = np.arange(LEG_S)
        stopped = STOP_M / SPEED_MPS
        east = leg * LEG_M + SPEED_MPS * np.where(t < stopped, t, np.maximum(t - STOP_S, stopped))
        error = self._noise.normal(0, 1.0, (2, LEG_S))
        latitude, longitude = place(east + error[0], self._north + error[1])
        times = self.begins + leg * LEG_S + t
        rows = zip(latitude.tolist(), longitude.tolist(), times.tolist(), strict=True)
        return [Fix(round(lat, 7), round(lon, 7), accuracy=4.0, timestamp=time) for lat, lon, time in rows]

    def order(self, leg: int) -> tuple[str, dict[str, Any]]:
        """Its id and body."""
        latitude, longitude = place(leg * LEG_M + STOP_M, self._north)
        destination = {"latitude": float(latitude), "longitude": float(longitude), "radius": STOP_RADIUS_M}
        body = {"customer_id": f"customer of {self.driver_id}", "driver_id": self.driver_id}
        return f"{self.driver_id}.{leg}", body | {"destination": destination, "created_at": self.begins - 1}

    def geofence(self, leg: int) -> Geofence:
        """It was there before the drive."""
        latitude, longitude = place(leg * LEG_M + FENCE_M, self._north)
        return Geofence(
            geofence_id=f"{self.driver_id}.{leg}",
            type="Point",
            coordinates=[float(longitude), float(latitude)],
            radius=FENCE_RADIUS_M,
            changed_at=self.begins - 1,
        )


def undisturbed(street: Street, legs: Sequence[Sequence[Fix]], settings: EngineSettings) -> list[Event]:
    """What an engine tells that gets all of it in order, each order before its leg."""
    engine, events = Engine(settings), list[Event]()
    for number in range(len(legs)):
        engine.set_geofence(street.geofence(number))
    for number, leg in enumerate(legs):
        order_id, order = street.order(number)
        engine.set_order(Order(**{**order, "order_id": order_id, "destination": Destination(**order["destination"])}))
        events += engine.ingest(_batch(engine.driver_row(street.driver_id), leg)).events
    return events


def _batch(row: int, fixes: Sequence[Fix]) -> FixBatch:
    def column(name: str) -> Floats:
        return np.array([getattr(fix, name) for fix in fixes], np.float64)

    unknown = np.full(len(fixes), np.nan)
    times = column("timestamp")
    return FixBatch(
        driver=np.full(len(fixes), row),
        fix_time=times,
        latitude=column("latitude"),
        longitude=column("longitude"),
        speed=unknown,
        course=unknown,
        accuracy=column("accuracy"),
        received_at=times,
    )
