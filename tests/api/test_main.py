"""The command line ends with 0, or with 2 and one line that says what to do; never with a traceback."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import jwt
import pytest
import structlog

from api.__main__ import main
from tests.support import running_server

ROOT = Path(__file__).parents[2]
SECRET = "a secret for tests that is long enough"
HEADER = "driver_id,timestamp,latitude,longitude\n"


@dataclass
class Result:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


@pytest.fixture
def tracker(tmp_path, monkeypatch, capfd):
    """Run a command in an empty directory and an environment without TRACKER_* variables but those given."""
    for name in [name for name in os.environ if name.startswith("TRACKER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["tracker", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Result(ended.value.code or 0, *capfd.readouterr())

    yield run
    structlog.reset_defaults()


@pytest.fixture
def fixes(tmp_path):
    """A file with two fixes of a driver."""
    path = tmp_path / "fixes.csv"
    path.write_text(HEADER + "DRIVER789,1737369000,25.0330,121.5654\nDRIVER789,1737369010,25.0331,121.5655\n")
    return path


def command(*arguments, cwd):
    """The same in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(result):
    """The one line of a command that failed on what it was given."""
    assert (result.status, result.out) == (2, "")
    (line,) = result.err.splitlines()
    assert line.startswith("tracker: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Missing command. See tracker --help."),
        (["fly"], "No such command 'fly'. See tracker --help."),
        (["replay"], "Missing argument 'FIXES'"),
        (["serve", "--port", "x"], "Invalid value for '--port'"),
        (["serve", "--port", "70000"], "port in the command line: must be a whole number from 0 to 65535, not 70000"),
        (["serve", "--config", "none.toml"], "none.toml: cannot read the configuration file"),
        (["serve", "--log-format", "xml"], "log_format in the command line: must be one of console, json, not 'xml'"),
        (["serve", "--port", "0"], "jwt_secret: HS256 needs a secret of 32 bytes or more"),
        (["token", "--sub", "A", "--role", "driver"], "jwt_secret: HS256 needs a secret"),
        (["token", "--sub", "A", "--role", "boss"], '--role: "boss" is not one of driver'),
        (["token", "--sub", "A", "--role", "driver", "--ttl", "soon"], '--ttl: "soon" is not a duration'),
        (["replay", "none.csv", "--out", "out"], "none.csv: No such file or directory"),
        (["replay", "fixes.csv", "--out", "out", "--set", "x=1"], "x in --set: there is no such setting"),
        (["replay", "fixes.csv", "--out", "out", "--orders", "fixes.csv"], "fixes.csv: not valid JSON"),
        (["replay", "fixes.csv", "--out", "fixes.csv"], "fixes.csv: cannot be written"),
        (["send", "fixes.csv", "--url", "ws://x", "--token", "t", "--speed", "fast"], '--speed: "fast" is not a fact'),
        (["send", "fixes.csv", "--url", "ws://x", "--token", "t", "--batch-s", "0"], "--batch-s: must be more than 0"),
        (["loadtest", "--url", "http://x"], "--url: http://x is not the address of a WebSocket"),
        (["loadtest", "--url", "ws://x", "--tokens", "none"], "--tokens: none cannot be read"),
        (["migrate", "--store", "mysql://x"], "the store must be given as sqlite:///"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_line_and_status_2(tracker, fixes, arguments, sentence):
    variables = {"TRACKER_JWT_SECRET": SECRET} if "soon" in arguments else {}
    assert sentence in refused(tracker(*arguments, **variables))


def test_a_wrong_row_is_named_with_its_line(tracker, fixes):
    fixes.write_text(HEADER + "A,1737369000,abc,121\n")
    result = tracker("replay", "fixes.csv", "--out", "out")
    assert refused(result) == 'tracker: fixes.csv:2: latitude: "abc" is not a number'


def test_token_prints_only_a_token(tracker):
    result = tracker("token", "--sub", "DRIVER789", "--role", "driver", "--ttl", "2h", TRACKER_JWT_SECRET=SECRET)
    assert result.status == 0
    claims = jwt.decode(result.out.strip(), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["role"]) == ("DRIVER789", "driver")
    assert claims["exp"] - claims["iat"] == pytest.approx(7200, abs=1)


def test_a_token_fits_the_configured_audience_and_secret_file(tracker, tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "tracker.toml").write_text('jwt_secret_file = "secret"\njwt_audience = "fleet"\njwt_issuer = "us"\n')
    result = tracker("token", "--sub", "A", "--role", "office", "--config", "tracker.toml")
    claims = jwt.decode(result.out.strip(), SECRET, algorithms=["HS256"], audience="fleet", issuer="us")
    assert claims["role"] == "office"


def test_replay_writes_its_files(tracker, fixes):
    orders = [{"order_id": "O", "customer_id": "C", "destination": {"latitude": 25.0, "longitude": 121.5}}]
    (fixes.parent / "orders.json").write_text(json.dumps(orders))
    arguments = ["replay", "fixes.csv", "--orders", "orders.json", "--set", "dwell_after_s=60", "--out", "out"]
    result = tracker(*arguments)
    assert (result.status, result.err) == (0, "")
    assert "2 fixes of 1 drivers" in result.out
    assert sorted(path.name for path in (fixes.parent / "out").iterdir()) == [
        "events.ndjson",
        "positions.csv",
        "stays.csv",
        "summary.json",
        "track.csv",
        "trips.csv",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["import"], "Missing argument 'FILES'"),
        (["import", "none.csv"], "none.csv: No such file or directory"),
        (["import", "fixes.shp"], "fixes.shp: fixes are read from .csv, .ndjson"),
        (["export", "--format", "csv"], "Missing option '--driver'"),
        (["export", "--driver", "A", "--format", "shp"], '--format: "shp" is not one of geojson'),
        (["export", "--driver", "A"], "there is no store data/tracker.gpkg; run `tracker migrate` first"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_imported_or_exported_is_one_line(tracker, fixes, arguments, sentence):
    assert sentence in refused(tracker(*arguments))


def test_import_and_export_go_round(tracker, fixes, sqlite_url):
    first = tracker("import", "fixes.csv", "--store", sqlite_url)
    assert first.out.startswith("2 fixes of 1 files: 2 new, 0 stored before; in ")
    assert first.status == 0
    assert tracker("import", "fixes.csv", "--store", sqlite_url).out.startswith("2 fixes of 1 files: 0 new, 2 stored")
    found = tracker("export", "--driver", "DRIVER789", "--format", "csv", "--store", sqlite_url)
    assert found.out.splitlines()[1] == "DRIVER789,2025-01-20T10:30:00Z,25.033,121.5654,,,,,"


async def test_import_does_not_disturb_a_server_and_export_does_not_mind_one(fixes, sqlite_url, tmp_path):
    async with running_server(sqlite_url, tmp_path):
        refused = await asyncio.to_thread(command, "import", "fixes.csv", "--store", sqlite_url, cwd=tmp_path)
        nothing = await asyncio.to_thread(command, "export", "--driver", "x", "--store", sqlite_url, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("tracker: Another tracker server is writing to this store; stop it first")
    assert (nothing.returncode, nothing.stderr) == (2, 'tracker: there is no fix of the driver "x" in that time\n')


def test_migrate_makes_a_store_and_again_leaves_it_be(tracker, tmp_path):
    for _ in range(2):
        result = tracker("migrate", "--store", "sqlite:///new/tracker.gpkg")
        assert (result.status, result.out) == (0, "sqlite:///new/tracker.gpkg is up to date\n")
    assert (tmp_path / "new" / "tracker.gpkg").exists()


@pytest.mark.parametrize("name", ["serve", "demo"])
def test_an_address_that_cannot_be_had_is_one_line(tracker, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(tracker(name, "--port", str(port), TRACKER_JWT_SECRET=SECRET))
    assert line == f"tracker: cannot listen on 127.0.0.1:{port}: Address already in use; choose another host or port"
    assert "cannot listen on no.invalid:8000" in refused(tracker(name, "--host", "no.invalid"))


def test_a_process_ends_as_the_function_does(tmp_path):
    result = command("replay", "none.csv", "--out", "out", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "tracker: none.csv: No such file or directory\n"


async def test_send_ends_when_a_server_has_acknowledged_everything(fixes, sqlite_url, tmp_path):
    async with running_server(sqlite_url, tmp_path) as server:
        token = server.token("DRIVER789", "driver")
        arguments = ["send", "fixes.csv", "--url", server.ws_url + "/driver", "--speed", "1000x", "--token"]
        first = await asyncio.to_thread(command, *arguments, token, cwd=tmp_path)
        again = await asyncio.to_thread(command, *arguments, token, cwd=tmp_path)
        other = await asyncio.to_thread(command, *arguments, server.token("office", "office"), cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout == "2 sent, 2 of 2 acknowledged, 2 accepted, 0 duplicates, 0 rejected, 0 reconnects\n"
    assert again.stdout == "2 sent, 2 of 2 acknowledged, 0 accepted, 2 duplicates, 0 rejected, 0 reconnects\n"
    assert other.returncode == 2
    assert "tracker: the server does not let this token in here (4403" in other.stderr
    assert token not in server.log


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_serve_ends_cleanly_when_told_to(sqlite_url, tmp_path, ending):
    async with running_server(sqlite_url, tmp_path) as server:
        server.process.send_signal(ending)
        assert await asyncio.to_thread(server.process.wait, 20) == 0
    assert "Traceback" not in server.log


def test_it_tells_its_version(tracker):
    shown = tracker("--version")
    assert (shown.status, shown.out.split()) == (0, ["tracker", version("tracker")])


def test_help_names_every_command_in_one_whole_line(tracker):
    told = tracker("--help").out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in told][:2] == ["serve", "demo"]
    assert len(told) == 13
    assert all(line.endswith(".") and not line.endswith("...") for line in told)
