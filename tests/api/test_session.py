import json
import time

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from tests.sockets import an_order, location, serving, token, until
from tracker.errors import Conflict
from tracker.scan import LATITUDE


async def test_the_first_message_says_connected():
    async with serving() as server, connect(server.url(token=token())) as socket:
        first = json.loads(await socket.recv())
    assert (first["type"], first["status"]) == ("connection", "connected")
    assert first["connection_id"].startswith("conn-")


async def test_a_heartbeat_is_answered():
    async with serving() as server, server.client() as client:
        assert (await client.ask("heartbeat"))["type"] == "heartbeat"


# Reports


async def test_a_driver_reports_for_himself_and_hears_when_it_is_durable():
    before = time.time()
    async with serving() as server, server.client("driver", "/driver", sub="D7") as client:
        ack = await client.ask("location_batch", seq=17, fixes=[{"latitude": 25, "longitude": 121}, {"latitude": 1}])
        driver_id, report, received_at = server.line.reports[0]
    assert (ack["type"], ack["seq"], ack["accepted"]) == ("location.ack", 17, 1)
    assert [(r["index"], r["code"]) for r in ack["rejected"]] == [(1, "missing_field")]
    assert (driver_id, report.fixes[:, LATITUDE].tolist()) == ("D7", [25.0])
    assert before <= received_at <= time.time()


async def test_only_drivers_report():
    async with serving() as server, server.client("office") as client:
        error = await client.ask("location_batch", seq=3, fixes=[])
        assert (error["type"], error["code"], error["ref"]) == ("error", "not_allowed", 3)
        assert not server.line.reports


async def test_an_unexpected_failure_is_an_internal_error_with_a_traceback_in_the_log_and_the_socket_lives_on():
    with capture_logs() as logs:
        async with serving() as server, server.client("driver", sub="BROKEN") as client:
            error = await client.ask("location_batch", seq=9, fixes=[])
            assert (error["code"], error["ref"]) == ("internal_error", 9)
            assert await client.alive()
    failures = [entry for entry in logs if entry["log_level"] == "error"]
    assert [type(entry["exc_info"]) for entry in failures] == [RuntimeError]
    assert failures[0]["connection_id"].startswith("conn-")


# Channels


async def test_a_subscriber_hears_its_channel_until_it_unsubscribes():
    async with serving() as server, server.client() as client:
        subscribed = await client.ask("subscribe", channel="orders")
        assert subscribed == {"type": "subscribed", "channel": "orders", "epoch": "epoch-1", "seq": 0}
        server.publish("orders", "first")
        message = await client.receive()
        assert message == {"n": "first", "event_id": "e1", "channel": "orders", "seq": 1}
        assert await client.ask("unsubscribe", channel="orders") == {"type": "unsubscribed", "channel": "orders"}
        server.publish("orders", "second")
        assert await client.alive()


@pytest.mark.parametrize(
    ("role", "channel", "code"),
    [
        ("office", "nonsense", "unknown_channel"),
        ("office", "order:none", "not_found"),
        ("customer", "order:none", "not_allowed"),
        ("customer", "drivers", "not_allowed"),
        ("driver", "driver:other", "not_allowed"),
        ("admin", "user:other", "not_allowed"),
    ],
)
async def test_a_subscription_without_the_right_is_refused_and_joins_nothing(role, channel, code):
    async with serving() as server, server.client(role) as client:
        assert (await client.ask("subscribe", channel=channel))["code"] == code
        assert not server.hub.wants(channel)
        assert await client.alive()


async def test_personal_messages_come_without_subscribing():
    async with serving() as server, server.client(sub="U1"), server.client(sub="U2") as other:
        server.publish("user:U2", "for you")
        assert (await other.receive())["channel"] == "user:U2"


async def test_an_order_that_has_ended_is_looked_up_in_the_store():
    async with serving() as server, server.client("customer", sub="C1") as client:
        server.store.orders["O1"] = an_order(status="delivered")
        assert (await client.ask("subscribe", channel="order:O1"))["type"] == "subscribed"
        server.publish("order:O1@customer:C1", "late news", channel="order:O1")
        assert (await client.receive())["channel"] == "order:O1"


async def test_unsubscribing_and_acknowledging_need_a_subscription():
    async with serving() as server, server.client() as client:
        assert (await client.ask("unsubscribe", channel="orders"))["code"] == "unknown_channel"
        error = await client.ask("ack", channel="orders", seq=4)
        assert (error["code"], error["ref"]) == ("unknown_channel", 4)
        await client.send("ack", channel="user:U1", seq=4)
        assert await client.alive()


# Positions


async def test_last_known_positions_come_at_once():
    async with serving() as server, server.client() as client:
        server.engine.at = {"D1": 25.0, "D2": 26.0}
        server.engine.orders["O1"] = an_order(driver_id="D2")
        await client.ask("subscribe", channel="drivers")
        assert {(await client.receive())["driver_id"] for _ in range(2)} == {"D1", "D2"}
        await client.ask("subscribe", channel="driver:D1")
        assert (await client.receive())["driver_id"] == "D1"
        await client.ask("subscribe", channel="order:O1")
        assert (await client.receive())["driver_id"] == "D2"
        await client.ask("subscribe", channel="driver:never-seen")
        assert await client.alive()


async def test_a_customer_sees_the_last_position_only_while_the_driver_is_visible():
    async with serving() as server, server.client("customer", sub="C1") as client:
        server.engine.at = {"D1": 25.0}
        server.engine.orders["O1"] = an_order()
        await client.ask("subscribe", channel="order:O1")
        assert await client.alive()
        server.engine.seen_by_customers = {"O1"}
        await client.ask("subscribe", channel="order:O1")
        assert (await client.receive())["latitude"] == 25.0


async def test_an_order_that_has_ended_shows_no_position():
    async with serving() as server, server.client() as client:
        server.engine.at = {"D1": 25.0}
        server.store.orders["O1"] = an_order(status="delivered")
        await client.ask("subscribe", channel="order:O1")
        assert await client.alive()


async def test_a_flush_brings_the_newest_positions():
    async with serving() as server, server.client() as client:
        await client.ask("subscribe", channel="drivers")
        for latitude in (1.0, 2.0):
            server.hub.put_latest("drivers", "D1", location("D1", latitude))
        server.hub.flush()
        assert (await client.receive())["latitude"] == 2.0
        assert await client.alive()


async def test_a_connection_has_a_bounded_number_of_channels_and_areas():
    async with serving(max_channels=3, max_areas=2) as server, server.client() as client:
        assert (await client.ask("subscribe", channel="area:1,2,3"))["code"] == "invalid_input"
        for box in ("1,2,3,4", "5,6,7,8", "1,2,3,4"):
            assert (await client.ask("subscribe", channel=f"area:{box}"))["type"] == "subscribed"
        assert (await client.ask("subscribe", channel="area:0,0,1,1"))["code"] == "limit_exceeded"
        assert (await client.ask("subscribe", channel="orders"))["code"] == "limit_exceeded"
        await client.ask("unsubscribe", channel="area:1,2,3,4")
        assert (await client.ask("subscribe", channel="orders"))["type"] == "subscribed"


# Resuming


async def test_who_resumes_gets_all_that_was_missed_first_and_in_order():
    async with serving() as server, server.client() as client:
        for n in range(5):
            server.publish("orders", str(n))
        await client.send("subscribe", channel="orders", since={"epoch": "epoch-1", "seq": 2})
        assert [(await client.receive())["seq"] for _ in range(3)] == [3, 4, 5]
        subscribed = await client.receive()
        assert (subscribed["type"], subscribed["seq"], subscribed["recovered"]) == ("subscribed", 5, True)
        server.publish("orders", "next")
        assert (await client.receive())["seq"] == 6


async def test_who_missed_nothing_is_told_so():
    async with serving() as server, server.client() as client:
        server.publish("orders", "only")
        subscribed = await client.ask("subscribe", channel="orders", since={"epoch": "epoch-1", "seq": 1})
        assert (subscribed["seq"], subscribed["recovered"]) == (1, True)


async def test_who_missed_a_thousand_messages_gets_them_all():
    async with serving() as server, server.client() as client:
        for n in range(1000):
            server.publish("orders", "x" * 1000 + str(n), to_hub=False)
        await client.send("subscribe", channel="orders", since={"epoch": "epoch-1", "seq": 0})
        assert [(await client.receive())["seq"] for _ in range(1000)] == list(range(1, 1001))
        assert (await client.receive())["recovered"]


@pytest.mark.parametrize(
    ("epoch", "seq"), [("epoch-0", 5), ("epoch-1", 0), ("epoch-1", 2000)], ids=["epoch", "too many", "ahead"]
)
async def test_who_cannot_get_all_gets_nothing_of_the_past(epoch, seq):
    async with serving() as server, server.client() as client:
        for n in range(1001):
            server.publish("orders", str(n), to_hub=False)
        subscribed = await client.ask("subscribe", channel="orders", since={"epoch": epoch, "seq": seq})
        assert (subscribed["type"], subscribed["seq"], subscribed["recovered"]) == ("subscribed", 1001, False)
        server.publish("orders", "next")
        assert (await client.receive())["seq"] == 1002


async def test_a_hole_in_what_is_stored_is_not_passed_over():
    async with serving() as server, server.client() as client:
        for n in range(3):
            server.publish("orders", str(n), to_hub=False)
        messages = server.store.messages

        async def without_the_first(topic, *, after, limit):
            return (await messages(topic, after=after, limit=limit))[1:]

        server.store.messages = without_the_first
        subscribed = await client.ask("subscribe", channel="orders", since={"epoch": "epoch-1", "seq": 0})
        assert (subscribed["type"], subscribed["recovered"]) == ("subscribed", False)


async def test_what_is_published_while_the_past_is_read_comes_once_and_after_it():
    async with serving() as server, server.client() as client:
        for n in range(3):
            server.publish("orders", str(n), to_hub=False)
        last_seq, messages = server.store.last_seq, server.store.messages

        async def last_seq_while_publishing(topic):
            server.publish("orders", "before the newest seq is read")
            seq = await last_seq(topic)
            server.publish("orders", "after it")
            return seq

        async def messages_while_publishing(topic, *, after, limit):
            found = await messages(topic, after=after, limit=limit)
            server.publish("orders", "after the past is read")
            return found

        server.store.last_seq = last_seq_while_publishing
        server.store.messages = messages_while_publishing
        await client.send("subscribe", channel="orders", since={"epoch": "epoch-1", "seq": 1})
        received = [await client.receive() for _ in range(6)]
        assert [message["seq"] for message in received] == [2, 3, 4, 4, 5, 6]
        assert (received[3]["type"], received[3]["recovered"]) == ("subscribed", True)
        assert await client.alive()


async def test_what_was_read_before_it_is_published_is_not_repeated():
    async with serving() as server, server.client() as client:
        server.publish("orders", "committed", to_hub=False)
        await client.send("subscribe", channel="orders", since={"epoch": "epoch-1", "seq": 0})
        assert (await client.receive())["seq"] == 1
        assert (await client.receive())["type"] == "subscribed"
        server.publish_stored("orders", 1)
        server.publish("orders", "next")
        assert (await client.receive())["seq"] == 2


async def test_subscribing_again_does_not_double_what_is_heard():
    async with serving() as server, server.client() as client:
        await client.ask("subscribe", channel="orders")
        await client.ask("subscribe", channel="orders")
        server.publish("orders", "once")
        assert (await client.receive())["seq"] == 1
        assert await client.alive()


# In turn


async def test_a_slow_store_delays_neither_heartbeats_nor_fixes_and_its_answers_keep_their_order():
    async with serving() as server, server.client("driver", sub="D1") as client:
        server.store.open.clear()
        for channel in ("orders", "routes", "system"):
            await client.send("subscribe", channel=channel)
        assert await client.alive()
        assert (await client.ask("location_batch", seq=1, fixes=[]))["type"] == "location.ack"
        server.store.open.set()
        assert [(await client.receive())["channel"] for _ in range(3)] == ["orders", "routes", "system"]


async def test_too_many_requests_that_wait_for_the_store_are_refused():
    async with serving() as server, server.client() as client:
        server.store.open.clear()
        for _ in range(110):
            await client.send("subscribe", channel="orders")
        assert (await client.receive())["code"] == "overloaded"
        server.store.open.set()
        answers = [(await client.receive())["type"] for _ in range(109)]
        assert answers.count("subscribed") >= 100
        assert await client.alive()


async def test_a_failing_store_is_an_error_and_leaves_nothing_joined():
    async with serving() as server, server.client() as client:

        async def broken(topic):
            raise Conflict

        server.store.last_seq = broken
        assert (await client.ask("subscribe", channel="orders"))["code"] == "conflict"
        assert not server.hub.wants("orders")


async def test_a_subscription_that_fails_has_left_the_one_before():
    async with serving() as server, server.client() as client:
        await client.ask("subscribe", channel="orders")

        async def broken(topic):
            raise Conflict

        server.store.last_seq = broken
        await client.ask("subscribe", channel="orders")
        assert (await client.ask("unsubscribe", channel="orders"))["code"] == "unknown_channel"


@pytest.mark.parametrize("channel", ["orders", "order:O1"])
async def test_a_client_that_left_while_the_store_was_read_joins_nothing(channel):
    async with serving() as server:
        server.store.orders["O1"] = an_order()
        async with server.client() as client:
            server.store.open.clear()
            await client.send("subscribe", channel=channel)
            await server.store.reading.wait()
        await until(lambda: not server.hub.wants("user:U1"))
        assert server.server.server_state.tasks
        server.store.open.set()
        await until(lambda: not server.server.server_state.tasks)
        assert not server.hub.wants(channel)


async def test_orders_are_moved_on_by_the_office_part():
    async with serving() as server, server.client("driver", sub="D1") as client:
        await client.send("order_update", order_id="O1", status="delivering", details={"notes": "on the way"})
        await client.send("delivery.confirmed", order_id="O1", customer_id="C1", confirmation_type="qr_code")
        await client.ask("subscribe", channel="orders")
        (_, viewer, *update, _), (_, _, confirmed, _) = server.office.done
        assert viewer.driver_id == "D1"
        assert update == ["O1", "delivering", {"notes": "on the way"}]
        assert (confirmed.order_id, confirmed.confirmation_type) == ("O1", "qr_code")


async def test_what_was_asked_for_is_done_although_the_client_has_left():
    async with serving() as server:
        async with server.client("driver", sub="D1") as client:
            for _ in range(3):
                await client.send("order_update", order_id="O1", status="delivering")
        await until(lambda: len(server.office.done) == 3)


async def test_what_the_office_part_refuses_is_an_error():
    async with serving() as server, server.client("driver") as client:
        server.office.failing = Conflict("This order is delivered already.")
        error = await client.ask("order_update", order_id="O1", status="delivering")
        assert error == {"type": "error", "code": "conflict", "message": "This order is delivered already."}


# Tokens


async def test_a_new_token_lets_the_connection_live_on():
    async with serving(auth_timeout_s=0.02) as server, server.client(ttl_s=59.0) as client:
        expiring = await client.receive()
        assert expiring["type"] == "auth.expiring"
        assert (await client.ask("auth", token=token(ttl_s=3600.0)))["status"] == "connected"
        assert await client.alive()


async def test_a_new_token_must_be_good_and_for_the_same_person():
    async with serving() as server, server.client() as client:
        assert (await client.ask("auth", token="nonsense"))["code"] == "not_authenticated"
        assert (await client.ask("auth", token=token(sub="U2")))["code"] == "not_allowed"
        assert (await client.ask("auth", token=token("admin")))["code"] == "not_allowed"
        assert await client.alive()
