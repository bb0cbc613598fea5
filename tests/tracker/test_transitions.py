import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.earth import distance
from tests.fixes import LATITUDE, LONGITUDE, T0, place
from tests.geo.test_fences import ring
from tracker.errors import InvalidInput
from tracker.records import Geofence, Legs, Transition
from tracker.settings import EngineSettings
from tracker.transitions import Fences

SETTINGS = EngineSettings(exit_margin_m=10.0, exit_margin_sigmas=0.0, dwell_after_s=120.0)
IDS = ["a", "b", "c", "d"]


def circle(radius: float = 30.0, east: float = 0.0, geofence_id: str = "f") -> Geofence:
    latitude, longitude = (float(x) for x in place(east))
    return Geofence(geofence_id=geofence_id, type="Point", coordinates=[longitude, latitude], radius=radius)


def path(t, east, north=0.0, driver: int = 0, sigma=3.0) -> Legs:
    """The legs of one driver through these places; the first is a point."""
    t = T0 + np.asarray(t, float)
    latitude, longitude = place(np.broadcast_to(np.asarray(east, float), t.shape), np.broadcast_to(north, t.shape))
    before = np.maximum(np.arange(len(t)) - 1, 0)
    return Legs(
        np.full(len(t), driver),
        t[before],
        latitude[before],
        longitude[before],
        t,
        latitude,
        longitude,
        np.broadcast_to(np.asarray(sigma, float), t.shape),
        distance(latitude[before], longitude[before], latitude, longitude),
        t,
    )


def fences(*given: Geofence, settings: EngineSettings = SETTINGS) -> Fences:
    made = Fences(settings)
    for geofence in given:
        made.put([geofence])
    return made


def told(transitions: list[Transition]) -> list[tuple[str, float]]:
    return [(t.kind, pytest.approx(t.occurred_at - T0, abs=0.05)) for t in transitions]


def test_a_fast_pass_between_two_fixes_is_an_enter_and_an_exit() -> None:
    transitions = fences(circle(30.0)).advance(path([0, 10], [-100, 100]), IDS)
    assert told(transitions) == [("enter", 3.5), ("exit", 6.5)]
    assert {t.detected_at for t in transitions} == {T0 + 10}


def test_one_who_brakes_crosses_sooner_than_at_an_even_speed() -> None:
    """100 m in the first ten seconds, 50 in the next: he passed the boundary, 20 m into them, after 3.0 s and not 4."""
    transitions = fences(circle(30.0, 100.0)).advance(path([0, 10, 20], [-50, 50, 100]), IDS)
    assert told(transitions) == [("enter", 12.96)]


def test_a_pass_over_a_long_silence_is_not_believed() -> None:
    assert fences(circle(30.0)).advance(path([0, 1000], [-100, 100]), IDS) == []
    ended_inside = fences(circle(30.0)).advance(path([0, 1000], [-100, 0]), IDS)
    assert told(ended_inside)[0] == ("enter", 700.0)


def test_jitter_at_the_boundary_is_one_visit_and_the_exit_is_the_last_crossing() -> None:
    t = [0, 10, 20, 30, 40, 50, 60]
    transitions = fences(circle(30.0)).advance(path(t, [-100, -25, -35, -25, -35, -39.9, -60]), IDS)
    assert told(transitions) == [("enter", 9.33), ("exit", 35.0)]


def test_the_margin_grows_with_the_uncertainty() -> None:
    uncertain = EngineSettings(exit_margin_m=10.0, exit_margin_sigmas=1.0)
    legs = path([0, 10, 20], [0, 60, 200], sigma=50.0)
    assert told(fences(circle(30.0), settings=uncertain).advance(legs, IDS)) == [("enter", 0.0), ("exit", 5.0)]
    assert fences(circle(30.0), settings=uncertain).advance(path([0, 10], [0, 60], sigma=50.0), IDS)[-1].kind == "enter"


def test_one_who_becomes_more_certain_outside_has_left() -> None:
    """In one batch as in two: he is outside by the margin of the last position, though not near the fence by it."""
    uncertain = EngineSettings(exit_margin_m=10.0, exit_margin_sigmas=1.0)
    legs = path([0, 10, 20, 30], [-100, 0, 70, 75], sigma=np.array([1.0, 1.0, 50.0, 1.0]))
    told_at_once = fences(circle(30.0), settings=uncertain).advance(legs, IDS)
    watched = fences(circle(30.0), settings=uncertain)
    in_turn = [t for i in range(4) for t in watched.advance(legs.take(np.array([i])), IDS)]
    assert told(told_at_once) == told(in_turn) == [("enter", 7.0), ("exit", 13.78)]


def test_a_pass_is_as_certain_as_it_is_deep() -> None:
    deep = fences(circle(30.0)).advance(path([0, 10], [-100, 100], 0.0, sigma=10.0), IDS)
    shallow = fences(circle(30.0)).advance(path([0, 10], [-100, 100], 28.0, sigma=10.0), IDS)
    assert [t.confidence for t in deep] == [pytest.approx(0.999, abs=1e-3)] * 2
    assert [t.confidence for t in shallow] == [pytest.approx(0.58, abs=0.01)] * 2
    assert shallow[0].evidence == {
        "accuracy": 10.0,
        "distance": pytest.approx(73.8, abs=0.2),
        "depth": pytest.approx(2.0, abs=0.1),
        "seconds": pytest.approx(1.4, abs=0.1),
    }


def test_a_dwell_told_again_after_a_restart_is_the_same_event() -> None:
    first = fences(circle(30.0)).advance(path([0, 100, 200], [0, 0, 0]), IDS)[-1]
    after = fences(circle(30.0))
    after.restore(0, "f", T0, T0 + 100)
    (again,) = after.advance(path([100, 200, 300], [0, 0, 0]), IDS)
    assert again == first
    assert first.kind == "dwell"


def test_a_first_position_inside_is_an_enter_of_little_weight() -> None:
    (entered,) = fences(circle(30.0)).advance(path([5], [29.0], sigma=10.0), IDS)
    assert (entered.kind, entered.occurred_at, entered.evidence["first_fix"]) == ("enter", T0 + 5, True)
    assert entered.confidence < 0.6


def test_dwell_once_a_visit() -> None:
    t = np.arange(0, 400, 10)
    transitions = fences(circle(30.0)).advance(path(t, np.where(t < 300, 0.0, 500.0)), IDS)
    assert told(transitions)[:2] == [("enter", 0.0), ("dwell", 120.0)]
    assert [t.kind for t in transitions] == ["enter", "dwell", "exit"]
    short = fences(circle(30.0)).advance(path([0, 100, 110, 130], [0, 0, 100, 100]), IDS)
    assert [t.kind for t in short] == ["enter", "exit"]


def test_a_step_out_within_the_margin_does_not_end_a_visit() -> None:
    transitions = fences(circle(30.0)).advance(path([0, 20, 30, 40, 200], [0, 35, 0, 0, 0]), IDS)
    assert told(transitions) == [("enter", 0.0), ("dwell", 120.0)]


def test_a_fence_put_around_a_driver_and_removed_under_him() -> None:
    watched = fences()
    watched.advance(path([0, 10], [0, 0]), IDS)
    watched.put([circle(30.0)])
    assert told(watched.advance(path([10, 20], [0, 0]).take(np.array([1])), IDS)) == [("enter", 20.0)]
    assert watched.inside(0) == ["f"]
    watched.remove("f")
    assert watched.inside(0) == []
    assert watched.advance(path([20, 30], [0, 500]).take(np.array([1])), IDS) == []
    watched.put([circle(30.0, geofence_id="g")])  # takes the freed place, and knows nothing of the one before
    assert told(watched.advance(path([30, 40], [0, 0]).take(np.array([1])), IDS)) == [("enter", 40.0)]


def test_a_fence_of_another_shape_is_the_same_fence() -> None:
    watched = fences(circle(30.0))
    watched.advance(path([0], [0]), IDS)
    watched.put([circle(300.0)])
    assert watched.advance(path([0, 10], [0, 200]).take(np.array([1])), IDS) == []
    assert told(watched.advance(path([10, 20], [200, 400]).take(np.array([1])), IDS)) == [("exit", 15.0)]


def test_polygons_with_their_margin() -> None:
    square = ring([(-50, -50), (50, -50), (50, 50), (-50, 50)], LATITUDE, LONGITUDE)
    watched = fences(Geofence(geofence_id="f", type="Polygon", coordinates=[square]))
    assert told(watched.advance(path([0, 10, 20, 30], [-100, 0, 55, 100]), IDS)) == [("enter", 5.0), ("exit", 18.6)]


def test_a_touched_corner_is_entered_before_it_is_left() -> None:
    triangle = ring([(-60, -90), (80, -60), (10, 80)], LATITUDE, LONGITUDE)
    watched = fences(Geofence(geofence_id="f", type="Polygon", coordinates=[triangle]))
    transitions = watched.advance(path([0, 1], [-106, 0], [-67, -120]), IDS)
    assert [t.kind for t in transitions] in ([], ["enter", "exit"])
    assert all(t.confidence == 0.5 for t in transitions)


def test_at_one_instant_the_exit_comes_first() -> None:
    transitions = fences(circle(50.0, 0.0, "one"), circle(50.0, 100.0, "two")).advance(
        path([0, 10, 20], [0, 100, 100]), IDS
    )
    assert [(t.kind, t.geofence_id) for t in transitions] == [("enter", "one"), ("exit", "one"), ("enter", "two")]


@pytest.mark.parametrize(("seen_at", "kinds"), [(-1.0, ["exit"]), (-900.0, ["dwell", "exit"])])
def test_a_restored_driver_is_told_only_what_he_was_not_told_before(seen_at: float, kinds: list[str]) -> None:
    watched = fences(circle(30.0))
    watched.restore(0, "f", T0 - 1000, T0 + seen_at)
    watched.restore(1, "gone", T0, T0)
    assert watched.inside(0) == ["f"]
    transitions = watched.advance(path([0, 10], [0, 100]), IDS)
    assert [t.kind for t in transitions] == kinds


def test_many_at_once_are_as_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    given = [circle(r, x, str(i)) for i, (r, x) in enumerate(zip(*rng.uniform(20, 200, (2, 40)), strict=True))]
    given += [circle(50.0, 500.0, "3"), circle(60.0, 300.0, "3")]
    one, many = fences(*given), fences(*given[:10])
    for watched in (one, many):
        for name in ("2", "5", "7"):
            watched.remove(name)
    one_by_one = [*given[10:], *given[:10]]
    for geofence in one_by_one:
        one.put([geofence])
    many.put(one_by_one)
    drive = path(np.arange(60), np.linspace(-300, 700, 60))
    expected = [(t.kind, t.geofence_id, t.occurred_at) for t in one.advance(drive, IDS)]
    assert len(expected) > 40
    assert [(t.kind, t.geofence_id, t.occurred_at) for t in many.advance(drive, IDS)] == expected


def test_a_bad_shape_leaves_what_was_there() -> None:
    watched = fences(circle(30.0))
    with pytest.raises(InvalidInput, match="geometry"):
        watched.put([circle(60.0), circle(90.0, geofence_id="other"), circle(-1.0, geofence_id="bad")])
    assert watched.inside(0) == []
    with pytest.raises(InvalidInput, match="geometry"):
        watched.put([circle(-1.0)])
    with pytest.raises(InvalidInput):
        watched.put([circle(-1.0, geofence_id="new")])
    transitions = watched.advance(path([0, 10], [0, 75]), IDS)
    assert [(t.kind, t.geofence_id) for t in transitions] == [("enter", "f"), ("exit", "f")]


walk = st.lists(st.tuples(st.integers(1, 200), st.integers(-120, 120), st.integers(-120, 120)), min_size=1, max_size=25)


@settings(max_examples=100, deadline=None)
@given(st.lists(walk, min_size=1, max_size=4), st.lists(st.integers(0, 25), max_size=4))
def test_any_split_gives_the_same_transitions_and_they_alternate(walks, cuts) -> None:
    given_fences = [
        circle(40.0),
        circle(70.0, 50.0, "g"),
        Geofence(
            geofence_id="h", type="Polygon", coordinates=[ring([(-60, -90), (80, -60), (10, 80)], LATITUDE, LONGITUDE)]
        ),
    ]
    paths = []
    for driver, steps in enumerate(walks):
        dt, east, north = np.array(steps, float).T
        paths.append(path(np.cumsum(dt), east, north, driver))

    def run(bounds: list[int]) -> list[Transition]:
        watched, found = fences(*given_fences), []
        for start, end in zip([0, *bounds], [*bounds, 25], strict=True):
            parts = [p.take(np.arange(start, min(end, len(p.t1)))) for p in paths if len(p.t1) > start]
            whole = Legs(*(np.concatenate([getattr(p, n) for p in parts] or [np.empty(0)]) for n in Legs.__slots__))
            found += watched.advance(whole.take(np.arange(len(whole.t1))), IDS) if parts else []
        return sorted(found, key=lambda t: t.event_id)

    whole = run([])
    assert run(sorted(set(cuts))) == whole
    assert len({t.event_id for t in whole}) == len(whole)
    for driver_id in IDS:
        for geofence_id in "fgh":
            mine = [t for t in whole if (t.driver_id, t.geofence_id) == (driver_id, geofence_id) and t.kind != "dwell"]
            mine.sort(key=lambda t: (t.detected_at, t.occurred_at))
            assert [t.kind for t in mine] == ["enter", "exit"] * (len(mine) // 2) + ["enter"] * (len(mine) % 2)
