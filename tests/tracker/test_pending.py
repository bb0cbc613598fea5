from tracker.pending import LONGEST_S, Pending


def newest(**times: float):
    return lambda driver_id: times.get(driver_id, -1e9)


def test_late_fixes_close_together_are_one_group_and_others_are_not() -> None:
    pending = Pending(300.0)
    for driver_id, first, last in (("a", 100, 200), ("a", 450, 460), ("a", 2000, 2000), ("b", 100, 200)):
        pending.add(driver_id, first, last, heard_at=0.0)
    due = pending.take_due(newest(a=9999.0, b=9999.0), now=0.0)
    assert [(group.driver_id, group.first, group.last) for group in due] == [
        ("a", 100, 460),
        ("a", 2000, 2000),
        ("b", 100, 200),
    ]
    assert due[0].spans == [("a", 100, 200), ("a", 450, 460)]
    assert len(pending) == 0


def test_a_group_is_due_when_its_driver_has_gone_on_or_nothing_more_is_heard() -> None:
    pending = Pending(300.0)
    pending.add("a", 100, 200, heard_at=1000.0)
    assert pending.take_due(newest(a=499.0), now=1599.0) == []
    assert len(pending.take_due(newest(a=500.0), now=1000.0)) == 1
    pending.add("a", 100, 200, heard_at=1000.0)
    assert len(pending.take_due(newest(), now=1600.0)) == 1


def test_said_twice_is_said_once() -> None:
    pending = Pending(300.0)
    for _ in range(2):
        pending.add("a", 1, 2, heard_at=0.0)
    assert pending.take_due(newest(a=1e9), 0.0)[0].spans == [("a", 1, 2)]


def test_a_driver_who_is_always_late_is_told_of_at_times() -> None:
    pending = Pending(300.0)
    for t in range(0, 3 * int(LONGEST_S), 60):
        pending.add("a", t, t, heard_at=float(t))
    assert len(pending.take_due(newest(a=LONGEST_S + 1000), now=0.0)) == 1
