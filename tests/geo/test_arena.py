import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geo.arena import Arena


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=60))
def test_blocks_never_overlap_and_freed_ones_are_used_again(wishes: list[tuple[int, bool]]) -> None:
    arena, held = Arena(np.int64, 2), []
    for number, (n, gives_one_back) in enumerate(wishes):
        if gives_one_back and held:
            start, size, _ = held.pop(0)
            arena.give(start, size)
        start, size = arena.take(n)
        assert size >= n
        arena.rows[start : start + size] = number
        held.append((start, size, number))
    for start, size, number in held:
        assert (arena.rows[start : start + size] == number).all()


def test_what_is_given_back_is_taken_first() -> None:
    arena = Arena(np.float64)
    start, size = arena.take(5)
    arena.take(5)
    arena.give(start, size)
    assert arena.take(7) == (start, size)
