"""PostGIS: lost connections, lost answers, lost servers, and a schema that GIS people can use."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from msgspec.structs import replace

from storage import Commit, Writer, open_store
from storage.postgis import PostGIS
from storage.rows import Statement
from tests.postgres import private_server
from tests.storage.test_rows import EVENTS, GEOFENCE, ORDER, ROUTE
from tests.storage.test_store import message, track_times
from tests.tracks import T0, run, runs
from tracker.errors import ConfigurationError, Flag, StoreInUse, StoreUnavailable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Cut(Enum):
    """When the line breaks."""

    NEVER = auto()
    IN_COPY = auto()  # half of the fixes are through
    BEFORE_COMMIT = auto()  # it never reaches the server
    AFTER_COMMIT = auto()  # the server gets it, and the line is gone before the answer
    ANSWER = auto()  # the answer is under way


class Line:
    """A TCP line to the database that breaks once, at the moment asked for."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._parts = parts
        self.cut = Cut.NEVER
        self.cuts = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """The URL that goes through the line."""
        server = await asyncio.start_server(self._serve, "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        yield self._parts._replace(netloc=f"{self._parts.username}@127.0.0.1:{port}").geturl()
        server.close()

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_connection(*self._target)
        answers = asyncio.create_task(self._answers(server_in, client_out))
        try:
            while data := await client_in.read(65536):
                if b"PGCOPY" in data and self.cut is Cut.IN_COPY:
                    self.cut, self.cuts = Cut.NEVER, self.cuts + 1
                    server_out.write(data[: len(data) // 2])
                    return
                if b"COMMIT\0" in data and self.cut is not Cut.NEVER:
                    await self._break(data, (server_in, server_out), answers)
                    return
                server_out.write(data)
                await server_out.drain()
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            for stream in (server_out, client_out):
                stream.close()

    async def _break(self, data: bytes, server: Streams, answers: asyncio.Task[None]) -> None:
        server_in, server_out = server
        cut, self.cut = self.cut, Cut.NEVER
        self.cuts += 1
        answers.cancel()
        if cut is Cut.BEFORE_COMMIT:
            return
        server_out.write(data)
        await server_out.drain()
        if cut is Cut.ANSWER:
            await asyncio.wait([answers])
            assert b"COMMIT" in await server_in.read(65536)

    async def _answers(self, server_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        while data := await server_in.read(65536):
            client_out.write(data)
            await client_out.drain()
        client_out.close()


def commit(n: int) -> Commit:
    aside = run("a", [-n - 1], kind=Flag.LATE)
    return Commit(track=run("a", [n]), aside=runs([aside, aside]), messages=[message(f"e{n}")])


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostGIS]:
    store = PostGIS(url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def admin(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("cut", [Cut.AFTER_COMMIT, Cut.ANSWER])
async def test_a_commit_whose_answer_is_lost_is_stored_once_and_told(postgres_url: str, cut: Cut):
    line = Line(postgres_url)
    async with line.listening() as url, opened(url) as store:
        await store.commit(commit(0))
        line.cut = cut
        try:
            committed = await store.commit(commit(1))
        except StoreUnavailable:  # the session was ended before it came to the COMMIT
            assert cut is Cut.AFTER_COMMIT
            committed = await store.commit(commit(1))
        assert line.cuts == 1
        assert committed.duplicate.tolist() == [False, True]
        assert list(committed.seqs) == [2]
        assert list((await store.commit(commit(2))).seqs) == [3]
        assert await track_times(store, "a") == [-3, -2, -1, 0, 1, 2]


@pytest.mark.parametrize("cut", [Cut.IN_COPY, Cut.BEFORE_COMMIT])
async def test_a_commit_that_never_arrived_is_unavailable_and_may_be_given_again(postgres_url: str, cut: Cut):
    line = Line(postgres_url)
    async with line.listening() as url, opened(url) as store:
        line.cut = cut
        with pytest.raises(StoreUnavailable):
            await store.commit(commit(0))
        assert line.cuts == 1
        assert await track_times(store, "a") == []
        committed = await store.commit(commit(0))
        assert committed.duplicate.tolist() == [False, True]
        assert list(committed.seqs) == [1]


async def test_a_commit_that_ends_slowly_is_waited_for(postgres_url: str, admin: asyncpg.Connection):
    """The line breaks while the server is still committing: only its end shows how it ended."""
    line = Line(postgres_url)
    async with line.listening() as url, opened(url) as store:
        await admin.execute("""
            CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION linger()
        """)
        line.cut = Cut.AFTER_COMMIT
        slow = Commit(track=run("a", [1]), events=EVENTS[:1])
        try:
            await store.commit(slow)
        except StoreUnavailable:
            assert await track_times(store, "a") == []
            await store.commit(slow)
        assert line.cuts == 1
        assert await admin.fetchval("SELECT count(*) FROM tracks") == 1


async def test_nothing_is_lost_or_doubled_while_sessions_are_killed(postgres_url: str, admin: asyncpg.Connection):
    async with opened(postgres_url) as store:
        writer = Writer(store)
        await writer.start()
        futures = []
        for n in range(60):
            futures.append(writer.put(commit(n)))
            if n % 10 == 5:
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tracker'"
                )
            await futures[max(0, n - 3)]
        committed = await asyncio.gather(*futures)
        await writer.close()
        assert [seq for one in committed for seq in one.seqs] == list(range(1, 61))
        assert await track_times(store, "a") == list(range(-60, 60))
        assert await admin.fetchval("SELECT count(*) FROM tracks WHERE kind = 2") == 60


async def test_kill_9_of_the_database_loses_nothing_that_was_committed():
    with private_server(fsync=True) as server, server.database() as url:
        async with opened(url) as store:
            writer = Writer(store)
            await writer.start()
            for n in range(20):
                future = writer.put(commit(n))
                if n in (5, 15):
                    server.kill()
                    server.start()
                await future
            await writer.close()
            assert await track_times(store, "a") == list(range(-20, 20))
            assert await store.last_seq("orders") == 20


async def test_a_server_that_lost_its_place_does_not_write(postgres_url: str, admin: asyncpg.Connection):
    async with opened(postgres_url) as first:
        await first.commit(commit(0))
        assert first._connection is not None
        first._connection.terminate()
        async with opened(postgres_url) as second:
            with pytest.raises(StoreInUse):
                await first.commit(commit(1))
            await second.commit(commit(1))
        assert list((await first.commit(commit(2))).seqs) == [3]


@pytest.mark.parametrize("sqlstate", ["53100", "57014", "40001", "58030", "25006"])
async def test_what_passes_is_temporary(postgres_url: str, admin: asyncpg.Connection, sqlstate: str):
    async with opened(postgres_url) as store:
        await admin.execute(f"""
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'for a while' USING ERRCODE = '{sqlstate}'; END $$;
            CREATE TRIGGER fail BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION fail()
        """)
        with pytest.raises(StoreUnavailable):
            await store.commit(commit(0))
        await admin.execute("DROP TRIGGER fail ON messages")
        assert list((await store.commit(commit(0))).seqs) == [1]
        assert await track_times(store, "a") == [-1, 0]


async def test_what_does_not_pass_is_not_temporary(postgres_url: str):
    async with opened(postgres_url) as store:
        with pytest.raises(asyncpg.PostgresError):
            await store.commit(Commit(track=run("nul \0", [1])))
        await store.commit(Commit(track=run("a", [1])))


async def test_readers_come_back_after_their_sessions_were_killed(postgres_url: str, admin: asyncpg.Connection):
    async with opened(postgres_url) as store:
        await store.commit(commit(0))
        assert await store.last_seq("orders") == 1
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tracker'")
        for _ in range(10):
            try:
                assert await store.last_seq("orders") == 1
                break
            except StoreUnavailable:
                continue
        else:
            pytest.fail("still unavailable")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"path": "/no_such_database"}, ConfigurationError),
        ({"netloc": "nobody@127.0.0.1:{port}"}, ConfigurationError),
        ({"netloc": "postgres@127.0.0.1:1"}, StoreUnavailable),
        ({"query": "sslmode=nonsense"}, ConfigurationError),
    ],
)
async def test_a_wrong_url_gets_the_right_error(postgres_url: str, change: dict[str, str], error: type[Exception]):
    parts = urlsplit(postgres_url)
    url = parts._replace(**{name: value.format(port=parts.port) for name, value in change.items()}).geturl()
    store = open_store(url)
    with pytest.raises(error):
        await store.open()
    await store.close()


async def test_a_closed_store_is_unavailable(postgres_url: str):
    async with opened(postgres_url) as store:
        pass
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.track("a", 0, 1)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.commit(commit(0))


async def test_paths_are_valid_trajectories(postgres_url: str, admin: asyncpg.Connection):
    async with opened(postgres_url) as store:
        await store.commit(
            Commit(track=runs([run("a", [0, 1.5, 3]), run("b", [7]), run("王", [1, 2], connected=True)]))
        )
    row: Any = await admin.fetchrow("""
        SELECT bool_and(ST_IsValidTrajectory(path)) FILTER (WHERE start_time < end_time) AS trajectory,
               bool_and(GeometryType(path) = 'LINESTRINGM' AND ST_SRID(path) = 4326) AS type,
               bool_and(ST_M(ST_StartPoint(path)) = start_time AND ST_M(ST_EndPoint(path)) = end_time) AS times,
               bool_and(array_length(speed, 1) = ST_NumPoints(path)) AS measured
        FROM tracks""")
    assert tuple(row) == (True, True, True, True)
    ewkb = await admin.fetchval(
        "SELECT ST_AsEWKB(ST_LocateAlong(path, $1), 'NDR') FROM tracks WHERE driver_id = 'a'", T0 + 1.5
    )
    assert struct.unpack("<d", ewkb[-8:]) == (T0 + 1.5,)


async def test_the_index_in_space_and_time_is_used(postgres_url: str, admin: asyncpg.Connection):
    async with opened(postgres_url) as store:
        await store.commit(Commit(track=runs(run(f"d{n}", [n, n + 1]) for n in range(500))))
    await admin.execute("ANALYZE segments; SET enable_seqscan = off")
    box = (121.0, 122.0, 25.0, 26.0, T0, T0 + 60.0)
    plan = "\n".join(row[0] for row in await admin.fetch(f"EXPLAIN SELECT driver_id FROM {PostGIS.overlap}", *box))
    assert re.search(r"Index Cond: .*floor.*&& ", plan), plan
    on_a_map = await admin.fetch("EXPLAIN SELECT driver_id FROM tracks WHERE path && ST_MakeEnvelope(121, 25, 122, 26)")
    assert any("segment_path_idx" in row[0] for row in on_a_map), on_a_map


async def test_maps_can_show_geofences_and_destinations(postgres_url: str, admin: asyncpg.Connection):
    square = [[[121.5, 25.0], [121.6, 25.0], [121.6, 25.1], [121.5, 25.0]]]
    polygon = replace(GEOFENCE, geofence_id="G2", type="Polygon", coordinates=square, radius=None)
    area = replace(ORDER, order_id="O2", destination=replace(ORDER.destination, type="Polygon", coordinates=square))
    async with opened(postgres_url) as store:
        await store.commit(Commit(save=[GEOFENCE, polygon, ORDER, area, ROUTE]))
    circle, triangle = await admin.fetch("SELECT ST_Area(area::geography) FROM geofence_areas ORDER BY geofence_id")
    assert circle[0] == pytest.approx(3.1416 * 50**2, rel=0.05)
    assert triangle[0] > 1e6
    shapes = await admin.fetch("SELECT GeometryType(shape) FROM destinations ORDER BY order_id")
    assert [shape[0] for shape in shapes] == ["POINT", "POLYGON"]
    assert await admin.fetchval("SELECT count(*) FROM trajectories") == 0


async def test_dropping_old_tracks_waits_for_no_reader_and_goes_on_later(
    postgres_url: str, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("storage.postgis.DROP_WAIT_S", 0.2)
    async with opened(postgres_url) as store:
        await store.commit(Commit(track=runs([run("a", [-1e7]), run("a", [0])])))
        async with admin.transaction():
            await admin.fetchval("SELECT count(*) FROM tracks")
            with pytest.raises(StoreUnavailable):
                await store.drop_tracks(T0 - 1e6)
            await store.commit(Commit(track=run("a", [1])))
        assert await store.drop_tracks(T0 - 1e6) > 0
        assert await store.drop_tracks(T0 - 1e6) == 0
        assert await track_times(store, "a") == [0, 1]


async def test_to_ask_for_nothing_leaves_no_transaction_open(postgres_url: str) -> None:
    store = open_store(postgres_url)
    assert isinstance(store, PostGIS)
    await store.open()
    assert list(await store.fetch(Statement("SELECT 1 FROM segments WHERE driver_id = $1", []))) == []
    connection = await asyncpg.connect(postgres_url)
    held = "SELECT count(*) FROM pg_locks WHERE relation = 'segments'::regclass AND pid <> pg_backend_pid()"
    assert await connection.fetchval(held) == 0
    await connection.close()
    await store.close()
