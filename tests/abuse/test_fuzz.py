"""Whatever bytes and whatever messages come: a defined end, nothing fails inside, nothing is kept.

TRACKER_FUZZ_EXAMPLES=100000 python -m pytest tests/abuse/test_fuzz.py   # for long
"""

import os
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.abuse.arena import ATTACKERS, Arena, arena, text
from tests.abuse.hostile import message, stream
from tracker import errors
from tracker.channels import Viewer

long = settings(max_examples=int(os.environ.get("TRACKER_FUZZ_EXAMPLES", "150")), database=None)
seeds = st.integers(0, 2**63)
viewers = st.sampled_from(ATTACKERS)


def _tree(error: type[errors.TrackerError]) -> Iterator[str]:
    yield error.code
    for child in error.__subclasses__():
        yield from _tree(child)


CODES = {*_tree(errors.TrackerError), *(flag.code for flag in errors.Flag)}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """One server for all inputs; in the end it keeps no more than it did before the first."""
    directory = tmp_path_factory.mktemp("attacked")
    with arena(f"sqlite:///{directory}/tracker.gpkg", max_malformed=10**9) as made:
        for viewer in ATTACKERS:
            made.attack(text('{"type":"heartbeat"}'), viewer)
        before = made.kept()
        yield made
        assert made.kept() == before


@long
@given(seeds, viewers)
def test_any_bytes(attacked: Arena, seed: int, viewer: Viewer) -> None:
    attacked.attack(stream(Random(seed)), viewer)


@long
@given(seeds, viewers)
def test_any_messages(attacked: Arena, seed: int, viewer: Viewer) -> None:
    r = Random(seed)
    said = [message(r) for _ in range(r.randrange(1, 9))]
    answer = attacked.attack(b"".join(map(text, said)) + text('{"type":"heartbeat"}'), viewer)
    codes = {m["code"] for m in answer.messages if m["type"] == "error"}
    assert codes <= CODES - {"internal_error"}
    if answer.code is None:
        assert "heartbeat" in {m["type"] for m in answer.messages}
