"""What people use in SQL: every example of docs/sql.md runs, and views and functions agree with what the store says."""

import re
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import numpy as np
import pytest
import shapely

from geo.fences import Circle
from storage import Commit, Store, open_store
from tests.storage.test_rows import EVENTS
from tests.tracks import T0, run, runs
from tracker.errors import Flag
from tracker.records import Track

PAGE = (Path(__file__).parents[1] / "docs" / "sql.md").read_text("utf-8")
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
DAY = 86400.0


def drive(driver_id: str, start: float, fixes: int, step: float, latitude: float, longitude: float) -> Track:
    """East and west past a place, 5 m/s."""
    track = run(driver_id, start - T0 + np.arange(fixes) * step)
    swing = np.abs((np.arange(fixes) * step * 5 / 100_700) % 0.04 - 0.02)
    track.longitude[:] = np.round(longitude + swing, 7)
    track.latitude[:] = latitude
    return track


@pytest.fixture
async def sql(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    store = open_store(postgres_url)
    await store.open()
    yield store
    await store.close()


async def test_the_examples_of_the_page_find_something(store: Store, sql: asyncpg.Connection):
    start = time.time() - 7100
    await store.commit(Commit(track=drive("D1", start, 710, 10.0, 25.0478, 121.5), events=EVENTS))
    await sql.execute("UPDATE events SET kind = 'driver_arrived', occurred_at = $1", time.time() - 60)
    assert len(EXAMPLES) >= 8
    for example in EXAMPLES:
        assert await sql.fetch(example), example


async def test_the_example_for_a_geopackage_runs(sqlite_url: str):
    store = open_store(sqlite_url)
    await store.open()
    await store.commit(Commit(track=run("a", [1, 2]), aside=run("a", [9], kind=Flag.OUTLIER)))
    (example,) = re.findall(r"```sqlite\n(.*?)```", PAGE, re.DOTALL)
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as file:
        assert file.execute(example).fetchall() == [("a", "2025-10-09T08:53:22.000Z")]
        ((blob,),) = file.execute("SELECT position FROM latest_positions").fetchall()
    file.close()
    track = await store.track("a", T0, T0 + 9)
    await store.close()
    assert blob[:4] == b"GP\0\1"
    point = shapely.get_coordinates(shapely.from_wkb(blob[8:]), include_m=True)[0]
    assert point.tolist() == [track.longitude[1], track.latitude[1], T0 + 2]


async def test_fixes_are_rows_each_once(store: Store, sql: asyncpg.Connection):
    await store.commit(Commit(track=runs([run("a", [390, 399, 401]), run("b", [7])])))
    late = runs([run("a", [393, 450], kind=Flag.LATE), run("a", [395], kind=Flag.OUTLIER)])
    await store.commit(Commit(track=run("a", [401, 500], connected=True), aside=late))
    await store.commit(Commit(judgements=[("a", T0 + 399, Flag.OUTLIER)]))
    track, kind = await store.fixes("a", T0, T0 + 500)
    rows = await sql.fetch(
        "SELECT * FROM fixes_between(to_timestamp($1), to_timestamp($2), 'a') ORDER BY 2", T0, T0 + 500
    )
    assert [row["fix_time"].timestamp() for row in rows] == track.fix_time.tolist()
    words = {Flag.ACCEPTED: "accepted", Flag.OUTLIER: "outlier", Flag.LATE: "late"}
    assert [row["kind"] for row in rows] == [words[Flag(k)] for k in kind.tolist()]
    for name in ("longitude", "latitude", "speed", "course", "accuracy"):
        values = np.array([row[name] for row in rows], np.float64)
        assert np.array_equal(values, getattr(track, name), equal_nan=True), name
    assert await sql.fetchval("SELECT count(*) FROM fixes") == 8


async def test_the_latest_position_is_the_newest_believed_fix(store: Store, sql: asyncpg.Connection):
    await store.commit(Commit(track=runs([run("a", [1, 2]), run("b", [5])]), aside=run("a", [9], kind=Flag.OUTLIER)))
    await store.commit(Commit(track=run("a", [2, 3], connected=True)))
    await store.commit(Commit(judgements=[("a", T0 + 3, Flag.OUTLIER)]))
    rows = await sql.fetch("SELECT driver_id, fix_time, speed FROM latest_positions ORDER BY 1")
    assert [(row["driver_id"], row["fix_time"].timestamp() - T0, row["speed"]) for row in rows] == [
        ("a", 2, 2.0),
        ("b", 5, 5.0),
    ]


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(T0 + seconds, UTC)


async def test_position_at_agrees_with_the_store(store: Store, sql: asyncpg.Connection):
    await store.commit(Commit(track=run("a", [0, 300, 410, 420]), aside=run("a", [350], kind=Flag.LATE)))
    await store.commit(Commit(track=run("a", [2000])))
    for at in (-1, 0, 150.5, 325, 350, 380, 405, 420, 1000, 2000, 2001):
        found = await store.position("a", T0 + at)
        rows = await sql.fetch("SELECT * FROM position_at('a', $1)", moment(at))
        if np.isnan(found.latitude):
            assert rows == []
        else:
            assert (rows[0]["longitude"], rows[0]["latitude"]) == pytest.approx(
                (found.longitude, found.latitude), abs=1e-7
            )
            assert found.before is not None
            assert rows[0]["before"].timestamp() == found.before.fix_time


async def test_passed_near_agrees_with_the_store_also_between_rows(store: Store, sql: asyncpg.Connection):
    """Past the place in the middle of a run, from one hour to the next, in a late fix, and not at all."""
    place = Circle(25.0, 121.5, 40.0)
    tracks = []
    for number, (driver_id, start) in enumerate((("within", 0.0), ("hours", 0.0), ("later", 5000.0), ("far", 0.0))):
        track = drive(
            driver_id, T0 + start, 80, 10.0, 25.0 + (0.0002 if driver_id != "far" else 0.01), 121.5 - 0.001 * number
        )
        tracks.append(track)
    east = drive("late", T0, 2, 500.0, 25.005, 121.5)
    aside = drive("late", T0 + 240, 1, 10.0, 25.0001, 121.5)
    aside.longitude[:] = 121.5
    aside.kind[:] = Flag.LATE
    await store.commit(Commit(track=runs([*tracks, east]), aside=aside))
    passes = await store.passes(place, T0, T0 + 2000)
    rows = await sql.fetch(
        "SELECT * FROM passed_near(ST_SetSRID(ST_MakePoint(121.5, 25), 4326), 40, $1, $2)", moment(0), moment(2000)
    )
    assert {row["driver_id"] for row in rows} == {found.driver_id for found in passes} == {"within", "hours", "late"}
    for row in rows:
        visits = [visit for visit in passes if visit.driver_id == row["driver_id"]]
        closest = min(visit.distance for visit in visits)
        assert row["distance_m"] == pytest.approx(closest, abs=0.1)
        moments = [visit.closest_at for visit in visits if visit.distance < closest + 0.1]  # there and back
        assert min(abs(row["closest_at"].timestamp() - moment) for moment in moments) < 0.5


@pytest.mark.parametrize("longitude", [179.9999, -179.9999, 180.0])
async def test_passed_near_sees_over_the_antimeridian(store: Store, sql: asyncpg.Connection, longitude: float):
    """Across it past the place, on its other side near the place, half the world away, and on the side of the place."""
    tracks = {
        "across": run("across", np.arange(0.0, 100.0, 10.0)),
        "west": run("west", [0.0, 10.0]),
        "east": run("east", [0.0, 10.0]),
        "opposite": run("opposite", [0.0, 10.0]),
    }
    for track in tracks.values():
        track.latitude[:] = 25.0
    tracks["across"].longitude[:] = np.where(np.arange(10) < 5, 179.991, -179.999) + 0.002 * (np.arange(10) % 5)
    tracks["west"].longitude[:] = 179.9998
    tracks["east"].longitude[:] = -179.9998
    tracks["opposite"].longitude[:] = [-0.001, 0.001]
    await store.commit(Commit(track=runs(tracks.values())))
    passes = await store.passes(Circle(25.0, longitude, 60.0), T0, T0 + 2000)
    point = f"ST_SetSRID(ST_MakePoint({longitude}, 25), 4326)"
    rows = await sql.fetch(f"SELECT * FROM passed_near({point}, 60, $1, $2)", moment(0), moment(2000))
    assert {row["driver_id"] for row in rows} == {found.driver_id for found in passes} == {"across", "west", "east"}
    for row in rows:
        (closest,) = [visit for visit in passes if visit.driver_id == row["driver_id"]]
        assert row["distance_m"] == pytest.approx(closest.distance, abs=0.1)
        assert row["closest_at"].timestamp() == pytest.approx(closest.closest_at, abs=0.5)


QUESTIONS = {
    "a track": (
        "SELECT path FROM tracks WHERE driver_id = $1 AND end_time >= $2 AND end_time < $3 + 4200",
        ("a", T0, T0 + 3600),
    ),
    "fixes_between": ("SELECT * FROM fixes_between($1, $2, 'a')", (moment(0), moment(3600))),
    "position_at": ("SELECT * FROM position_at('a', $1)", (moment(1),)),
    "passed_near": (
        "SELECT * FROM passed_near(ST_SetSRID(ST_MakePoint(121.5, 25), 4326), 40, $1, $2)",
        (moment(0), moment(3600)),
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_only_the_week_that_is_asked_for_is_touched(store: Store, sql: asyncpg.Connection, question: str):
    await store.commit(Commit(track=runs(run("a", [week * 7 * DAY, week * 7 * DAY + 9]) for week in range(-20, 20))))
    text, values = QUESTIONS[question]
    before = await _scanned(sql)
    for _ in range(8):  # also when the plan has become a general one
        await sql.fetch(text, *values)
    await sql.execute("SELECT pg_stat_force_next_flush()")
    after = await _scanned(sql)
    assert {name for name, scans in after.items() if scans > before[name]} == {f"segments_w{int(T0 // (7 * DAY))}"}


async def _scanned(sql: asyncpg.Connection) -> dict[str, int]:
    """How often each partition was scanned, in whatever way."""
    rows = await sql.fetch("""
        SELECT relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) AS scans FROM pg_stat_user_tables
        WHERE relname LIKE 'segments_w%'""")
    assert len(rows) == 40
    return {row["relname"]: row["scans"] for row in rows}


async def test_everything_is_explained(store: Store, sql: asyncpg.Connection):
    await store.commit(Commit(track=run("a", [1])))
    unexplained = await sql.fetch("""
        SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND attnum > 0
          AND relname NOT IN ('spatial_ref_sys', 'geometry_columns', 'geography_columns')
          AND (col_description(pg_class.oid, attnum) IS NULL OR obj_description(pg_class.oid, 'pg_class') IS NULL)
        UNION ALL
        SELECT proname, '()' FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')""")
    assert unexplained == []
