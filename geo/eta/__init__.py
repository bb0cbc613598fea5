"""How long a trip takes: a distribution learned from the fleet's own finished trips."""

from geo.eta.cells import trips_of_paths
from geo.eta.model import Model, UnfitModel
from geo.eta.stored import from_bytes, to_bytes
from geo.eta.trips import Trips

__all__ = ["Model", "Trips", "UnfitModel", "from_bytes", "to_bytes", "trips_of_paths"]
