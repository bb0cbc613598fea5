"""Settings come from four places in order, and a wrong one is named with where it came from."""

import pytest

from api.config import Config, engine_settings, load
from tracker.errors import ConfigurationError
from tracker.settings import EngineSettings


def test_without_anything_the_defaults_hold():
    assert load(env={}) == Config()


def test_limits_are_those_of_the_protocol():
    config = Config()
    assert (config.max_connections_per_user, config.max_message_bytes) == (5, 64 * 1024)
    assert (config.idle_timeout_s, config.ping_interval_s) == (60.0, 30.0)
    assert 0 < config.rate_limit_per_s <= config.rate_limit_burst <= 200
    assert 0 < config.max_malformed <= 10


def test_a_later_source_wins(tmp_path):
    file = tmp_path / "tracker.toml"
    file.write_text('port = 1\nhost = "0.0.0.0"\nlog_format = "json"\n[engine]\ndwell_after_s = 60\n')
    config = load(file, {"TRACKER_PORT": "2", "TRACKER_HOST": "::1", "TRACKER_CIRCUITY": "1.5"}, port=3, host=None)
    assert (config.port, config.host, config.log_format) == (3, "::1", "json")
    assert config.engine == EngineSettings(dwell_after_s=60.0, circuity=1.5)


def test_the_environment_can_name_the_file(tmp_path):
    file = tmp_path / "tracker.toml"
    file.write_text("port = 81")
    assert load(env={"TRACKER_CONFIG": str(file)}).port == 81


def test_origins_are_comma_separated_in_a_variable():
    config = load(env={"TRACKER_ALLOWED_ORIGINS": "https://a.tw, https://b.tw,"})
    assert config.allowed_origins == ("https://a.tw", "https://b.tw")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prot = 1", "prot in .*: there is no such setting; did you mean port"),
        ("port = 70000", "port in .*: must be a whole number from 0 to 65535, not 70000"),
        ("drain_s = -1", "drain_s in .*: must be a number from 0, not -1"),
        ("drain_s = inf", "drain_s in .*: must be a number from 0, not inf"),
        ('language = "fr"', "language in .*: must be one of zh-TW, en, not 'fr'"),
        ("allowed_origins = [1]", "must be a list of texts"),
        ('[engine]\ncircuity = "x"', r"circuity in .* \[engine\]: must be a number from 0, not 'x'"),
        ("engine = 1", r"engine in .*: must be a table"),
        ("port = ", "not a valid TOML file"),
    ],
)
def test_a_wrong_file_says_which_setting_and_where(tmp_path, text, sentence):
    file = tmp_path / "tracker.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=sentence):
        load(file, {})


def test_a_wrong_variable_says_which_setting_and_where():
    with pytest.raises(ConfigurationError, match=r"port in the environment: must be a whole number .* 'tcp://10"):
        load(env={"TRACKER_PORT": "tcp://10.0.0.1:8000"})


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot read the configuration file: No such file"):
        load(tmp_path / "none.toml", {})


def test_a_misspelt_variable_is_refused_and_a_foreign_one_is_not():
    assert load(env={"TRACKER_DATA": "/data", "TRACKER_SERVICE_PORT": "1"}) == Config()
    with pytest.raises(ConfigurationError, match=r"TRACKER_ALOWED_ORIGINS .* did you mean TRACKER_ALLOWED_ORIGINS"):
        load(env={"TRACKER_ALOWED_ORIGINS": "https://a.tw"})


def test_the_secret_is_never_shown():
    assert "hush" not in repr(load(env={"TRACKER_JWT_SECRET": "hush"}))
    with pytest.raises(ConfigurationError) as caught:
        load(env={}, jwt_secret=["hush"])
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("store", "name"),
    [
        ("sqlite:///data/tracker.gpkg", "sqlite:///data/tracker.gpkg"),
        ("postgresql://me@db:5432/t", "postgresql://me@db:5432/t"),
        ("postgresql://me:hu@sh@db/t", "postgresql://me@db/t"),
        ("postgresql://db/t?user=me&password=hush&ssl=1", "postgresql://db/t?user=me&password=…&ssl=1"),
    ],
)
def test_the_name_of_the_store_has_no_password(store, name):
    config = load(env={}, store=store)
    assert config.store_name == name
    assert "hush" not in repr(config)


def test_set_changes_one_engine_setting():
    assert engine_settings(["dwell_after_s=60"], EngineSettings(circuity=1.5)) == EngineSettings(
        dwell_after_s=60.0, circuity=1.5
    )
    with pytest.raises(ConfigurationError, match="--set dwell: expected key=value"):
        engine_settings(["dwell"], EngineSettings())
    with pytest.raises(ConfigurationError, match=r"dwell_after in --set: .* did you mean dwell_after_s"):
        engine_settings(["dwell_after=60"], EngineSettings())
