import asyncio
import json
import logging
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode

import api.protocol
from api.config import Config
from tests.sockets import Client, location, raw_client, serving, token, until
from tracker.codec import frame

QUICK = {"auth_timeout_s": 0.04}
"""Makes the server look after its connections every 10 ms."""
HEARTBEAT = Frame(Opcode.TEXT, b'{"type":"heartbeat"}')


# Opening


async def test_http_with_a_body_and_websockets_share_a_port():
    async with serving() as server, server.client() as client, httpx.AsyncClient() as http:
        answer = await http.post(f"http://127.0.0.1:{server.port}/echo", json={"n": 1})
        assert answer.json() == {"n": 1}
        assert await client.alive()


async def test_another_path_is_not_found():
    async with serving() as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.url("/nowhere", token=token()))
    assert refused.value.response.status_code == 404
    assert b"/api/v1/websocket/ws" in refused.value.response.body


async def test_the_subprotocol_is_selected_where_it_is_offered():
    async with serving() as server:
        async with connect(server.url(token=token()), subprotocols=["other", "tracker.v1"]) as socket:
            assert socket.subprotocol == "tracker.v1"
        async with connect(server.url(token=token())) as socket:
            assert socket.subprotocol is None


@pytest.mark.parametrize(
    "options",
    [
        lambda: {"additional_headers": {"Authorization": f"Bearer {token()}"}},
        lambda: {"subprotocols": ["tracker.v1", f"bearer.{token()}"]},
        lambda: {"subprotocols": [f"bearer.{token()}"]},
    ],
    ids=["header", "subprotocol", "subprotocol alone"],
)
async def test_a_token_may_come_with_the_request(options):
    async with serving() as server, connect(server.url(), **options()) as socket:
        assert json.loads(await socket.recv())["status"] == "connected"


async def test_a_token_may_come_as_the_first_message_and_what_follows_it_is_heard():
    async with (
        serving(rate_limit_burst=100_000, auth_timeout_s=1.0) as server,
        connect(server.url("/driver")) as socket,
    ):
        client = Client(socket)
        assert (await client.receive())["status"] == "authentication_required"
        refused = await client.ask("location_batch", seq=1, fixes=[])
        assert (refused["code"], refused["ref"]) == ("not_authenticated", 1)
        await client.send("auth", token=token("driver"))
        await client.send("location_batch", seq=2, fixes=[])
        assert (await client.receive())["status"] == "connected"
        assert (await client.receive())["seq"] == 2
        assert await client.stays_alive(1.1)


async def test_who_does_not_authenticate_in_time_is_closed():
    async with serving(**QUICK) as server, connect(server.url()) as socket:
        assert await Client(socket).closed() == 4401


@pytest.mark.parametrize(
    ("path", "role", "code"),
    [
        ("", None, 4401),
        ("/driver", "office", 4403),
        ("/driver", "customer", 4403),
        ("/office", "driver", 4403),
        ("/office", "service", 4403),
    ],
)
async def test_a_wrong_token_or_role_is_let_in_to_be_told_why(path, role, code):
    async with serving() as server:
        given = token(role) if role else "nonsense"
        async with connect(server.url(path, token=given)) as socket:
            assert await Client(socket).closed() == code
            assert socket.close_reason
        async with connect(server.url(path)) as socket:
            await socket.recv()
            await socket.send(json.dumps({"type": "auth", "token": given}))
            assert await Client(socket).closed() == code


@pytest.mark.parametrize(("path", "role"), [("/driver", "driver"), ("/office", "office"), ("/office", "admin")])
async def test_each_endpoint_takes_its_roles(path, role):
    async with serving() as server, server.client(role, path) as client:
        assert await client.alive()


async def test_pages_connect_from_this_host_and_from_allowed_origins_only():
    async with serving(allowed_origins=("https://office.example",)) as server:
        for origin in (f"http://127.0.0.1:{server.port}", "https://office.example"):
            async with server.client(origin=origin) as client:
                assert await client.alive()
        for origin in ("https://evil.example", "http://127.0.0.1:1", "null"):
            async with connect(server.url(token=token()), origin=origin) as socket:
                assert await Client(socket).closed() == 4403


# Ending


async def test_a_socket_does_not_outlive_its_token():
    async with serving(rate_limit_burst=100_000, **QUICK) as server, server.client(ttl_s=100.0) as client:
        clock = server.clock
        server.clock = lambda: clock() + 50.0
        assert (await client.receive())["type"] == "auth.expiring"
        assert await client.stays_alive(0.05)
        server.clock = lambda: clock() + 102.0
        assert await client.closed() == 4401


async def test_a_sixth_connection_of_a_user_ends_the_oldest():
    async with serving() as server, server.client(sub="other") as other:
        sockets = [await connect(server.url(token=token())) for _ in range(6)]
        assert await Client(sockets[0]).closed() == 4409
        await sockets.pop().close()
        await until(lambda: len(server.server.server_state.connections) == 5)
        sockets.append(await connect(server.url(token=token())))
        for socket in sockets[1:]:
            await socket.recv()
            assert await Client(socket).alive()
            await socket.close()
        assert await other.alive()


async def test_a_peer_that_is_gone_without_a_word_is_noticed_and_freed(monkeypatch):
    monkeypatch.setattr(api.protocol, "CLOSE_TIMEOUT_S", 0.02)
    async with serving(ping_interval_s=0.1, idle_timeout_s=1.5) as server, raw_client(server) as client:
        assert (await client.receive()).opcode is Opcode.TEXT
        assert (await client.receive()).opcode is Opcode.PING
        assert await client.receive_close() == 4408
        assert not server.hub.wants("user:U1")
        assert await client.receive() is None
        await until(lambda: not server.server.server_state.connections)


async def test_a_peer_that_answers_pings_stays():
    async with serving(ping_interval_s=0.2, idle_timeout_s=2.0) as server, raw_client(server) as client:
        await client.receive()
        for _ in range(11):
            ping = await client.receive()
            assert ping.opcode is Opcode.PING
            await client.send(Frame(Opcode.PONG, ping.data))
        await client.send(HEARTBEAT)
        while (answer := await client.receive()).opcode is Opcode.PING:
            pass
        assert b"heartbeat" in answer.data


async def test_pings_come_no_more_often_than_asked_for():
    clock = asyncio.get_running_loop().time
    start = clock()
    async with serving(ping_interval_s=0.05, **QUICK) as server, raw_client(server) as client:
        await client.receive()
        for _ in range(3):
            assert (await client.receive()).opcode is Opcode.PING
        assert clock() - start >= 3 * 0.05


async def test_a_message_of_64_kib_is_taken_and_a_larger_one_is_not():
    async with serving() as server, server.client() as client:
        heartbeat = b'{"type":"heartbeat"}'
        await client.socket.send(heartbeat + b" " * (65536 - len(heartbeat)), text=True)
        assert (await client.receive())["type"] == "heartbeat"
        await client.socket.send(b" " * 65537, text=True)
        assert await client.closed() == 1009


async def test_a_message_in_fragments_is_one_message():
    async with serving() as server, raw_client(server) as client:
        await client.receive()
        await client.send(
            Frame(Opcode.TEXT, b"", fin=False),
            Frame(Opcode.CONT, b'{"type":', fin=False),
            Frame(Opcode.PING, b"in between"),
            Frame(Opcode.CONT, b'"heartbeat"}'),
        )
        received = [await client.receive() for _ in range(2)]
        assert {frame_.opcode for frame_ in received} == {Opcode.TEXT, Opcode.PONG}
        await client.send(Frame(Opcode.TEXT, b" " * 40000, fin=False), Frame(Opcode.CONT, b" " * 40000))
        assert await client.receive_close() == 1009


async def test_what_comes_in_one_read_with_a_close_is_taken():
    async with serving() as server, raw_client(server, "driver") as client:
        batch = Frame(Opcode.TEXT, b'{"type":"location_batch","seq":1,"fixes":[]}')
        await client.send(batch, Frame(Opcode.CLOSE, b"\x03\xe8"))
        assert await client.receive_close() == 1000
        assert len(server.line.reports) == 1


async def test_malformed_messages_are_answered_and_too_many_end_the_connection_and_no_other():
    with capture_logs() as logs:
        async with serving(max_malformed=4) as server, server.client() as other, server.client(sub="U2") as client:
            for garbage in ("{", "[]", '{"type":"nonsense"}', b"\xff\xfe"):
                await client.socket.send(garbage)
                assert (await client.receive())["type"] == "error"
            assert await client.closed() == 4400
            assert await other.alive()
    assert {entry["log_level"] for entry in logs} == {"info"}
    assert [entry["code"] for entry in logs if entry["event"] == "refused"] == [
        "malformed_json",
        "invalid_message",
        "unknown_type",
        "malformed_json",
    ]


async def test_what_comes_after_the_last_straw_is_not_taken():
    async with serving(max_malformed=1) as server, raw_client(server, "driver") as client:
        await client.send(Frame(Opcode.TEXT, b"{"), Frame(Opcode.TEXT, b'{"type":"location_batch","seq":1,"fixes":[]}'))
        assert await client.receive_close() == 4400
        assert not server.line.reports


async def test_an_error_says_which_message_it_is_about():
    async with serving() as server, server.client("driver") as client:
        error = await client.ask("location_batch", seq=7)
        assert (error["code"], error["ref"]) == ("invalid_message", 7)


@pytest.mark.parametrize(
    "garbage",
    [b"\x00" * 9, b"\xff" * 9, b"\x81\x05hello", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["zeros", "ones", "unmasked", "http"],
)
async def test_bytes_that_are_no_frames_harm_nobody_else(garbage, caplog):
    async with serving() as server, server.client() as other:
        with caplog.at_level(logging.WARNING):
            async with raw_client(server) as client:
                await client.write(garbage)
                assert await client.receive_close() == 1002
            assert await other.alive()
        assert not caplog.records


async def test_too_many_messages_end_the_connection():
    async with serving(rate_limit_per_s=0.0, rate_limit_burst=3) as server, server.client() as client:
        for _ in range(3):
            assert await client.alive()
        await client.send("heartbeat")
        assert await client.closed() == 4429


async def test_pings_count_as_messages():
    async with serving(rate_limit_per_s=0.0, rate_limit_burst=3) as server, raw_client(server) as client:
        await client.send(*[Frame(Opcode.PING, b"")] * 4)
        assert await client.receive_close() == 4429


async def test_a_peer_that_does_not_answer_a_close_is_freed(monkeypatch):
    monkeypatch.setattr(api.protocol, "CLOSE_TIMEOUT_S", 0.02)
    async with serving(rate_limit_per_s=0.0, rate_limit_burst=1, **QUICK) as server, raw_client(server) as client:
        await client.send(HEARTBEAT, HEARTBEAT)
        assert await client.receive_close() == 4429
        assert await client.receive() is None
        await until(lambda: not server.server.server_state.connections)


async def test_a_connection_cut_off_leaves_nothing_behind():
    async with serving() as server:
        async with raw_client(server) as client:
            await client.receive()
            assert server.hub.wants("user:U1")
        await until(lambda: not server.server.server_state.connections)
        assert not server.hub.wants("user:U1")


async def test_closing_a_connection_that_is_gone_writes_nothing(monkeypatch):
    """As a shutdown does that began before it went: a closed transport takes nothing any more."""
    async with serving() as server:
        async with raw_client(server) as client:
            await client.receive()
            (connection,) = server.server.server_state.connections
        await until(lambda: not server.server.server_state.connections)
        monkeypatch.setattr(connection, "_transport", None)
        connection.close(1012, "The server restarts; connect again.")


async def test_reconnects_after_a_shutdown_are_spread_over_time():
    async with serving(drain_s=0.2) as server, AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(server.client(sub=f"U{n}")) for n in range(20)]
        shutting_down = asyncio.create_task(server.server.shutdown())
        after = [(await client.receive())["after_ms"] for client in clients]
        assert len(set(after)) >= 10
        assert 100 <= min(after) < max(after) <= 200
        assert {await client.closed() for client in clients} == {1012}
        await shutting_down


def test_limits_are_those_of_the_protocol_where_nothing_else_is_set():
    config = Config()
    assert (config.max_connections_per_user, config.max_message_bytes) == (5, 65536)
    assert (config.idle_timeout_s, config.ping_interval_s, config.auth_timeout_s) == (60.0, 30.0, 10.0)


async def test_a_fifth_connection_ends_nobody():
    async with serving() as server, AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(server.client()) for _ in range(5)]
        assert all([await client.alive() for client in clients])


async def test_shutting_down_tells_each_client_when_to_come_back():
    async with serving(drain_s=0.1) as server, server.client() as first, server.client() as second:
        shutting_down = asyncio.create_task(server.server.shutdown())
        for client in (first, second):
            reconnect = await client.receive()
            assert reconnect["type"] == "reconnect"
            assert 0 <= reconnect["after_ms"] <= 100
            assert await client.closed() == 1012
        await shutting_down


# Flow


async def test_a_slow_reader_is_ended_while_others_get_everything():
    async with serving() as server, raw_client(server, receive_buffer=4096) as stuck, server.client(sub="U2") as other:
        await stuck.receive()
        await stuck.send(Frame(Opcode.TEXT, b'{"type":"subscribe","channel":"orders"}'))
        await stuck.receive()
        await other.ask("subscribe", channel="orders")
        published = 0
        while not server.hub.counts["slow"]:
            published = server.publish("orders", "x" * 5000)
            assert (await other.receive())["seq"] == published
        published = server.publish("orders", "after")
        assert (await other.receive())["seq"] == published
        assert await stuck.receive_close() == 4413
        async with server.client() as back:
            since = {"epoch": "epoch-1", "seq": published - 3}
            await back.send("subscribe", channel="orders", since=since)
            missed = [(await back.receive())["seq"] for _ in range(3)]
            assert missed == [published - 2, published - 1, published]
            subscribed = await back.receive()
            assert (subscribed["type"], subscribed["recovered"]) == ("subscribed", True)


async def test_a_paused_client_ends_with_the_newest_of_each_driver_and_never_goes_back():
    async with serving() as server, raw_client(server, receive_buffer=4096) as client:
        await client.receive()
        await client.send(Frame(Opcode.TEXT, b'{"type":"subscribe","channel":"drivers"}'))
        await client.receive()
        step = 0
        while server.hub.counts["conflated"] < 500:
            step += 1
            for driver in range(10):
                server.hub.put_latest("drivers", f"D{driver}", location(f"D{driver}", step))
            server.hub.flush()
            await asyncio.sleep(0)
        seen: dict[str, list[float]] = {}
        while not all(seen.get(f"D{driver}", [0])[-1] == step for driver in range(10)):
            message = json.loads((await client.receive()).data)
            seen.setdefault(message["driver_id"], []).append(message["latitude"])
        assert all(steps == sorted(set(steps)) for steps in seen.values())
        assert len(seen["D0"]) < step / 2


@asynccontextmanager
async def behind(server, channels):
    """A client that is paused, and asks for a past of 400 kB of each channel."""
    async with raw_client(server, receive_buffer=4096) as client:
        await client.receive()
        await client.send(Frame(Opcode.TEXT, b'{"type":"subscribe","channel":"drivers"}'))
        await client.receive()
        while not server.hub.counts["conflated"]:
            for driver in range(100):
                server.hub.put_latest("drivers", f"D{driver}", location(f"D{driver}", 1.0))
            server.hub.flush()
            await asyncio.sleep(0)
        for channel in channels:
            for _ in range(2):
                server.publish(channel, "x" * 200_000, to_hub=False)
            asked = {"type": "subscribe", "channel": channel, "since": {"epoch": "epoch-1", "seq": 0}}
            await client.send(Frame(Opcode.TEXT, json.dumps(asked).encode()))
        await until(lambda: server.store.pasts == 1)
        yield client


async def test_who_is_behind_with_reading_can_resume_more_than_an_outbox_holds_one_channel_at_a_time():
    channels = ["orders", "routes", "customers"]
    async with serving(outbox_messages=10) as server, behind(server, channels) as client:
        for _ in range(10):
            await asyncio.sleep(0)
        assert server.store.pasts == 1
        seen = []
        while len(seen) < 9:
            message = json.loads((await client.receive()).data)
            if "channel" in message:
                seen.append((message["channel"], message["seq"]))
        assert seen == [(channel, seq) for channel in channels for seq in (1, 2, 2)]
        assert not server.hub.counts["slow"]


@pytest.mark.parametrize("outbox_messages", [10, 1], ids=["leaves", "is ended"])
async def test_nothing_waits_for_a_reader_who_is_gone(outbox_messages):
    async with serving(outbox_messages=outbox_messages) as server:
        async with behind(server, ["orders", "routes"]):
            pass
        await until(lambda: not server.server.server_state.connections)
        await until(lambda: not server.server.server_state.tasks)


async def test_drivers_are_not_read_while_the_line_is_full_and_nobody_else_notices():
    async with serving(idle_timeout_s=1.5, rate_limit_burst=100_000) as server, server.client("driver") as client:
        server.line.full = True
        await client.ask("location_batch", seq=1, fixes=[])
        await client.send("location_batch", seq=2, fixes=[])
        async with server.client() as other:
            assert await other.stays_alive(1.6)  # longer than idle: who is not read is not idle
        assert len(server.line.reports) == 1
        server.line.make_room()
        assert (await client.receive())["seq"] == 2


async def test_a_driver_who_is_not_read_can_be_closed():
    async with serving(max_connections_per_user=1) as server, server.client("driver") as client:
        server.line.full = True
        await client.ask("location_batch", seq=1, fixes=[])
        async with server.client("driver"):
            assert await client.closed() == 4409
        await until(lambda: not server.server.server_state.connections)
        server.line.make_room()


async def test_answers_keep_their_order_with_what_is_published():
    async with serving() as server, server.client("driver") as client:
        await until(lambda: server.hub.wants_latest("user:U1"))  # its mail has been read
        for seq in range(3):
            server.hub.publish("user:U1", frame(b'{"n":%d}' % seq))
            await client.send("location_batch", seq=seq, fixes=[])
            await until(lambda seq=seq: len(server.line.reports) == seq + 1)
        received = [await client.receive() for _ in range(6)]
        assert [m.get("n", m.get("seq")) for m in received] == [0, 0, 1, 1, 2, 2]


# The log


async def test_coming_and_going_is_logged_without_the_token(caplog):
    secret = token("driver", sub="D7")
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        async with serving() as server:
            async with connect(server.url("/driver", token=secret)) as socket:
                await socket.send('{"type":"heartbeat"}')
                await socket.recv()
                await socket.recv()
            await until(lambda: len(logs) == 2)
    connected, disconnected = logs
    assert connected["event"] == "connected"
    assert (connected["user"], connected["role"]) == ("D7", "driver")
    assert connected["path"] == "/api/v1/websocket/ws/driver"
    assert disconnected["event"] == "disconnected"
    assert (disconnected["code"], disconnected["messages_in"], disconnected["messages_out"]) == (1000, 1, 2)
    assert connected["connection_id"] == disconnected["connection_id"]
    records = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    assert secret not in repr(logs) + repr([record.getMessage() for record in records])
