"""Settings: every one is explained where it stands, and a default that makes sense."""

import ast
import inspect
from dataclasses import FrozenInstanceError, asdict, fields
from itertools import pairwise

import pytest

from tracker import settings
from tracker.settings import EngineSettings


def test_every_setting_is_explained():
    body = ast.parse(inspect.getsource(settings.EngineSettings)).body[0].body
    explained = [
        line.target.id
        for line, below in pairwise(body)
        if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    ]
    assert explained == [field.name for field in fields(EngineSettings)]


def test_no_default_is_negative():
    assert all(value >= 0 for value in asdict(EngineSettings()).values())


def test_limits_that_depend_on_each_other_are_in_order():
    s = EngineSettings()
    assert s.min_accuracy_m <= s.default_accuracy_m
    assert s.still_speed_mps < s.arrival_speed_mps
    assert s.arrival_radius_m < s.approaching_m < s.visible_m
    assert s.late_after_s < s.silent_after_s
    assert s.future_limit_s < s.age_limit_s


def test_settings_do_not_change_under_a_running_engine():
    with pytest.raises(FrozenInstanceError):
        EngineSettings().dwell_after_s = 1.0
