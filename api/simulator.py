"""Drives through a city and what a phone would measure on them; functions of a random generator, no clock."""

from dataclasses import dataclass

import numpy as np

from geo.earth import metres_per_degree
from tracker.messages import Fix
from tracker.records import Floats

ACCELERATION = 1.5  # m/s²
CRUISE = (7.0, 12.0)  # m/s, from and to
BLOCK = 180.0  # m between two streets
LIGHT_EVERY = 250.0  # m
LIGHT_RED = 0.4  # share of traffic lights that are red
RED_S = (5.0, 45.0)
NOISE_S = 20.0  # for so long errors of a phone stay alike
NOISE = 3.0  # m, standard deviation per axis
JUMP_SHARE = 0.003  # of fixes are reflected from a building, and off by 50 to 150 m


@dataclass(frozen=True, slots=True)
class Trip:
    """A drive and the stay at its end, second by second; columns of shape (n,)."""

    latitude: Floats
    longitude: Floats
    speed: Floats  # m/s
    course: Floats  # degrees from true north

    def __len__(self) -> int:
        return len(self.latitude)


def drive(
    start: tuple[float, float], end: tuple[float, float], rng: np.random.Generator, *, stay_s: float = 60.0
) -> Trip:
    """From `start` to `end`, both (latitude, longitude), along streets, stopping at red lights; then stay there."""
    north, east = (float(metres) for metres in metres_per_degree(start[0]))
    goal = np.array([(end[1] - start[1]) * east, (end[0] - start[0]) * north])
    corners = _streets(goal, rng)
    legs = np.diff(corners, axis=0)
    reached = np.concatenate([[0.0], np.cumsum(np.hypot(*legs.T))])
    halt_at, wait = _halts(reached, rng)
    metres, speed = _profile(halt_at, wait, rng)
    staying = np.arange(np.ceil(stay_s))
    metres = np.concatenate([metres, np.full(len(staying), reached[-1])])
    speed = np.concatenate([speed, np.zeros(len(staying))])
    leg = np.clip(np.searchsorted(reached, metres, "right") - 1, 0, len(legs) - 1)
    return Trip(
        latitude=start[0] + np.interp(metres, reached, corners[:, 1]) / north,
        longitude=start[1] + np.interp(metres, reached, corners[:, 0]) / east,
        speed=speed,
        course=np.degrees(np.arctan2(legs[leg, 0], legs[leg, 1])) % 360.0,
    )


def measure(trip: Trip, rng: np.random.Generator, *, start_time: float, every_s: int = 2) -> list[Fix]:
    """What a phone makes of a trip, a fix each `every_s` seconds from `start_time` on (Unix seconds).

    Errors are correlated in time, as those of a phone's filter are; now and then a reflection throws a fix far off.
    """
    n = len(trip)
    error = np.stack([_correlated(n, rng), _correlated(n, rng)]) * NOISE
    accuracy = 3.0 + 1.5 * np.hypot(*error) + rng.gamma(2.0, 1.0, n)
    jump = rng.random(n) < JUMP_SHARE
    direction = rng.uniform(0.0, 2 * np.pi, n)
    error += jump * rng.uniform(50.0, 150.0, n) * np.stack([np.sin(direction), np.cos(direction)])
    north, east = metres_per_degree(trip.latitude)
    latitude = trip.latitude + error[1] / north
    longitude = trip.longitude + error[0] / east
    speed = np.abs(trip.speed + rng.normal(0.0, 0.3, n))
    course = (trip.course + rng.normal(0.0, 5.0, n)) % 360.0
    return [
        Fix(
            latitude=round(float(latitude[i]), 7),
            longitude=round(float(longitude[i]), 7),
            speed=round(float(speed[i]), 2),
            heading=round(float(course[i]), 1) if speed[i] > 1.0 else None,
            accuracy=round(float(accuracy[i]), 1),
            timestamp=round(start_time + i, 3),
        )
        for i in range(0, n, every_s)
    ]


def _streets(goal: Floats, rng: np.random.Generator) -> Floats:
    """Corners (k, 2) of a way from the origin to `goal` (east, north) with two turns, at a street between them."""
    turn = round(float(rng.uniform(0.2, 0.8)) * goal[0] / BLOCK) * BLOCK
    corners = np.array([(0.0, 0.0), (turn, 0.0), (turn, goal[1]), tuple(goal)])
    apart = np.hypot(*np.diff(corners, axis=0).T) > 1.0
    kept = corners[np.concatenate([[True], apart])]
    return kept if len(kept) > 1 else np.array([(0.0, 0.0), tuple(goal)])


def _halts(reached: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Metres along the way at which the car stops, the end among them, and seconds it waits there."""
    turns = reached[1:-1]
    lights = np.arange(LIGHT_EVERY, reached[-1] - LIGHT_EVERY / 2, LIGHT_EVERY)
    lights = lights[rng.random(len(lights)) < LIGHT_RED]
    at = np.concatenate([turns, lights, reached[-1:]])
    wait = np.concatenate([rng.uniform(0.0, 3.0, len(turns)), rng.uniform(*RED_S, len(lights)), [0.0]])
    order = np.argsort(at, kind="stable")
    return at[order], wait[order]


def _profile(halt_at: Floats, wait: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Metres along the way and speed, each second: speed up, cruise, slow down to each halt, wait."""
    length = np.maximum(np.diff(halt_at, prepend=0.0), 0.1)
    top = np.minimum(rng.uniform(*CRUISE, len(length)), np.sqrt(ACCELERATION * length))
    ramp = top / ACCELERATION
    moving = length / top + ramp
    begin = np.concatenate([[0.0], np.cumsum(moving + wait)])
    t = np.arange(np.ceil(begin[-1]))
    i = np.searchsorted(begin, t, "right") - 1
    since = np.minimum(t - begin[i], moving[i])
    left = moving[i] - since
    speed = np.minimum(np.minimum(since, left) * ACCELERATION, top[i])
    metres = np.select(
        [since < ramp[i], left < ramp[i]],
        [ACCELERATION * since**2 / 2, length[i] - ACCELERATION * left**2 / 2],
        top[i] * (since - ramp[i] / 2),
    )
    return halt_at[i] - length[i] + metres, speed


def _correlated(n: int, rng: np.random.Generator) -> Floats:
    """Noise of variance 1 whose correlation falls to 1/e in NOISE_S seconds."""
    kernel = np.exp(-np.arange(5 * NOISE_S) / NOISE_S)
    kernel /= np.sqrt(np.sum(kernel**2))
    return np.convolve(rng.normal(size=n + len(kernel) - 1), kernel, "valid")
