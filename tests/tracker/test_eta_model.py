import pytest

from tracker.eta_model import SERVICE_SHRINK, ServiceTimes, cold_model, place_of
from tracker.settings import EngineSettings


def test_a_cold_model_says_what_the_settings_say() -> None:
    model = cold_model(EngineSettings(default_speed_mps=5.0, circuity=1.2, service_s=90.0))
    assert model.version == 0
    assert model.speeds.anywhere[0] == 0.2
    assert model.speeds.circuity == 1.2
    assert model.service.expected("anyone", place_of(1.0, 2.0)) == 90.0


def test_service_is_drawn_from_the_fleet_to_the_driver_to_the_address_as_far_as_stops_were_seen() -> None:
    service = ServiceTimes(100.0, {"slow": (4.0, 800.0)}, {"tower": (12.0, 7200.0)})
    assert service.expected("new", "new") == 100.0
    slow = (800 + SERVICE_SHRINK * 100) / (4 + SERVICE_SHRINK)
    assert service.expected("slow", "new") == pytest.approx(slow)
    assert service.expected("slow", "tower") == pytest.approx((7200 + SERVICE_SHRINK * slow) / (12 + SERVICE_SHRINK))


def test_a_place_is_an_address() -> None:
    assert place_of(25.03301, 121.5654) == place_of(25.03299, 121.5654)
    assert place_of(25.0332, 121.5654) != place_of(25.0330, 121.5654)
