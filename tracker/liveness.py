"""Which drivers are live, late or silent, and since when; a change is told once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tracker.drivers import DriverTable, Latest
from tracker.settings import EngineSettings

Status = Literal["live", "late", "silent"]


@dataclass(frozen=True, slots=True)
class Liveness:
    """How a driver is doing since a moment, and the time of his newest fix; Unix seconds."""

    driver_id: str
    status: Status
    since: float
    fix_time: float


def of(driver: Latest, now: float, settings: EngineSettings) -> Liveness:
    """How a driver is doing now."""
    status: Status = "live"
    since = driver.live_since
    if now >= driver.fix_time + settings.silent_after_s:
        status, since = "silent", driver.fix_time + settings.silent_after_s
    elif now >= driver.fix_time + settings.late_after_s:
        status, since = "late", driver.fix_time + settings.late_after_s
    elif since != since:  # nobody has looked at him yet
        since = driver.fix_time
    return Liveness(driver.driver_id, status, since, driver.fix_time)


def changed(drivers: DriverTable, now: float, settings: EngineSettings) -> list[Liveness]:
    """Those who are otherwise than when this was asked last; a restored driver only once that was asked for once."""
    count = len(drivers)
    fix_time, told = drivers.filter.time[:count], drivers.told[:count]
    age = now - fix_time
    status = np.where(age < settings.late_after_s, 0, np.where(age < settings.silent_after_s, 1, 2)).astype(np.int8)
    rows = np.flatnonzero((status != told) & np.isfinite(fix_time))
    returned = rows[status[rows] == 0]
    drivers.live_since[returned] = fix_time[returned]
    news = rows[told[rows] != drivers.RESTORED]
    drivers.told[rows] = status[rows]
    return [of(driver, now, settings) for driver in drivers.latest(news)]
