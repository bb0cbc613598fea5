"""Errors are part of the product: each has a code, a sentence and a place in the tree at the top of its file."""

import re
from pathlib import Path

import pytest

from tracker import errors
from tracker.errors import REFUSALS, Flag, InvalidInput, TokenExpired, TrackerError

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TrackerError)]


@pytest.mark.parametrize("kind", ALL)
def test_an_error_has_a_code_a_status_and_a_sentence(kind):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert 400 <= kind.status < 600
    assert re.fullmatch(r"[A-Z].+[^.]\.", kind().message)
    assert kind("Another sentence.").message == "Another sentence."


def test_no_two_errors_share_a_code():
    assert len({kind.code for kind in ALL}) == len(ALL)


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = re.findall(r"^([│├└─ ]*)(\w+)", errors.__doc__.partition("TrackerError")[2], re.MULTILINE)
    parents = [(name, "TrackerError" if len(indent) == 4 else "") for indent, name in drawn]
    for place, (name, parent) in enumerate(parents):
        above = parent or next(n for n, p in reversed(parents[:place]) if p)
        assert [base.__name__ for base in getattr(errors, name).__bases__] == [above]
    assert {name for name, _ in parents} == {kind.__name__ for kind in ALL} - {"TrackerError"}


def test_only_what_may_pass_by_itself_is_temporary():
    temporary = {kind.code for kind in ALL if kind.temporary}
    assert temporary == {"draining", "engine_unavailable", "overloaded", "store_unavailable"}


def test_an_error_that_was_told_is_the_same_error():
    error = errors.told("conflict", "changed meanwhile", "status")
    assert type(error) is errors.Conflict
    assert (error.message, error.field) == ("changed meanwhile", "status")
    assert type(errors.told("of_a_newer_version", "")) is TrackerError


def test_the_javascript_client_knows_when_to_send_again():
    client = (Path(__file__).parents[2] / "api" / "web" / "sdk" / "tracker.js").read_text()
    listed = re.search(r"TEMPORARY = new Set\(\s*\[(.*?)\]", client, re.DOTALL)
    assert listed is not None
    assert set(re.findall(r'"(\w+)"', listed[1])) == errors.SEND_AGAIN


def test_an_error_names_its_field_and_is_caught_by_its_parent():
    assert InvalidInput("radius must be positive.", field="radius").field == "radius"
    with pytest.raises(errors.NotAuthenticated):
        raise TokenExpired


def test_every_refusal_of_a_fix_has_a_sentence():
    assert set(REFUSALS) == {flag for flag in Flag if flag > Flag.REJECTED}
    assert Flag.LATITUDE_OUT_OF_RANGE.code == "latitude_out_of_range"
