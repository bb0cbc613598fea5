"""What is packed is what comes out again, read by ourselves and by PostGIS."""

import asyncpg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.packing import COLUMNS, copy_of, measured_of, pack_times, steps_of, unpack_times, vertices_of
from storage.segments import Rows
from tests.tracks import run, runs
from tracker.records import Track

nan = np.nan


@given(st.lists(st.integers(0, 4_000_000_000_000), unique=True, max_size=50))
def test_times_come_back(ms: list[int]):
    times = np.array(sorted(ms)) / 1000
    assert np.array_equal(unpack_times(pack_times(times)), times)


def test_regular_times_take_next_to_nothing():
    assert len(pack_times(1.76e9 + np.arange(3600.0))) < 100


def test_what_is_measured_comes_back_in_its_steps():
    measured = np.array([[0.004, 12.345, nan, 700.0], [0.0, 359.999, nan, 359.99], [0.04, 20.06, nan, 9999.0]])
    expected = [[0.0, 12.35, nan, 655.34], [0.0, 0.0, nan, 359.99], [0.0, 20.1, nan, 6553.4]]
    assert np.allclose(measured_of(steps_of(measured)), expected, rtol=0, atol=0.0101, equal_nan=True)
    assert np.array_equal(measured_of(steps_of(measured))[:, 3], [655.34, 359.99, 6553.4])


def copied(track: Track) -> memoryview:
    rows = Rows.of(track)
    return copy_of(rows.track, rows.start, rows.end, rows.fix_times)


def test_nothing_is_a_copy_of_no_rows():
    assert bytes(copied(Track.empty())) == b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"


async def test_postgis_reads_what_we_pack_and_we_read_what_it_packs(postgres_url: str):
    track = runs([run("a", [0, 1.5, 3]), run("b", [7]), run("王", [-2, -1, 0.001], connected=True)])
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("""
        CREATE TABLE packed (start_time float8, end_time float8, kind int2, connected bool, driver_id text,
                             path bytea, speed bytea, course bytea, accuracy bytea, source bytea, fix_times bytea)""")
    await connection.copy_to_table("packed", source=copied(track), columns=COLUMNS, format="binary")
    rows = await connection.fetch("""
        SELECT driver_id, kind, connected, start_time, end_time, path, ST_AsText(ST_GeomFromTWKB(path), 15) AS text,
               ST_AsTWKB(ST_GeomFromTWKB(path), 7, 0, 3) AS again, length(accuracy) AS accuracy FROM packed""")
    await connection.close()
    assert [(row["driver_id"], row["connected"], row["accuracy"]) for row in rows] == [
        ("a", False, 0),
        ("b", False, 0),
        ("王", True, 0),
    ]
    assert all(row["again"] == row["path"] for row in rows if row["driver_id"] != "b")
    xym, counts = vertices_of([row["path"] for row in rows])
    assert counts.tolist() == [3, 2, 3]
    index = [0, 1, 2, 3, 3, 4, 5, 6]
    assert np.array_equal(xym, np.stack([track.longitude, track.latitude, track.fix_time], axis=1)[index])
    text = [
        tuple(map(float, vertex.split())) for row in rows for vertex in row["text"].partition("(")[2][:-1].split(",")
    ]
    assert text == [pytest.approx(vertex, abs=1e-12) for vertex in xym.tolist()]
    assert [row["start_time"] for row in rows] == xym[[0, 3, 5], 2].tolist()
    assert [row["end_time"] for row in rows] == xym[[2, 4, 7], 2].tolist()
