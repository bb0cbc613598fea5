"""The demo's places are where the protocol allows them, and in Taipei."""

from api.bodies import read_geofence
from api.places import DEPOT, FENCES, NAMES, PLACES
from geo.earth import distance


def test_every_place_is_within_reach_of_the_depot():
    assert all(distance(*DEPOT, latitude, longitude) < 6000 for _, latitude, longitude in PLACES)
    assert len({address for address, _, _ in PLACES}) == len(PLACES) >= 20
    assert len(set(NAMES)) == len(NAMES)


def test_every_geofence_can_be_read():
    fences = {key: read_geofence(key, feature) for key, feature in FENCES.items()}
    assert fences["depot"].radius == 120
    assert fences["daan-park"].type == "Polygon"
