"""What waits to be acknowledged is never lost, and a batch that was sent stays as it was."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from api.fix_buffer import MAX_BATCH, FixBuffer
from tracker.messages import Fix


def fixes(count: int, start: int = 0) -> list[Fix]:
    return [Fix(25.0, 121.5, timestamp=float(start + i)) for i in range(count)]


@given(st.lists(st.one_of(st.integers(1, 700), st.none()), max_size=8))
def test_everything_comes_out_once_and_in_order(steps: list[int | None]) -> None:
    buffer, put, taken = FixBuffer(), 0, list[Fix]()
    for step in [*steps, *[None] * 20]:
        if step is not None:
            buffer.add(fixes(step, put))
            put += step
        elif (batch := buffer.take()) is not None:
            assert batch.fixes
            assert len(batch.fixes) <= MAX_BATCH
            taken += batch.fixes
            buffer.remove(batch)
    assert len(taken) + len(buffer) == put
    assert taken == fixes(len(taken))


def test_a_batch_that_was_taken_stays_as_it_was() -> None:
    buffer = FixBuffer()
    buffer.add(fixes(2))
    first = buffer.take()
    buffer.add(fixes(2, start=2))

    assert buffer.take() == first
    assert len(buffer) == 4


def test_a_file_outlives_the_app(tmp_path: Path) -> None:
    before = FixBuffer(tmp_path / "D1.fixes")
    before.add(fixes(3))
    sent = before.take()
    before.close()

    after = FixBuffer(tmp_path / "D1.fixes")
    after.add(fixes(1, start=3))

    assert len(after) == 4
    assert after.take() == sent
    after.close()
