"""Pauses before another attempt."""

from storage.retry import pause


def test_a_pause_is_never_negative_and_never_long():
    assert all(0.0 <= pause(attempt) <= 2.0 for attempt in (1, 2, 10, 100, 100_000) for _ in range(50))


def test_the_first_pause_is_short():
    assert max(pause(1) for _ in range(100)) <= 0.1


def test_pauses_differ_so_that_servers_do_not_return_all_at_once():
    assert len({pause(6) for _ in range(20)}) > 10
