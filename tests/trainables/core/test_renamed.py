"""Former names are refused with today's, and every name that the table gives exists."""

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from trainables.core.command import CONFIGS
from trainables.core.config import ConfigError, build
from trainables.core.renamed import (
    GROUPS,
    KEYS,
    METRICS,
    REMOVED,
    RETIRED_METRICS,
    WITHOUT_SUCCESSOR,
    config_today,
    key_today,
    metric_today,
    refusal,
)
from trainables.core.version import VERSION, minor, version_of
from trainables.detector.config import DetectorConfig
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.gan.config import GanConfig
from trainables.metric_registry import DIRECTIONS
from trainables.training.metric_names import family_fnr


def test_every_metric_of_the_table_is_one_today_and_its_former_name_is_none() -> None:
    assert set(METRICS.values()) <= set(DIRECTIONS)
    assert not set(METRICS) & set(DIRECTIONS)
    assert metric_today("val/miss/pid") == family_fnr("pid")


@pytest.mark.parametrize("metric", RETIRED_METRICS)
def test_a_retired_metric_is_none_today_and_names_one_that_is(metric: str) -> None:
    assert metric not in DIRECTIONS
    assert metric_today(metric) == metric  # its values are read under no other name
    assert re.findall(r"val/[a-z0-9_]+", RETIRED_METRICS[metric]) == [GENERATION.headline]


def test_a_former_key_is_named_only_where_the_command_has_its_successor() -> None:
    assert key_today("part", ["split"]) == "split"
    assert key_today("part", ["parts", "seed"]) is None
    assert key_today("model.drop_part", ["split", "model.drop_part"]) is None
    assert key_today("trainable.game.betas", ["trainable.optim.betas"]) == "trainable.optim.betas"
    assert refusal("quux", "1", list(KEYS.values())) is None


def test_a_refusal_repeats_the_value_under_the_new_key() -> None:
    assert refusal("part", "test", ["split"]) == "`part` was renamed: use split=test"
    assert refusal("judgement", "", ["evaluation"]) == "`judgement` was renamed: use evaluation"


@pytest.mark.parametrize(("config", "former"), [(DetectorConfig, "judgement"), (GanConfig, "game")])
def test_a_configuration_of_an_older_version_is_read_and_never_taken_from_a_user(
    config: Callable[[], Any], former: str
) -> None:
    today = GROUPS[former]
    old = json.loads(json.dumps({"seed": 3, former: {}}))
    assert build(type(config()), config_today(old)) == build(type(config()), {"seed": 3, today: {}})
    with pytest.raises(ConfigError, match=f"`{former}` was renamed: use {today}"):
        build(type(config()), old)


@pytest.mark.parametrize("config", [DiffusionConfig, GanConfig])
@pytest.mark.parametrize("probe", ["quadratic", "logistic"])
def test_the_probe_of_an_older_configuration_is_left_out_and_never_taken_from_a_user(
    config: Callable[[], Any], probe: str
) -> None:
    old = {"seed": 3, "evaluation": {"folds": 2, "probe": probe}}
    assert config_today(old) == {"seed": 3, "evaluation": {"folds": 2}}
    assert build(type(config()), config_today(old)) == build(type(config()), {"seed": 3, "evaluation": {"folds": 2}})
    assert old["evaluation"] == {"folds": 2, "probe": probe}
    with pytest.raises(ConfigError, match=r"`evaluation\.probe` is no key here: evaluation\.probes ") as exc_info:
        build(type(config()), old)
    assert "\n" not in str(exc_info.value)


def test_every_key_that_is_left_out_is_refused_with_what_there_is_instead() -> None:
    left_out = {f"{group}.{key}" for group, keys in REMOVED.items() for key in keys}
    assert left_out
    assert left_out <= set(WITHOUT_SUCCESSOR)


def test_the_version_is_that_of_the_project_and_older_records_have_none() -> None:
    project = tomllib.loads((CONFIGS.parent / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION == version_of({"version": VERSION})
    assert minor(version_of({})) < minor(VERSION)
