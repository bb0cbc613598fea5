"""Load all compiled code, or compile it where no cache has it yet, before anyone waits for it."""

import sys
import threading

import numpy as np

from geo.fences import Circle
from geo.passes import Legs, passes
from geo.simplify import simplify
from storage.packing import copy_of, pack_times, unpack_times, vertices_of
from storage.segments import Rows as StoredRows
from tracker.codec import decode
from tracker.engine import Engine
from tracker.printing import TIME, rows
from tracker.records import Destination, FixBatch, Floats, Geofence, Order, Route
from tracker.settings import EngineSettings

NOTICE_AFTER_S = 3.0
"""Loading from the cache takes less than this."""
_T0 = 1_760_000_000.0
_PATH = b"\xe2\x08\x62\x01\0\0\0"  # of one vertex, as a store has it
_SQUARE = [[[0.0, 0.0], [0.01, 0.0], [0.01, 0.01], [0.0, 0.01], [0.0, 0.0]]]


def warm_up() -> None:
    """Run every step of the line once on a made-up drive; says so on standard error where it has to compile."""
    notice = threading.Timer(NOTICE_AFTER_S, _tell)
    notice.daemon = True
    notice.start()
    try:
        _rehearse()
    finally:
        notice.cancel()


def _tell() -> None:
    sys.stderr.write("tracker: compiling the engine for this machine; once, it takes a minute or two\n")


def _rehearse() -> None:
    """Send a driver past geofences, along a route and to an order; what comes again is late or a duplicate."""
    decode(b'{"type":"location_update","latitude":1,"longitude":2}', _T0)
    engine = Engine(EngineSettings())
    engine.set_geofence(Geofence(geofence_id="circle", type="Point", coordinates=[0.0, 0.0], radius=100.0))
    engine.set_geofence(Geofence(geofence_id="polygon", type="Polygon", coordinates=_SQUARE))
    destination = Destination(latitude=0.0, longitude=0.01)
    engine.set_order(Order(order_id="o", customer_id="c", driver_id="d", destination=destination))
    engine.set_route(Route(route_id="r", driver_id="d", stops=["o"], path=[[0.0, 0.0], [0.02, 0.0]]))
    driver = engine.driver_row("d")
    for first in (0.0, 100.0, 0.0):
        updates = engine.ingest(_drive(driver, first + np.arange(100.0)))
        engine.smoothed(updates.track)
    simplify(np.arange(3.0), np.zeros(3), np.zeros(3), 10.0)
    rows([b"{0},{1}"], None, (np.zeros(2), np.zeros(2)), (TIME, 3))
    stored = StoredRows.of(updates.track)
    copy_of(stored.track, stored.start, stored.end, [pack_times(stored.track.fix_time)] * len(stored.track))
    vertices_of([_PATH])
    unpack_times(pack_times(stored.track.fix_time))
    zero, one = np.zeros(1), np.ones(1)
    passes(Legs(np.zeros(1, np.int64), zero, zero, zero, one, one, one), Circle(0.0, 0.0, 1.0), 0.0, 1.0)


def _drive(driver: int, second: Floats) -> FixBatch:
    """Fixes of a drive along the equator, 20 m a second, with a leap in space and one in time."""
    n = len(second)
    longitude = np.asarray(second * 1.8e-4)
    longitude[n // 2] += 1.0
    fix_time = np.asarray(_T0 + second)
    fix_time[n // 3] -= 2.5
    return FixBatch(
        driver=np.full(n, driver),
        fix_time=fix_time,
        latitude=np.zeros(n),
        longitude=longitude,
        speed=np.where(second % 7 == 0, np.nan, 20.0),
        course=np.full(n, 90.0),
        accuracy=np.full(n, 5.0),
        received_at=fix_time + np.float64(1.0),
    )


if __name__ == "__main__":
    warm_up()
