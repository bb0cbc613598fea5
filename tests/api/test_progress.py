import pytest

from api.progress import progress


def test_without_a_terminal_it_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("learning", 2) as advance:
        advance(1)
        advance(1)

    assert capsys.readouterr() == ("", "")
