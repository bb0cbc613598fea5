"""ETA of trips that were not learned from, through the files that `tracker eta train` and `evaluate` take."""

import csv
import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from api.eta_runs import Score, evaluate, live_part, train
from api.trips_file import TripsFile, read_trips
from benchmarks.accuracy import data
from benchmarks.accuracy.bus import bus_rows
from benchmarks.accuracy.report import Row
from tracker.engine import Engine
from tracker.learned_bytes import from_bytes
from tracker.records import Destination, FixBatch, Floats, Order, Route
from tracker.settings import EngineSettings

SETTINGS = EngineSettings()
PICTURES = Path("benchmarks") / "results"
"""Error and coverage by distance go here, as porto.svg, porto.png and the same of didi."""


def measure() -> Iterable[Row]:
    """D2 on Porto, D3 on DiDi, and a bus line. Raises NoData."""
    return [*_porto(), *_didi(), *bus_rows()]


def _porto() -> list[Row]:
    score, raw, live = _score("porto", porto("train"), porto("test"))
    assert live is not None
    return [
        Row("D2", "Porto, MAPE of p50, %", 100 * score.mape, "<= 15.3", 100 * raw.mape, 16.29),
        Row("D2", "Porto, MAE of p50, s", score.mae_s, "<= 96", raw.mae_s, 101.3),
        Row("D2", "Porto, bias of p50, s", score.bias_s, "", raw.bias_s),
        Row("D2", "Porto, trips below p90, %", 100 * score.below_p90, "89 .. 91", None, 88.8),
        Row("D2", "Porto, trips below p50, %", 100 * score.below_p50, "", None, 49.7),
        Row("D2", "Porto, trips below p10, %", 100 * score.below_p10, "9 .. 11", None, 12.4),
        Row("D2", "Porto, by a server that loaded it: MAPE, %", 100 * live.mape, "", 100 * raw.mape),
        Row("D2", "Porto, by a server: MAE, s", live.mae_s, "", raw.mae_s),
        Row("D2", "Porto, by a server: below p90, %", 100 * live.below_p90),
        Row("D2", "Porto, by a server: below p10, %", 100 * live.below_p10),
    ]


def _didi() -> list[Row]:
    score, _, _ = _score("didi", didi("train-*"), didi("eval-*"))
    planner = [(sum(line["planned"]) + sum(line["delays"]), line["travel_time"]) for line in didi("eval-*")]
    plan = np.array(planner).T
    raw = Score.of(np.repeat(plan[0][:, None], 3, axis=1), plan[1])
    return [
        Row("D3", "DiDi, MAPE of p50, %", 100 * score.mape, "<= 11.5", 100 * raw.mape, 13.65),
        Row("D3", "DiDi, MAE of p50, s", score.mae_s, "", raw.mae_s),
        Row("D3", "DiDi, trips below p90, %", 100 * score.below_p90),
        Row("D3", "DiDi, trips below p10, %", 100 * score.below_p10),
    ]


def porto(part: str) -> Iterator[dict[str, Any]]:
    """Trips of Porto's taxis as lines of a trips file. Raises NoData."""
    rows = {int(row["fid"]): row for row in data.rows("porto_tte/edges.csv.gz")}
    for trip in _json(data.path(f"porto_tte/{part}.jsonl.gz")):
        edges = [rows[edge] for edge in trip["edges"]]
        vertices = [(edge["u_lon"], edge["u_lat"]) for edge in edges] + [(edges[-1]["v_lon"], edges[-1]["v_lat"])]
        yield {
            "trip": trip["trip"],
            "weekday": trip["wd"],
            "minute": trip["min"],
            "path": [[float(x), float(y)] for x, y in vertices],
            "lengths": [float(edge["length"]) for edge in edges],
            "edges": trip["edges"],
            "classes": [edge["highway"] for edge in edges],
            "travel_time": trip["tt"],
        }


def didi(part: str) -> Iterator[dict[str, Any]]:
    """Trips of DiDi as lines of a trips file, with the planner's times; a crossing follows the last link of its group.

    Raises NoData.
    """
    segments = {int(row["seg"]): row for row in data.rows("didi_trips/segments.csv.gz")}
    for file in sorted(data.path("didi_trips").glob(f"{part}.jsonl.gz")):
        for i, trip in enumerate(_json(file)):
            links = [link for group in trip["links"] for link in group]
            delays = [0.0] * len(links)
            ends = np.cumsum([len(group) for group in trip["links"]])
            for end, (_, delay) in zip(ends.tolist(), trip["cross"], strict=False):
                delays[end - 1] = delay
            rows = [segments[int(link[0])] for link in links]
            yield {
                "trip": f"{file.name}:{i}",
                "weekday": trip["wd"] - 1,
                "minute": trip["slot"] * 5,
                "lengths": [float(row["length_m"]) for row in rows],
                "edges": [int(link[0]) for link in links],
                "classes": [row["functional_level"] for row in rows],
                "planned": [link[1] for link in links],
                "delays": delays,
                "travel_time": trip["tt"],
            }


def _score(
    name: str, learn: Iterable[dict[str, Any]], judge: Iterable[dict[str, Any]]
) -> tuple[Score, Score, Score | None]:
    """How good at trips not learned from: the model, one speed for all, and a server that has loaded the model.

    The server knows each trip's way; None where trips have none.
    """
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        past, coming, model, out = (Path(folder) / part for part in ("past", "coming", "model", "pred.csv"))
        for file, lines in ((past, learn), (coming, judge)):
            file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        train(past, model)
        evaluate(model, coming, out, PICTURES / name)
        predicted = np.array([[float(row[q]) for q in ("p10", "p50", "p90")] for row in _csv(out)])
        known, asked = read_trips(past), read_trips(coming)
        loaded = _loaded(live_part(model), asked) if np.isfinite(asked.trips.latitude).all() else None
    pace = np.median(known.travel_time / known.trips.metres)
    same = Score.of(_same(pace * asked.trips.metres), asked.travel_time)
    return Score.of(predicted, asked.travel_time), same, loaded


def _loaded(live: bytes, asked: TripsFile) -> Score:
    """Each trip is a driver's route of one stop, predicted at his first fix."""
    engine, trips, n = Engine(SETTINGS), asked.trips, len(asked)
    engine.use_model(from_bytes(live).model(1, SETTINGS))
    for i in range(n):
        steps = slice(trips.offset[i], trips.offset[i + 1])
        latitude, longitude = (
            np.append(ends[steps, 0], ends[steps][-1, 1]) for ends in (trips.latitude, trips.longitude)
        )
        goal = Destination(latitude=float(latitude[-1]), longitude=float(longitude[-1]))
        engine.set_order(Order(order_id=f"{i}", customer_id="c", driver_id=f"{i}", destination=goal))
        path = np.stack([longitude, latitude], axis=1).tolist()
        engine.set_route(Route(route_id=f"{i}", driver_id=f"{i}", stops=[f"{i}"], path=path))
    first, unknown = trips.offset[:-1], np.full(n, np.nan)
    at, row = asked.departed_at, np.array([engine.driver_row(f"{i}") for i in range(n)])
    columns = at, trips.latitude[first, 0], trips.longitude[first, 0], unknown, unknown, unknown
    engine.ingest(FixBatch(row, *columns, received_at=at))
    eta = np.array([engine.eta(f"{i}") or (np.nan,) * 3 for i in range(n)]) - at[:, None]
    told = np.isfinite(eta).all(axis=1)
    return Score.of(eta[told], asked.travel_time[told])


def _same(seconds: Floats) -> Floats:
    """The same value as all three quantiles."""
    return np.repeat(seconds[:, None], 3, axis=1)


def _csv(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text("utf-8").splitlines()))


def _json(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as text:
        for line in text:
            yield json.loads(line)
