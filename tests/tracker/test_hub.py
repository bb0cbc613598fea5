from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.hub import Hub, Latest, Outbox


class Subscriber:
    """A connection that remembers each write; its outbox is bounded at four messages or 1,000 bytes."""

    def __init__(self, hub: Hub, *topics: str) -> None:
        self.writes: list[bytes] = []
        self.slow = 0
        self.outbox = Outbox(self.writes.append, self._on_slow, hub.counts, max_messages=4, max_bytes=1000)
        for topic in topics:
            hub.join(topic, self.outbox)

    def _on_slow(self) -> None:
        self.slow += 1

    @property
    def text(self) -> str:
        return b"".join(self.writes).decode()


class Soon:
    """An event loop's `call_soon`, turned by hand."""

    def __init__(self) -> None:
        self.waiting: deque = deque()

    def __call__(self, run) -> None:
        self.waiting.append(run)

    def turn(self) -> None:
        while self.waiting:
            self.waiting.popleft()()


def test_a_reliable_frame_goes_out_at_once_to_everybody_in_its_topic_only():
    hub = Hub()
    here, too, elsewhere = Subscriber(hub, "a"), Subscriber(hub, "a", "b"), Subscriber(hub, "b")
    hub.publish("a", b"1")
    assert (here.writes, too.writes, elsewhere.writes) == ([b"1"], [b"1"], [])


def test_latest_frames_wait_for_the_flush_and_only_the_newest_of_each_key_is_sent():
    hub = Hub()
    subscriber = Subscriber(hub, "drivers")
    for key, frame in [("d1", b"1"), ("d2", b"2"), ("d1", b"3")]:
        hub.put_latest("drivers", key, frame)
    assert subscriber.writes == []
    assert hub.flush() == 2
    assert subscriber.writes == [b"32"]
    assert hub.flush() == 0
    assert hub.counts == Counter(conflated=1, delivered=2, located=2)


def test_a_flush_gives_the_very_same_bytes_to_all_who_are_in_step():
    hub = Hub()
    first, second = Subscriber(hub, "drivers"), Subscriber(hub, "drivers")
    hub.put_latest("drivers", "d1", b"1")
    hub.put_latest("drivers", "d2", b"2")
    hub.flush()
    assert first.writes[0] is second.writes[0]


def test_one_write_a_flush_with_reliable_frames_before_the_latest():
    hub = Hub(soon=Soon())
    subscriber = Subscriber(hub, "orders", "drivers")
    hub.put_latest("drivers", "d1", b"at")
    hub.publish("orders", b"new,")
    hub.publish("orders", b"done,")
    hub.flush()
    assert subscriber.writes == [b"new,done,at"]


def test_reliable_frames_published_in_one_turn_of_the_loop_share_a_write():
    soon = Soon()
    hub = Hub(soon)
    subscribers = [Subscriber(hub, "orders") for _ in range(600)]
    hub.publish("orders", b"1")
    hub.publish("orders", b"2")
    soon.turn()
    assert all(subscriber.writes == [b"12"] for subscriber in subscribers)
    hub.publish("orders", b"3")
    soon.turn()
    assert all(subscriber.writes == [b"12", b"3"] for subscriber in subscribers)


def test_a_flush_does_not_wait_for_the_end_of_the_turn():
    hub = Hub(soon=Soon())
    subscriber = Subscriber(hub, "orders")
    hub.publish("orders", b"1")
    assert hub.flush() == 1
    assert subscriber.writes == [b"1"]


def test_a_burst_larger_than_the_bound_does_not_end_a_connection_that_keeps_up():
    soon = Soon()
    hub = Hub(soon)
    subscriber = Subscriber(hub, "orders")
    for digit in "0123456789":
        hub.publish("orders", digit.encode())
    soon.turn()
    assert subscriber.text == "0123456789"
    assert not subscriber.slow


def test_an_answer_does_not_overtake_what_waits():
    hub = Hub(soon=Soon())
    subscriber = Subscriber(hub, "orders")
    hub.publish("orders", b"1")
    subscriber.outbox.send(b"answer")
    assert subscriber.text == "1answer"


def test_a_paused_subscriber_catches_up_in_one_write_with_the_newest_values():
    hub = Hub()
    stuck, other = Subscriber(hub, "drivers", "orders"), Subscriber(hub, "drivers")
    stuck.outbox.pause()
    for step in b"123":
        hub.put_latest("drivers", "d1", bytes([step]))
        hub.publish("orders", b"!")
        hub.flush()
    assert stuck.writes == []
    assert other.writes == [b"1", b"2", b"3"]
    stuck.outbox.resume()
    assert stuck.writes == [b"!!!3"]
    assert hub.counts["conflated"] == 2


@pytest.mark.parametrize("frames", [[b"x"] * 5, [b"x" * 600] * 2], ids=["messages", "bytes"])
def test_past_the_bound_a_paused_subscriber_is_slow_once_and_gets_nothing_more(frames):
    hub = Hub()
    stuck, other = Subscriber(hub, "orders"), Subscriber(hub, "orders")
    stuck.outbox.pause()
    hub.put_latest("orders", "d1", b"at")
    hub.flush()
    for frame in [*frames, b"more"]:
        hub.publish("orders", frame)
    stuck.outbox.resume()
    assert stuck.slow == 1
    assert stuck.writes == []
    assert other.text == "at" + b"".join(frames).decode() + "more"
    assert hub.counts["slow"] == 1
    assert hub.counts["dropped"] == len(frames) + 1


def test_only_what_waits_counts_against_the_bound():
    hub = Hub()
    subscriber = Subscriber(hub)
    for _ in range(5):
        subscriber.outbox.pause()
        subscriber.outbox.send(b"x" * 900)
        subscriber.outbox.resume()
    assert len(subscriber.writes) == 5
    assert not subscriber.slow


def test_what_was_missed_does_not_count_as_slow():
    hub = Hub()
    subscriber = Subscriber(hub)
    for _ in range(2):
        subscriber.outbox.pause()
        subscriber.outbox.send(b"first,")
        subscriber.outbox.send_past([b"x" * 999, b","] * 10)
        subscriber.outbox.send(b"last")
        assert subscriber.writes == []
        subscriber.outbox.resume()
        assert subscriber.writes.pop() == b"first," + b"".join([b"x" * 999, b","] * 10) + b"last"
    assert not subscriber.slow
    subscriber.outbox.send_past([b"1", b"2"])
    assert subscriber.writes == [b"12"]


def test_a_slow_connection_may_be_dropped_while_the_topic_is_published_to():
    hub = Hub()
    first, second = Subscriber(hub, "orders"), Subscriber(hub, "orders")
    for subscriber in (first, second):
        subscriber.outbox._slow = lambda outbox=subscriber.outbox: hub.drop(outbox)
        subscriber.outbox.pause()
    for _ in range(5):
        hub.publish("orders", b"x")
    assert not hub.wants("orders")


def test_who_left_hears_no_more():
    hub = Hub()
    gone, dropped, stays = (Subscriber(hub, "drivers") for _ in range(3))
    hub.put_latest("drivers", "d1", b"1")
    hub.leave("drivers", gone.outbox)
    hub.drop(dropped.outbox)
    hub.publish("drivers", b"2")
    hub.flush()
    assert (gone.writes, dropped.writes, stays.text) == ([], [], "21")


def test_a_topic_is_wanted_while_somebody_hears_it():
    hub = Hub()
    assert not hub.wants("drivers")
    subscriber = Subscriber(hub, "drivers")
    assert hub.wants("drivers")
    hub.drop(subscriber.outbox)
    assert not hub.wants("drivers")
    hub.hold("drivers", subscriber.outbox)
    assert hub.wants("drivers")


def test_latest_frames_to_a_topic_without_subscribers_are_not_kept():
    hub = Hub()
    hub.put_latest("drivers", "d1", b"1")
    subscriber = Subscriber(hub, "drivers")
    hub.flush()
    assert subscriber.writes == []


def test_a_topic_does_not_bring_back_what_another_has_overtaken():
    hub = Hub()
    subscriber = Subscriber(hub, "drivers", "area")
    hub.put_latest("drivers", "d1", b"1")
    hub.put_latest("area", "d1", b"1")
    hub.put_latest("drivers", "d1", b"2")  # it has left the area
    assert hub.flush() == 1
    assert subscriber.writes == [b"2"]


def test_held_frames_come_on_joining_without_those_read_already():
    hub = Hub()
    subscriber = Subscriber(hub)
    hub.hold("orders", subscriber.outbox)
    for seq in (4, 5, 6):
        hub.publish("orders", str(seq).encode(), seq)
    assert subscriber.writes == []
    subscriber.outbox.send(b"read up to 5,")
    hub.join("orders", subscriber.outbox, after=5)
    hub.publish("orders", b"7", 7)
    assert subscriber.text == "read up to 5,67"


def test_who_is_held_hears_no_latest_frames_of_that_topic_yet():
    hub = Hub()
    subscriber, other = Subscriber(hub, "a"), Subscriber(hub, "b")
    hub.hold("b", subscriber.outbox)
    hub.put_latest("a", "d1", b"1")
    hub.put_latest("b", "d2", b"2")
    hub.flush()
    assert (subscriber.text, other.text) == ("1", "2")


def test_a_frame_that_was_read_before_it_is_published_is_not_repeated():
    hub = Hub()
    reader, other = Subscriber(hub), Subscriber(hub, "orders")
    hub.hold("orders", reader.outbox)
    hub.join("orders", reader.outbox, after=5)
    hub.publish("orders", b"5", 5)
    hub.publish("orders", b"6", 6)
    assert (reader.text, other.text) == ("6", "56")


def test_joining_again_starts_afresh():
    hub = Hub()
    subscriber = Subscriber(hub, "orders")
    hub.hold("orders", subscriber.outbox)
    hub.publish("orders", b"1", 1)
    hub.join("orders", subscriber.outbox, after=0)
    hub.publish("orders", b"2", 2)
    assert subscriber.text == "12"


def test_too_much_held_is_too_slow():
    hub = Hub()
    subscriber = Subscriber(hub)
    hub.hold("orders", subscriber.outbox)
    for seq in range(5):
        hub.publish("orders", b"x", seq)
    assert subscriber.slow == 1


def test_others_may_run_and_leave_between_slices_of_a_flush():
    hub = Hub()
    first, second, third = (Subscriber(hub, "drivers") for _ in range(3))
    hub.put_latest("drivers", "d1", b"1")
    slices = hub.flush_slices(size=1)
    assert next(slices) == 1
    hub.leave("drivers", third.outbox)
    hub.put_latest("drivers", "d1", b"2")
    assert sum(slices) == 1
    hub.flush()
    assert (first.text, second.text, third.text) == ("12", "12", "")


def test_joined_frames_are_their_frames_one_after_the_other():
    assert Latest.of({"a": b"1", "b": b"2"}) == ({"a": b"1", "b": b"2"}, b"12")


TOPICS = st.sampled_from(["a", "b"])
KEYS = st.sampled_from(["d1", "d2"])
SUBSCRIBERS = st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), TOPICS),
        st.tuples(st.just("put_latest"), TOPICS, KEYS),
        st.tuples(st.just("pause"), SUBSCRIBERS),
        st.tuples(st.just("resume"), SUBSCRIBERS),
        st.tuples(st.just("flush")),
        st.tuples(st.just("turn")),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_in_between_the_newest_value_arrives_last_and_no_reliable_frame_is_lost_or_moved(steps):
    soon = Soon()
    hub = Hub(soon)
    joined = [("a",), ("b",), ("a", "b")]
    subscribers = [Subscriber(hub, *topics) for topics in joined]
    published: list[tuple[int, str]] = []
    put: list[tuple[int, str, str]] = []
    for time, (step, *args) in enumerate(steps):
        match step:
            case "publish":
                published.append((time, args[0]))
                hub.publish(args[0], f"{time} ".encode())
            case "put_latest":
                put.append((time, *args))
                hub.put_latest(args[0], args[1], f"{args[1]}={time} ".encode())
            case "pause" | "resume":
                getattr(subscribers[args[0]].outbox, step)()
            case "flush":
                hub.flush()
            case "turn":
                soon.turn()
    soon.turn()
    hub.flush()
    for subscriber, topics in zip(subscribers, joined, strict=True):
        subscriber.outbox.resume()
        words = subscriber.text.split()
        reliable = [int(word) for word in words if "=" not in word]
        expected = [time for time, topic in published if topic in topics]
        assert reliable == (expected[: len(reliable)] if subscriber.slow else expected)
        for key in ("d1", "d2"):
            seen = [int(word.split("=")[1]) for word in words if word.startswith(key)]
            newest = [time for time, topic, name in put if topic in topics and name == key]
            assert seen == sorted(set(seen))
            assert subscriber.slow or seen[-1:] == newest[-1:]


def test_each_connection_gets_the_frame_in_its_language_also_after_a_hold():
    hub = Hub()
    english, chinese, held = Subscriber(hub, "a"), Subscriber(hub, "a"), Subscriber(hub)
    for subscriber, language in ((english, "en"), (chinese, "zh-TW"), (held, "en")):
        subscriber.outbox.language = language
    hub.hold("a", held.outbox)
    hub.publish("a", {"en": b"e", "zh-TW": b"z"}, 1)
    hub.join("a", held.outbox, after=0)
    assert (english.text, chinese.text, held.text) == ("e", "z", "e")


def test_who_hears_of_it_in_another_topic_is_left_out():
    hub = Hub()
    both, one = Subscriber(hub, "user:C1", "order:O1"), Subscriber(hub, "user:C1", "orders")
    hub.publish("user:C1", b"x", 1, unless={"order:O1", "order:O1@driver:D"})
    assert (both.text, one.text) == ("", "x")
