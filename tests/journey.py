"""A bus ride for end-to-end tests: a real one where the data is, else one made up; and a stop on its way."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tests.fixes import T0, place

DATA = Path(os.environ.get("TRACKER_DATA", Path(__file__).parents[2] / "shared" / "data")) / "bus304_limerick"
REAL_STOP = 52.6319893, -8.6434089  # Dooradoyle Road


@dataclass(frozen=True)
class Journey:
    """A GPX file, where its bus stops on the way, and when it is there, Unix seconds."""

    gpx: Path
    stop: tuple[float, float]
    fixes: int
    begins: float
    ends: float


def real_journey() -> Journey | None:
    """Bus 304 through Limerick, if the data is here."""
    found = sorted(DATA.glob("*.gpx"))
    if not found:
        return None
    begins = datetime(2019, 2, 18, 7, 45, 50, tzinfo=UTC).timestamp()
    return Journey(found[0], REAL_STOP, found[0].read_text("utf-8").count("<trkpt"), begins, begins + 7200)


def made_up_journey(directory: Path) -> Journey:
    """East along a street at 8 m/s, a stop of 30 s after 1.6 km, and on."""
    t = np.arange(0, 500.0)
    east = np.where(t < 200, 8 * t, 1600 + 8 * np.maximum(t - 230, 0))
    latitude, longitude = place(east)
    points = "".join(
        f'<trkpt lat="{lat:.7f}" lon="{lon:.7f}"><time>{datetime.fromtimestamp(T0 + s, UTC).isoformat()}</time></trkpt>'
        for s, lat, lon in zip(t, latitude, longitude, strict=True)
    )
    gpx = directory / "ride.gpx"
    gpx.write_text(
        '<?xml version="1.0"?><gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1">'
        f"<trk><trkseg>{points}</trkseg></trk></gpx>"
    )
    stop = tuple(float(x) for x in place(1600.0, 10.0))
    return Journey(gpx, (stop[0], stop[1]), len(t), T0, T0 + 500)
