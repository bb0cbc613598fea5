"""Settings of the server, from defaults, a TOML file, TRACKER_* variables and options, in that order."""

import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from tracker.errors import ConfigurationError
from tracker.settings import EngineSettings

PREFIX = "TRACKER_"

Count = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Frozen; every field is also a key of the TOML file and a `TRACKER_*` variable, in capitals."""

    # Where it listens and stores
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every interface."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    """TCP port; 0 takes a free one."""
    store: str = field(default="sqlite:///data/tracker.gpkg", repr=False)
    """Where tracks are kept: sqlite:///FILE.gpkg or postgresql://USER@HOST/DATABASE."""

    redis: str = field(default="", repr=False)
    """Redis 7 by which several instances on one PostGIS store work together: redis://HOST:PORT; empty: one alone."""

    # Who may come in
    jwt_secret: str = field(default="", repr=False)
    """Secret of HS256 tokens, 32 bytes or more."""
    jwt_secret_file: str = ""
    """File with that secret, in place of `jwt_secret`."""
    jwt_algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"] = "HS256"
    """The one algorithm that tokens are signed with; a token cannot choose another."""
    jwt_public_key_file: str = ""
    """PEM file with the public key of RS256, ES256 and EdDSA tokens."""
    jwt_jwks_file: str = ""
    """JWKS file with public keys, found by the token's `kid`."""
    jwt_audience: str = ""
    """`aud` that a token must have; empty: not checked."""
    jwt_issuer: str = ""
    """`iss` that a token must have; empty: not checked."""
    jwt_leeway_s: float = 5.0
    """Seconds by which clocks may differ when `exp` is checked."""
    metrics_token: str = field(default="", repr=False)
    """What Prometheus presents as Bearer to read /metrics; a token of the role service, office or admin does, too."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may connect, comma separated in a variable."""

    # What people read
    language: Literal["zh-TW", "en"] = "zh-TW"
    """Language of texts for people: zh-TW or en."""

    # Time
    tick_ms: float = 20.0
    """Milliseconds for which fixes gather before the engine takes them as one batch."""
    eta_learn_every_s: float = 300.0
    """Seconds between two times that the server learns arrivals from finished trips."""
    flush_interval_ms: float = 100.0
    """Milliseconds between two flushes of locations to subscribers."""
    ping_interval_s: float = 30.0
    """Seconds between two pings to a socket."""
    idle_timeout_s: float = 60.0
    """Seconds without any sign of life before a socket is closed with 4408."""
    auth_timeout_s: float = 10.0
    """Seconds a socket without a token has to send `auth`."""
    lease_s: float = 3.0
    """Seconds without a sign of life after which an instance counts as dead, and another takes its place as the one
    that writes."""
    report_timeout_s: float = 15.0
    """Seconds that a driver's report waits for the instance that writes before it is refused."""
    drain_s: float = 10.0
    """Seconds over which clients are sent away on shutdown."""

    ack_retry_s: float = 30.0
    """Seconds after which a personal message that nobody acknowledged is sent again; then twice as many, and so on."""
    message_ttl_s: float = 604800.0
    """Seconds that a personal message waits for its user, where it does not say until when itself."""

    # Life of data
    merge_after_s: float = 7200.0
    """Seconds after an hour when the rows of its tracks become one a driver; nothing is lost."""
    raw_days: float = 30.0
    """Days for which every fix is kept as measured; then tracks are simplified, outliers dropped. 0: for ever."""
    simplify_bound_m: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 10.0
    """Metres that no fix may lie off the simplified track."""
    track_days: float = 0.0
    """Days for which tracks and events are kept; PostGIS drops whole weeks. 0: for ever."""
    message_days: float = 0.0
    """Days for which reliable messages are kept for clients that resume. 0: for ever."""
    upkeep_every_s: float = 60.0
    """Seconds between two times that the server looks what of this is due."""

    # Limits
    max_message_bytes: Count = 65536
    """Bytes of one message; a larger one closes the socket with 1009."""
    max_connections_per_user: Count = 5
    """Sockets one user may have; a further one closes the oldest with 4409."""
    max_channels: Count = 1000
    """Channels one socket may be subscribed to."""
    max_areas: Count = 10
    """Channels `area:…` among them."""
    max_malformed: Count = 10
    """Malformed messages before a socket is closed with 4400."""
    rate_limit_per_s: float = 50.0
    """Messages a second that one socket may send for long."""
    rate_limit_burst: Count = 200
    """Messages that one socket may send at once; more closes it with 4429."""
    outbox_messages: Count = 256
    """Reliable messages waiting for one socket; more closes it with 4413."""
    outbox_bytes: Count = 262144
    """Bytes waiting for one socket; more closes it with 4413."""
    max_pending_fixes: Count = 200_000
    """Fixes waiting for the store before sockets are no longer read."""

    # Log
    log_format: Literal["console", "json"] = "console"
    """`console` for people, `json` one object a line for machines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages that are logged."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    """Settings of the engine: the table [engine] of the file, `TRACKER_*` among the variables."""

    @property
    def store_name(self) -> str:
        """The store's URL without its password."""
        return _without_password(self.store)

    @property
    def redis_name(self) -> str:
        """The URL of Redis without its password."""
        return _without_password(self.redis)


def _without_password(url: str) -> str:
    without = re.sub(r"(://[^/:@]*):[^/]*@", r"\1@", url)
    return re.sub(r"([?&]password=)[^&]*", r"\1…", without)


def load(file: str | Path | None = None, env: Mapping[str, str] = os.environ, **options: Any) -> Config:
    """Settings from all sources; a later source wins, an option that is None is not given.

    The file is `file`, else the one TRACKER_CONFIG names, else none. Raises ConfigurationError.
    """
    path = file or env.get(PREFIX + "CONFIG") or None
    server: dict[str, Any] = {}
    engine: dict[str, Any] = {}
    if path is not None:
        table = _read_toml(Path(path))
        server |= _convert_all(Config, {k: v for k, v in table.items() if k != "engine"}, str(path))
        engine |= _convert_all(EngineSettings, _engine_table(table, path), f"{path} [engine]")
    _refuse_misspelt(env)
    server |= _from_environment(Config, env)
    engine |= _from_environment(EngineSettings, env)
    server |= _convert_all(Config, {k: v for k, v in options.items() if v is not None}, "the command line")
    return Config(**server, engine=EngineSettings(**engine))


def engine_settings(pairs: Iterable[str], base: EngineSettings) -> EngineSettings:
    """`base` with `key=value` pairs of the command line on top. Raises ConfigurationError."""
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigurationError(f'--set {pair}: expected key=value, as in "--set dwell_after_s=60"')
        values[key.strip()] = value.strip()
    return EngineSettings(**asdict(base) | _convert_all(EngineSettings, values, "--set"))


def _names(kind: type) -> list[str]:
    return [f.name for f in fields(kind) if f.name != "engine"]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the configuration file: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise ConfigurationError(f"{path}: not a valid TOML file: {error}") from None


def _engine_table(table: dict[str, Any], path: str | Path) -> dict[str, Any]:
    engine = table.get("engine", {})
    if not isinstance(engine, dict):
        raise ConfigurationError(f"engine in {path}: must be a table, [engine]")
    return engine


def _from_environment(kind: type, env: Mapping[str, str]) -> dict[str, Any]:
    given = {name: env[PREFIX + name.upper()] for name in _names(kind) if PREFIX + name.upper() in env}
    return _convert_all(kind, given, "the environment")


def _refuse_misspelt(env: Mapping[str, str]) -> None:
    """An environment is shared, so other TRACKER_* variables are left alone, unless one nearly is a setting."""
    known = [PREFIX + name.upper() for name in ["config", *_names(Config), *_names(EngineSettings)]]
    for variable in env:
        if variable.startswith(PREFIX) and variable not in known:
            near = get_close_matches(variable.removeprefix(PREFIX), [k.removeprefix(PREFIX) for k in known], 1, 0.85)
            if near:
                raise ConfigurationError(
                    f"{variable} in the environment: there is no such setting; did you mean {PREFIX}{near[0]}?"
                )


def _convert_all(kind: type, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    names = _names(kind)
    converted = {}
    for key, value in values.items():
        if key not in names:
            near = get_close_matches(key, names, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"{key} in {source}: there is no such setting{hint}", field=key)
        try:
            converted[key] = _convert(value, hints[key])
        except ValueError as error:
            shown = "" if key == "jwt_secret" else f", not {value!r}"
            raise ConfigurationError(f"{key} in {source}: must be {error}{shown}", field=key) from None
    return converted


def _convert(value: Any, hint: Any) -> Any:
    """The value as its type. Raises ValueError with what it must be."""
    if get_origin(hint) is tuple and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        converted = msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError:
        raise ValueError(_description(hint)) from None
    if isinstance(converted, float) and not (math.isfinite(converted) and converted >= 0):
        raise ValueError(_description(hint))
    return converted


def _description(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    if get_origin(hint) is tuple:
        return "a list of texts"
    if get_origin(hint) is Annotated:
        _, meta = get_args(hint)
        return f"a whole number from {meta.ge}" + (f" to {meta.le}" if meta.le is not None else "")
    return {float: "a number from 0", int: "a whole number", str: "a text", bool: "true or false"}[hint]
