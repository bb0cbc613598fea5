import json
import logging

import pytest
import structlog

from api.config import Config
from api.logs import configure_logs


@pytest.fixture(autouse=True)
def _as_before():
    yield
    structlog.reset_defaults()


def test_machines_get_one_json_object_a_line(capsys) -> None:
    configure_logs(Config(log_format="json"))
    structlog.get_logger().info("connected", user="王")
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["user"], line["level"]) == ("connected", "王", "info")
    assert line["timestamp"].endswith("Z")


def test_an_error_carries_its_traceback(capsys) -> None:
    configure_logs(Config(log_format="json"))
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        structlog.get_logger().exception("internal error")
    assert "ZeroDivisionError" in json.loads(capsys.readouterr().out)["exception"]


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_variables(capsys, log_format) -> None:
    configure_logs(Config(log_format=log_format))
    token = "ab" * 20
    try:
        int(token[:0])
    except ValueError:
        structlog.get_logger().exception("internal error")
    out = capsys.readouterr().out
    assert "ValueError" in out
    assert token[:10] not in out


def test_below_the_level_nothing_is_written(capsys) -> None:
    configure_logs(Config(log_level="warning"))
    structlog.get_logger().info("connected")
    assert capsys.readouterr().out == ""
    assert logging.getLogger().level >= logging.WARNING
