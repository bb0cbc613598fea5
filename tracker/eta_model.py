"""What the fleet's finished trips say of the next ones: speeds, service times, and how far to trust a prediction."""

from dataclasses import dataclass, field

from geo.intervals import Intervals, cold_intervals
from geo.speeds import Speeds, flat_speeds
from tracker.corridors import Corridors
from tracker.settings import EngineSettings

COLD_PACE_TRUST = 0.5
"""How much of a driver's own pace counts before anything is learned; speeds of the fleet say more than he does."""
SERVICE_SHRINK = 4.0
"""So many stops weigh as much as what is known of the driver, or of the fleet, without them."""


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Seconds that stops take: at an address, else of a driver, else of the fleet; (stops seen, their seconds)."""

    fleet_s: float
    by_driver: dict[str, tuple[float, float]] = field(default_factory=dict)
    by_place: dict[str, tuple[float, float]] = field(default_factory=dict)

    def expected(self, driver_id: str, place: str) -> float:
        """Seconds that this driver's next stop at a place takes, drawn towards what is known better."""
        seconds = self.fleet_s
        for stops, total in (self.by_driver.get(driver_id, (0.0, 0.0)), self.by_place.get(place, (0.0, 0.0))):
            seconds = (total + SERVICE_SHRINK * seconds) / (stops + SERVICE_SHRINK)
        return seconds


def place_of(latitude: float, longitude: float) -> str:
    """An address, to about ten metres."""
    return f"{latitude:.4f},{longitude:.4f}"


@dataclass(frozen=True, slots=True)
class EtaModel:
    """All that a prediction takes from history; `version` 0 has none."""

    version: int
    speeds: Speeds
    intervals: Intervals
    service: ServiceTimes
    pace_trust: float
    corridors: Corridors = field(default_factory=dict)


def cold_model(settings: EngineSettings) -> EtaModel:
    """What is assumed before anything is learned."""
    speeds = flat_speeds(settings.default_speed_mps, settings.circuity)
    return EtaModel(0, speeds, cold_intervals(), ServiceTimes(settings.service_s), COLD_PACE_TRUST)
