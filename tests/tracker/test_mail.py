import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.mail import MOST_DOUBLINGS, Mailbox, Personal

PHONE, TABLET = "phone", "tablet"


def letter(priority: str = "normal", expires_at: float = 1e6) -> Personal:
    return Personal(event_id="e", topic="user:U", body=b"{}", created_at=0.0, priority=priority, expires_at=expires_at)


def mailbox(*priorities: str, retry_s: float = 30.0) -> Mailbox[str]:
    """A phone was sent messages 1, 2, … of these priorities, by urgency."""
    box: Mailbox[str] = Mailbox(retry_s)
    box.enter(PHONE)
    for seq, priority in enumerate(priorities, 1):
        box.put(seq, letter(priority), 0.0)
    for seq in box.by_urgency():
        box.sent(PHONE, seq)
    return box


def test_the_most_urgent_come_first_and_the_older_of_two():
    assert mailbox("low", "normal", "critical", "high", "critical").by_urgency() == [3, 5, 4, 2, 1]


def test_an_ack_covers_what_was_sent_before_it_and_nothing_else():
    box = mailbox("normal", "normal", "critical", "normal")  # sent as 3, 1, 2, 4
    assert box.acknowledge(PHONE, 3) == [3], "1 and 2 may still be on their way"
    assert box.acknowledge(PHONE, 2) == [1, 2]
    assert box.acknowledge(PHONE, 2) == []
    assert box.acknowledge(PHONE, 9) == []
    assert len(box) == 1


def test_a_client_that_acknowledges_only_the_highest_seq_is_understood_when_all_was_sent_twice():
    box = mailbox("normal", "critical")
    assert box.acknowledge(PHONE, 2) == [2]
    box = mailbox("normal", "normal", "critical")
    for seq in box.take_due(100.0):
        box.sent(PHONE, seq)
    assert box.acknowledge(PHONE, 3) == [1, 2, 3]


def test_one_connection_acknowledges_for_all_but_only_what_it_was_sent():
    box = mailbox("normal", "normal", "normal")
    box.enter(TABLET)
    box.sent(TABLET, 3)
    assert box.acknowledge(TABLET, 3) == [3]
    assert box.acknowledge(PHONE, 2) == [1, 2]
    box.leave(TABLET)
    assert box.readers == [PHONE]
    assert box.acknowledge(TABLET, 5) == []


def test_what_waits_no_longer_elsewhere_does_not_here():
    box = mailbox("normal", "normal", "normal")
    assert box.acknowledge(PHONE, 1) == [1]
    assert box.keep([1, 2, 3], still={1, 3}) == [3]
    assert box.by_urgency() == [3]


def test_it_is_sent_again_ever_more_rarely():
    box, times, now = mailbox("normal"), [], 0.0
    while len(times) < MOST_DOUBLINGS + 3:
        now += 1.0
        if box.take_due(now):
            times.append(now)
    waits = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert waits == [30, 60, 120, 240, 480, 960, 960, 960]


def test_a_clock_that_is_set_back_does_not_hold_it_up():
    box = mailbox("normal")
    assert box.take_due(3600.0) == [1]
    assert box.take_due(10.0) == [1]
    assert box.take_due(11.0) == []


def test_it_is_not_sent_after_it_has_expired_or_was_acknowledged_in_another_topic():
    box = Mailbox[str](30.0)
    box.put(1, letter(expires_at=50.0), 0.0)
    box.put(2, letter(), 0.0, {"order:o": 7})
    assert box.take_expired(49.9) == []
    assert box.take_expired(50.0) == [1]
    assert box.also(2) == {"order:o": 7}
    assert [box.acknowledge_elsewhere(*at) for at in [("order:o", 6), ("orders", 9), ("order:o", 8)]] == [[], [], [2]]
    assert len(box) == 0


def test_putting_it_again_changes_nothing():
    box = mailbox("normal")
    box.take_due(30.0)
    box.put(1, letter("critical"), 31.0)
    assert box.message(1).priority == "normal"
    assert box.take_due(89.9) == []


@pytest.mark.parametrize("highest", [False, True], ids=["each as it comes", "the highest so far"])
@given(
    st.lists(st.sampled_from(["critical", "high", "normal", "low"]), min_size=1, max_size=8),
    st.data(),
)
def test_nothing_is_settled_that_the_client_has_not_got_and_all_is_in_the_end(highest, priorities, data):
    """The client gets what it is sent in order, up to a point; acknowledges now and then; and loses the rest."""
    box: Mailbox[int] = Mailbox(1.0)
    for seq, priority in enumerate(priorities, 1):
        box.put(seq, letter(priority), 0.0)
    got: set[int] = set()
    for connection in range(3):
        box.enter(connection)
        seqs = box.by_urgency()
        for seq in seqs:
            box.sent(connection, seq)
        read = data.draw(st.integers(0, len(seqs))) if connection < 2 else len(seqs)
        for seq in seqs[:read]:
            got.add(seq)
            assert set(box.acknowledge(connection, seq)) <= got
        box.leave(connection)
    if not highest:
        assert len(box) == 0
