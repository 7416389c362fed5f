"""Lines that train on recordings: the command parses, the YAML composes, and both mean what was given."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from platform.core.config_lines import data_keys, hydra_value, run_name, train_command, yaml_block
from platform.train import COMMAND, TrainConfig
from platform.tune import COMMAND as TUNE
from trainables.core import cli, command
from trainables.core.cli import parse
from trainables.core.config import build
from trainables.data.config import DataConfig

PATHS = (
    "recordings.csv",
    "/data/lab",
    "lab/**/*.mt",
    'a folder/it\'s, "here" (1).csv',
    "user=7/part:1.csv",
    "back\\slash\\",
    "\\'",
    "7",
    "1e5",
    "null",
    "True",
    "inf",
    "~/x",
    "ünïcode 漢.csv",
    "{a,b}[c].csv",
    "a#b%c&d|e;f!.csv",
    " leading",
    "it's (2).csv",
    "it's $HOME.csv",
    "*.csv",
    "lab*?/@%+:=.csv",
    "ü.csv",
)


def data_of(config: dict[str, Any]) -> DataConfig:
    return build(DataConfig, config["trainable"]["data"])


def train_words(name: str, keys: dict[str, Any]) -> list[str]:
    """Return the overrides of the command as a shell hands them over."""
    words = shlex.split(train_command(name, keys))
    assert words[:3] == ["python", "-m", "platform.train"]
    return words[3:]


@pytest.mark.parametrize("path", PATHS)
def test_the_command_parses_and_means_the_recordings(path: str) -> None:
    request = parse(COMMAND, train_words(run_name(path), data_keys("table", path, "s", 128)))
    expected = DataConfig("table", path, time_unit="s")
    found = data_of(request.config)
    assert (found.source, found.path, found.time_unit) == (expected.source, path, "s")
    assert found.canonical.sequence_length == 128
    settings = build(TrainConfig, {key: value for key, value in request.config.items() if key != "trainable"})
    assert settings.name == run_name(path)


def test_keys_at_their_defaults_are_left_out() -> None:
    assert data_keys("cursory", None, "ms", 64) == {"trainable.data.source": "cursory"}
    words = train_words("own", data_keys("table", "a.csv", "ms", 64))
    assert words == ["name=own", "trainable.data.source=table", "trainable.data.path=a.csv"]


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configuration files that may be changed."""
    folder = tmp_path / "configs"
    shutil.copytree(command.CONFIGS, folder)
    for module in (cli, command):
        monkeypatch.setattr(module, "CONFIGS", folder)
    return folder


@pytest.mark.parametrize("path", PATHS)
def test_the_block_is_yaml_of_the_same_keys(path: str) -> None:
    block = yaml.safe_load(yaml_block(data_keys("table", path, "us", 128)))
    expected = {"source": "table", "path": path, "time_unit": "us", "canonical": {"sequence_length": 128}}
    assert block == {"trainable": {"data": expected}}


@pytest.mark.parametrize(("file", "of"), [("train", COMMAND), ("tune", TUNE)])
def test_the_block_composes_at_the_end_of_a_file(file: str, of: command.Command, configs: Path) -> None:
    path = "a folder/it's.csv"
    keys = data_keys("table", path, "s", 128)
    with (configs / f"{file}.yaml").open("a") as stream:
        stream.write(yaml_block(keys))
    composed = parse(of, []).config
    typed = parse(COMMAND, train_words("own", keys)).config
    assert data_of(composed) == data_of(typed) != DataConfig()


@pytest.mark.parametrize("value", ["own", "a-b_c", "x/y.csv"])
def test_plain_values_have_no_quotes(value: str) -> None:
    assert hydra_value(value) == value


@pytest.mark.parametrize("path", ["7", "null", "...", "lab 2/*.csv", "7.csv", "-x.csv", "*"])
def test_the_name_of_a_run_is_a_folder(path: str) -> None:
    name = run_name(path)
    assert name.strip("-")
    assert "/" not in name
