"""Writes docs/reference.md from the code, so that both say the same: `make reference`."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.config import Config
from api.metrics import METRICS
from tracker import errors, messages
from tracker.settings import EngineSettings

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "reference.md"

HEAD = """# Reference

Written by `make reference` from the code; what is here is what the code does. Units: degrees WGS 84, metres, m/s, seconds. Output times
are ISO 8601 UTC; input times ISO 8601 with an offset, or epoch seconds or milliseconds.
"""

SETTINGS = """## Settings

Each is a key of the TOML file given with `--config`, and a variable `TRACKER_<NAME>` in capitals; options of `tracker serve` win over variables,
variables over the file. There is no default secret: without one, nothing starts.
"""

ENGINE = """### The engine's

In the TOML file under `[engine]`; for `tracker replay` as `--set name=value`.
"""

EVENTS = """## Events

| type | kind | when |
|---|---|---|
| `geofence.event` | `enter` | the boundary was crossed inwards; or a first position lies inside (`evidence.first_fix`) |
| | `exit` | outside by the margin; stamped with the last crossing of the boundary |
| | `dwell` | inside for `dwell_after_s` |
| | `cross` | reserved; a pass between two fixes is an `enter` and an `exit` |
| `delivery.update` | `assigned` | the order has a driver |
| | `en_route` | the driver or the office says so (`order_update` with `en_route` or `delivering`) |
| | `approaching` | the next order's destination is near, in metres or predicted seconds |
| | `driver_arrived` | standing inside the destination, or long just beside it, so that `arrival_confidence` is reached; at `occurred_at` it was entered |
| | `departed` | beyond the margin twice in a row or far beyond it, after the arrival; at `occurred_at` it was left |
| | `passed` | a visit of the destination ended without an arrival; on record only (`GET /events`, `tracker replay`), never a message and no status of the order |
| | `delivered`, `failed` | the driver, the customer's confirmation or the office says so |
| | `eta_changed` | the first prediction, and each that differs enough to matter |

`occurred_at` is the interpolated time, `detected_at` the fix_time of the fix that showed it, `confidence` from 0 to 1, `evidence` what it rests on
(`fixes` inside, `accuracy`, `speed`, `dwell` inside, `stand` on one spot, `distance` from the boundary; of a pass the least speed and distance; `order_id` and `geofence_id` say of what). With `late`, it was found too far behind the driver's
newest fix to be announced to the customer. The confidence of an arrival is the probability that the driver stands there for this delivery
(`tracker/arrivals.py` has the formula), of a pass that he was inside and it was not, of a departure that he is outside, of an approach that he is
within `approaching_m` (1 where it was predicted). Each status is told once a delivery: an order with one driver and one destination.
"""

CLOSES = """## Close codes

| code | meaning | the client |
|---|---|---|
| 1000, 1001 | a normal end | |
| 1009 | a message of more than `max_message_bytes` | sends smaller batches |
| 1011 | something went wrong inside the server | tries again later |
| 1012 | the server restarts, after a `reconnect` | connects again after `after_ms` |
| 4400 | too many malformed messages | is mended |
| 4401 | no valid token, or it has ended | gets a new token; does not try again by itself |
| 4403 | this role may not be here, or this page's origin | does not try again by itself |
| 4408 | no sign of life for `idle_timeout_s` | connects again |
| 4409 | the user opened another connection beyond `max_connections_per_user` | does not try again by itself |
| 4413 | it did not read what it subscribed to | connects again and resumes with `since` |
| 4429 | more messages than `rate_limit_per_s` allows | slows down |
"""

MEASURED = """## Metrics

`GET /metrics`, in the text format of Prometheus, with `metrics_token` or a token of the role `service`, `office` or `admin` as Bearer:
`tracker token --sub prometheus --role service --ttl 365d` prints one. Beside these, `process_*` and `python_gc_*` tell of memory, CPU, open
files and garbage collection.
"""


def table(*columns: str, rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def settings(of: type, values: Any) -> list[tuple[str, ...]]:
    """Name, default and meaning of each field: the string below it in the source."""
    body = ast.parse(inspect.getsource(of)).body[0]
    assert isinstance(body, ast.ClassDef)
    told = {}
    for field, said in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(said, ast.Expr):
            assert isinstance(said.value, ast.Constant)
            told[field.target.id] = " ".join(str(said.value.value).split())
    return [
        (f"`{name}`", _default(getattr(values, name)), meaning) for name, meaning in told.items() if name != "engine"
    ]


def _default(value: object) -> str:
    match value:
        case str():
            return f'`"{value}"`'
        case tuple():
            return "`[]`"
        case _:
            return f"`{value:.10g}`"


def message_rows(of: type) -> list[tuple[str, ...]]:
    """Type, fields and meaning of each message."""
    return [
        (f"`{kind.__struct_config__.tag}`", ", ".join(f"`{f}`" for f in kind.__struct_fields__), _said(kind))
        for kind in of.__subclasses__()
    ]


def error_rows() -> list[tuple[str, ...]]:
    """Code, HTTP status and sentence of each error."""
    rows = [(f"`{error.code}`", str(error.status), _said(error)) for error in _tree(errors.TrackerError)]
    return [*rows, ("`method_not_allowed`", "405", "The path exists, but not with this method.")]


def _tree(error: type[errors.TrackerError]) -> Iterator[type[errors.TrackerError]]:
    if error.__module__ == errors.__name__:
        yield error
    for child in error.__subclasses__():
        yield from _tree(child)


def _said(of: type) -> str:
    return " ".join((of.__doc__ or "").split())


def reference() -> str:
    """The whole page."""
    metrics = [(f"`{m.exposed}{'{' + m.label + '}' if m.label else ''}`", m.kind, m.meaning) for m in METRICS]
    refusals = [(f"`{flag.code}`", sentence) for flag, sentence in errors.REFUSALS.items()]
    return "\n".join(
        [
            HEAD,
            SETTINGS,
            table("name", "default", "meaning", rows=settings(Config, Config())),
            ENGINE,
            table("name", "default", "meaning", rows=settings(EngineSettings, EngineSettings())),
            "## Messages\n\n### From the client\n",
            table("type", "fields", "meaning", rows=message_rows(messages.ClientMessage)),
            "### From the server\n",
            table("type", "fields", "meaning", rows=message_rows(messages.ServerMessage)),
            "Reliable messages, all but `driver.location` and direct answers, also carry `event_id`, `channel` and `seq`.\n",
            EVENTS,
            '## Errors\n\nOn a socket as `error` with `code`, `message` and `ref`; over HTTP as `{"error":{"code","message","field"}}`.\n',
            table("code", "status", "meaning", rows=error_rows()),
            "### Why a fix is refused\n",
            table("code", "meaning", rows=refusals),
            CLOSES,
            MEASURED,
            table("name", "kind", "meaning", rows=metrics),
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(reference(), "utf-8")
