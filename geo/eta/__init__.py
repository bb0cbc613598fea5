"""When a driver arrives: a distribution of travel times learned from the fleet's own finished trips."""

from geo.eta.model import Model, UnfitModel
from geo.eta.pace import learn_pace, shrunk_speed, time_left
from geo.eta.stored import from_bytes, to_bytes
from geo.eta.trips import Trips

__all__ = ["Model", "Trips", "UnfitModel", "from_bytes", "learn_pace", "shrunk_speed", "time_left", "to_bytes"]
