import asyncio

import pytest

from api.frames import FrameReader
from api.load_sockets import AGAIN_S, Batch, Driver, Subscriber, Watcher, batch, connect_all, masked
from tests.sockets import location, serving, token, until
from tracker.codec import Report, decode, encode, frame
from tracker.errors import TrackerError
from tracker.messages import DriverLocation, Error, LocationAck, Rejected
from tracker.scan import FIX_TIME

URL = "ws://127.0.0.1:1/x"


class Wire:
    """What is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_frame_is_read_as_it_was_meant(size: int) -> None:
    assert [data for _, _, data in FrameReader(10**6).receive(masked(b"x" * size))] == [b"x" * size]


def test_a_batch_is_what_an_app_sends() -> None:
    made = batch(3, 17, [1_760_000_000_005, 1_760_000_001_005], 1_760_000_000_005, 0.0)
    ((_, _, data),) = FrameReader(10**6).receive(made.frame)
    report = decode(data, 0.0)
    assert isinstance(report, Report)
    assert (report.seq, len(report), report.rejected) == (17, made.fixes, [])
    assert report.fixes[:, FIX_TIME].tolist() == [1_760_000_000.005, 1_760_000_001.005]
    assert made.last == "2025-10-09T08:53:21.005Z"


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
async def test_acknowledgements_are_understood_however_they_are_cut(size: int) -> None:
    driver, settled = Driver(URL, ""), []
    driver.transport = Wire()  # type: ignore[assignment]
    driver.then = lambda: settled.append(len(driver.waiting))
    for seq in (1, 12, 123):
        driver.send(seq, Batch(b"frame", 0.0, 10, ""))
    rejected = [Rejected(3, "latitude_out_of_range", "…"), Rejected(4, "not_a_number", "…")]
    answers = [
        LocationAck(seq=1, accepted=10, duplicates=0, rejected=[]),
        LocationAck(seq=123, accepted=5, duplicates=3, rejected=rejected),
        Error(code="not_allowed", message='no "such" thing', ref=12),
    ]
    for piece in pieces(b"".join(frame(encode(answer)) for answer in answers), size):
        driver.heard(piece)
    assert (driver.sent, driver.accepted, driver.duplicates, driver.rejected) == (30, 15, 3, 12)
    assert (driver.waiting, settled, driver.errors) == ({}, [2, 1, 0], {"not_allowed": 1})
    assert len(driver.latencies) == 2


async def test_a_batch_that_the_server_could_not_take_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.load_sockets.AGAIN_S", 0.0)
    driver = Driver(URL, "")
    driver.transport = wire = Wire()  # type: ignore[assignment]
    driver.send(1, Batch(b"frame", 0.0, 10, ""))
    driver.heard(frame(encode(Error(code="overloaded", message="later", ref=1))))
    await until(lambda: wire.written == [b"frame", b"frame"])
    assert AGAIN_S > 0
    assert 1 in driver.waiting


@pytest.mark.parametrize("size", [1, 7, 150, 10_000])
async def test_the_watcher_times_the_positions_of_its_drivers(size: int) -> None:
    watcher = Watcher(URL, "")
    watcher.due = {("D5", "t1"): 0.0, ("D5", "t2"): 0.0, ("D6", "t1"): 0.0}
    told = [("D5", "t1"), ("D7", "t1"), ("D6", "t0"), ("D5", "t2")]
    where = [DriverLocation(driver_id=d, latitude=1.0, longitude=2.0, timestamp=t, age=0.1) for d, t in told]
    for piece in pieces(b"".join(frame(encode(message)) for message in where), size):
        watcher.heard(piece)
    assert watcher.positions == 4
    assert watcher.newest == {"D5": "t2", "D7": "t1", "D6": "t0"}
    assert len(watcher.latencies) == 2
    assert list(watcher.due) == [("D6", "t1")]


async def test_sockets_talk_to_a_server() -> None:
    async with serving() as server:
        driver, subscriber = Driver(server.url("/driver"), token("driver")), Subscriber(server.url(), token())
        await connect_all([driver, subscriber], loopback=True)
        subscriber.subscribe("drivers")
        await until(lambda: server.hub.wants("drivers"))
        server.hub.put_latest("drivers", "D1", location("D1", 25.0))
        server.hub.flush()
        driver.send(1, batch(0, 1, [1_760_000_000_000], 1_760_000_000_000, asyncio.get_running_loop().time()))
        await until(lambda: (driver.accepted, subscriber.positions) == (1, 1))
        driver.transport.abort()
        subscriber.transport.abort()


@pytest.mark.parametrize(
    ("path", "role", "reason"),
    [("/driver", "office", "4403"), ("/driver", None, "4401"), ("/nowhere", "driver", "404")],
)
async def test_who_is_not_let_in_is_told_why(path: str, role: str | None, reason: str) -> None:
    async with serving() as server:
        with pytest.raises(TrackerError, match=reason):
            await Driver(server.url(path), token(role) if role else "nonsense").connect()


async def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(TrackerError, match=r"127\.0\.0\.1:1"):
        await Driver(URL, "").connect()
