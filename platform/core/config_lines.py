"""Lines that train on recordings: the command, and the same keys as YAML for a file in configs/."""

import re
import shlex
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from trainables.data.config import DataConfig

PLAIN = re.compile(r"[a-z_/.*][\w/.*?@%+:-]*", re.ASCII | re.IGNORECASE)  # what Hydra reads as a text without quotes
NO_TEXT = {"null", "true", "false", "inf", "nan"}


def data_keys(source: str, path: str | None, time_unit: str, sequence_length: int) -> dict[str, Any]:
    """Return the keys of a configuration that reads some recordings, without those that are at their defaults."""
    own = DataConfig()
    found: dict[str, Any] = {"trainable.data.source": source}
    if path:
        found["trainable.data.path"] = path
    if time_unit != own.time_unit:
        found["trainable.data.time_unit"] = time_unit
    if sequence_length != own.canonical.sequence_length:
        found["trainable.data.canonical.sequence_length"] = sequence_length
    return found


def train_command(name: str, keys: Mapping[str, Any]) -> str:
    """Return the command of a run on recordings, for a shell.

    >>> print(train_command("my-lab", {"trainable.data.source": "table", "trainable.data.path": "my lab"}))
    python -m platform.train name=my-lab trainable.data.source=table "trainable.data.path='my lab'"
    """
    words = [f"{key}={hydra_value(value)}" for key, value in {"name": name, **keys}.items()]
    return " ".join(["python -m platform.train", *map(_for_shell, words)])


def _for_shell(word: str) -> str:
    """Return a word as a shell takes it, in double quotes where it holds single ones and nothing that these change."""
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)


def yaml_block(keys: Mapping[str, Any]) -> str:
    """Return nested keys as YAML.

    >>> print(yaml_block({"trainable.data.source": "table", "trainable.data.time_unit": "s"}), end="")
    trainable:
      data:
        source: table
        time_unit: s
    """
    tree: dict[str, Any] = {}
    for key, value in keys.items():
        *groups, leaf = key.split(".")
        inner: dict[str, Any] = reduce(lambda node, group: node.setdefault(group, {}), groups, tree)
        inner[leaf] = value
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def run_name(path: str) -> str:
    """Return a name for a run on recordings.

    >>> run_name("lab/**/*.mt"), run_name("my recordings.csv"), run_name("*.csv")
    ('lab', 'my-recordings', 'own')
    """
    parts = [part for part in Path(path).parts if not set("*?[") & set(part)]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(parts[-1]).stem if parts else "").strip("-") or "own"


def hydra_value(value: object) -> str:
    """Return a value as Hydra's overrides write it, in quotes where it might be read as something else.

    >>> hydra_value(128), hydra_value("a.csv"), hydra_value("it's, here"), hydra_value("7")
    ('128', 'a.csv', "'it\\\\'s, here'", "'7'")
    """
    text = str(value)
    if not isinstance(value, str) or (PLAIN.fullmatch(text) and text.lower() not in NO_TEXT):
        return text
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (r"\'" if found[2] else ""), text)
    return f"'{escaped}'"
