import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.codec import Report, encode
from tracker.errors import Flag
from tracker.intake import SLICE, Frame, Intake
from tracker.messages import LocationAck, Rejected
from tracker.scan import SOURCE


def frame(driver: int, times: list[float], replies: list[LocationAck], *, seq: int = 1, **changes) -> Frame:
    fixes = np.array([[t, 25.0, 121.5, 1.0, 2.0, 3.0, 0.0] for t in times]).reshape(-1, 7)
    report = Report(seq, fixes, index=changes.get("index"), rejected=changes.get("rejected", []))
    return Frame(driver, report, 99.0, replies.append)


def test_frames_become_one_batch_and_each_gets_its_own_answer() -> None:
    replies: list[LocationAck] = []
    intake = Intake()
    intake.put(frame(0, [1.0, 2.0], replies, seq=5))
    intake.put(frame(1, [3.0], replies, seq=6))
    assert intake.fixes == 3
    batch, parts = intake.take()
    assert batch.driver.tolist() == [0, 0, 1]
    assert batch.fix_time.tolist() == [1.0, 2.0, 3.0]
    assert batch.received_at.tolist() == [99.0] * 3
    assert intake.fixes == 0
    assert replies == []
    for part in parts:
        part.settle(np.array([Flag.ACCEPTED, Flag.LATITUDE_OUT_OF_RANGE, Flag.DUPLICATE], np.uint8))
    first, second = replies
    assert (first.seq, first.accepted, first.duplicates, [(r.index, r.code) for r in first.rejected]) == (
        5,
        1,
        0,
        [(1, "latitude_out_of_range")],
    )
    assert (second.seq, second.accepted, second.duplicates, second.rejected) == (6, 0, 1, [])


def test_what_was_refused_while_decoding_keeps_its_place() -> None:
    replies: list[LocationAck] = []
    intake = Intake()
    refused = Rejected(1, "missing_field", "…")
    intake.put(frame(0, [1.0, 2.0], replies, index=[0, 2], rejected=[refused]))
    _, (part,) = intake.take()
    part.settle(np.array([Flag.LONGITUDE_OUT_OF_RANGE, Flag.TIMESTAMP_TOO_OLD], np.uint8))
    assert [r.index for r in replies[0].rejected] == [0, 1, 2]
    assert replies[0].accepted == 0


def test_a_frame_without_a_usable_fix_is_answered_at_once() -> None:
    replies: list[LocationAck] = []
    Intake().put(frame(0, [], replies, rejected=[Rejected(0, "missing_field", "…")]))
    assert len(replies) == 1


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3 * SLICE)), max_size=8))
def test_slices_keep_each_drivers_order_and_lose_nothing(frames: list[tuple[int, int]]) -> None:
    replies: list[LocationAck] = []
    intake = Intake()
    sent: dict[int, list[float]] = {}
    for i, (driver, count) in enumerate(frames):
        times = [1000.0 * i + k for k in range(count)]
        sent.setdefault(driver, []).extend(times)
        intake.put(frame(driver, times, replies, seq=i))
    seen: dict[int, list[float]] = {driver: [] for driver in sent}
    while intake.fixes:
        batch, parts = intake.take()
        assert np.bincount(batch.driver).max() <= SLICE
        for driver in set(batch.driver.tolist()):
            seen[driver] += batch.fix_time[batch.driver == driver].tolist()
        for part in parts:
            part.settle(np.zeros(len(batch), np.uint8))
    assert seen == sent
    assert sorted(r.seq for r in replies) == list(range(len(frames)))
    assert all(r.accepted == frames[r.seq][1] for r in replies)


def test_what_a_message_says_of_its_fixes_and_itself_goes_along() -> None:
    intake = Intake()
    known = frame(0, [1.0, 2.0, 3.0], [])
    known.report.fixes[:, SOURCE], known.report.sent_at = [1, 2, 8], 98.5
    intake.put(frame(1, [1.0], []))
    intake.put(known)
    batch, _ = intake.take()
    assert batch.source.tolist() == [0, 1, 2, 8]
    assert np.isnan(batch.sent_at[0])
    assert batch.sent_at[1:].tolist() == [98.5] * 3


def test_an_answer_names_what_is_set_aside() -> None:
    replies: list[LocationAck] = []
    intake = Intake()
    intake.put(frame(0, [1.0, 2.0, 3.0, 4.0], replies))
    intake.put(frame(0, [5.0], replies))
    _, parts = intake.take()
    flag = np.array([Flag.LATE, Flag.OUTLIER, Flag.LATE, Flag.ACCEPTED, Flag.ACCEPTED], np.uint8)
    for part in parts:
        part.settle(flag)
    assert (replies[0].accepted, replies[0].aside) == (4, {"late": 2, "outlier": 1})
    assert b"aside" not in encode(replies[1])


@pytest.mark.parametrize("n", [1, 3])
def test_a_batch_stays_as_it_is_when_the_next_is_taken(n: int) -> None:
    intake = Intake()
    taken = []
    for number in range(2):
        intake.put(Frame(0, Report(number, np.full((n, 7), float(number))), 0.0, lambda answer: None))
        taken.append(intake.take()[0])
    assert [batch.latitude.tolist() for batch in taken] == [[0.0] * n, [1.0] * n]
