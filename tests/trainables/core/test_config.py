"""Strict configurations: values are kept exactly, and every error names its key."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trainables.core.config import (
    INPUT_PATHS,
    ConfigError,
    build,
    digest,
    plain,
    require,
    require_member,
    with_absolute_paths,
    with_values,
)
from trainables.specs import TRAINABLES

ROOT = Path(__file__).resolve().parents[3]
CHOICES = {"sum": 1, "mean": 2}


@dataclass(frozen=True)
class Optim:
    lr: float = 1e-3
    warmup_steps: int = 50
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        require(self.lr > 0, "`lr > 0`", f"lr={self.lr}")


@dataclass(frozen=True)
class Run:
    seed: int = 0
    name: str = "first"
    path: str | None = None
    clip: bool = True
    reduction: str = "mean"
    optim: Optim = field(default_factory=Optim)

    def __post_init__(self) -> None:
        require(self.seed >= 0, "`seed >= 0`", f"seed={self.seed}", "choose another")
        require_member("reduction", self.reduction, CHOICES)


OTHER = Run(seed=3, name="second", path="somewhere", clip=False, reduction="sum", optim=Optim(0.5, 7, (0.5, 0.6)))


def complaint(mapping: dict[str, Any], at: str = "") -> str:
    with pytest.raises(ConfigError) as exc_info:
        build(Run, mapping, at)
    message = str(exc_info.value)
    assert "\n" not in message
    return message


def test_missing_keys_take_the_defaults() -> None:
    assert build(Run, {}) == Run()
    assert build(Run, {"optim": {"lr": 0.5}}) == Run(optim=Optim(lr=0.5))


@pytest.mark.parametrize("config", [Run(), OTHER], ids=["defaults", "others"])
def test_plain_and_build_are_inverse(config: Run) -> None:
    mapping = plain(config)
    assert json.loads(json.dumps(mapping)) == mapping
    assert build(Run, mapping) == config


def test_a_built_configuration_has_the_declared_types_and_is_frozen() -> None:
    config = build(Run, {"seed": 4, "optim": {"lr": 1}})
    assert isinstance(config.optim, Optim)
    assert isinstance(config.optim.lr, float)
    assert config.optim.betas == (0.9, 0.999)  # a tuple, not the list of a YAML file
    assert hash(config) == hash(Run(seed=4, optim=Optim(lr=1.0)))
    with pytest.raises(AttributeError):
        config.seed = 5  # type: ignore[misc]


def test_builds_are_independent_of_earlier_ones() -> None:
    assert build(Run, plain(OTHER)) == OTHER
    assert build(Run, {}) == Run()


def test_build_does_not_change_its_input() -> None:
    mapping = {"seed": 1, "optim": {"lr": 0.5}}
    build(Run, mapping)
    assert mapping == {"seed": 1, "optim": {"lr": 0.5}}


@pytest.mark.parametrize(
    ("mapping", "key", "close"),
    [({"sed": 1}, "sed", "seed"), ({"optim": {"lrr": 1.0}}, "optim.lrr", "lr"), ({"optimm": {}}, "optimm", "optim")],
)
def test_an_unknown_key_names_itself_and_a_close_match(mapping: dict[str, Any], key: str, close: str) -> None:
    assert complaint(mapping) == f"unknown key {key}; did you mean `{close}`?"
    assert complaint(mapping, at="trainable").startswith(f"unknown key trainable.{key}; ")


def test_an_unknown_key_like_no_other_lists_the_keys_of_its_section() -> None:
    assert complaint({"optim": {"zzz": 1}}) == "unknown key optim.zzz; known keys: lr, warmup_steps, betas"
    assert complaint({"zzz": 4}).startswith("unknown key zzz; known keys: seed, name, ")


def test_a_list_without_brackets_is_shown_with_them() -> None:
    law = "expected `optim.betas` to be a list of float, but got optim.betas=0.9"
    assert complaint({"optim": {"betas": 0.9}}) == f"{law}; put brackets around it, as optim.betas=[0.9]"


@pytest.mark.parametrize(
    ("mapping", "key", "kind", "got"),
    [
        ({"seed": "many"}, "seed", "an int", "many"),
        ({"seed": 2.5}, "seed", "an int", "2.5"),
        ({"seed": True}, "seed", "an int", "True"),
        ({"seed": None}, "seed", "an int", "null"),
        ({"clip": "perhaps"}, "clip", "a bool", "perhaps"),
        ({"name": [1]}, "name", "a str", "[1]"),
        ({"optim": {"lr": "fast"}}, "optim.lr", "a float", "fast"),
        ({"optim": {"lr": {"a": 1}}}, "optim.lr", "a float", "{'a': 1}"),
        ({"optim": {"warmup_steps": 0.5}}, "optim.warmup_steps", "an int", "0.5"),
        ({"optim": {"betas": [0.9, "a"]}}, "optim.betas", "a list of float", "[0.9, 'a']"),
        ({"optim": {"betas": {"a": 1}}}, "optim.betas", "a list of float", "{'a': 1}"),
        ({"optim": None}, "optim", "a group of keys", "null"),
        ({"name": "x", "optim": 3}, "optim", "a group of keys", "3"),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_named_by_its_key(mapping: dict[str, Any], key: str, kind: str, got: str) -> None:
    assert complaint(mapping) == f"expected `{key}` to be {kind}, but got {key}={got}"
    below = f"trainable.{key}"
    assert complaint(mapping, at="trainable") == f"expected `{below}` to be {kind}, but got {below}={got}"


def test_a_constraint_of_the_config_is_reported_with_its_key() -> None:
    law = "expected `seed >= 0`, but got seed=-1; choose another"
    assert complaint({"seed": -1}) == law
    assert complaint({"seed": -1}, at="trainable") == f"trainable: {law}"
    assert complaint({"optim": {"lr": -1}}, at="trainable").startswith("trainable.optim: expected `lr > 0`")


def test_a_choice_that_does_not_exist_lists_those_that_do() -> None:
    assert complaint({"reduction": "max"}) == "expected `reduction` in {mean, sum}, but got reduction=max"


@pytest.mark.parametrize(("holds", "remedy"), [(True, ""), (False, ""), (False, "do so")])
def test_require_raises_if_and_only_if_the_law_is_broken(holds: bool, remedy: str) -> None:
    if holds:
        require(holds, "`a < b`", "a=2, b=1", remedy)
        return
    with pytest.raises(ConfigError) as exc_info:
        require(holds, "`a < b`", "a=2, b=1", remedy)
    assert str(exc_info.value) == "expected `a < b`, but got a=2, b=1" + (f"; {remedy}" if remedy else "")


def test_dotted_keys_replace_single_values_of_a_copy() -> None:
    mapping: dict[str, Any] = {"seed": 0, "optim": {"lr": 1.0, "deep": {"a": 1, "b": 2}}}
    expected = {"seed": 0, "optim": {"lr": 0.5, "deep": {"a": 1, "b": 9}, "new": 4}, "other": {"c": 3}}
    before = json.dumps(mapping)
    assert with_values(mapping, {"optim.lr": 0.5, "optim.deep.b": 9, "optim.new": 4, "other.c": 3}) == expected
    assert json.dumps(mapping) == before


def test_a_digest_ignores_the_order_of_keys_and_nothing_else() -> None:
    value = {"a": 1, "b": {"c": [1, 2], "d": None}}
    assert digest(value) == digest({"b": {"d": None, "c": [1, 2]}, "a": 1})
    changed = [{**value, "a": 2}, {**value, "a": 1.5}, {**value, "b": {"c": [2, 1], "d": None}}, {"a": 1}, [value]]
    assert len({digest(value), *map(digest, changed)}) == 1 + len(changed)


def test_a_digest_is_the_same_in_another_process() -> None:
    value = plain(OTHER)
    code = f"import json; from trainables.core.config import digest; print(digest(json.loads({json.dumps(value)!r})))"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(value)


def test_input_paths_are_made_absolute_and_nothing_else_is_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"seed": 3, "data": {"source": "table", "path": "own.csv"}, "negatives": {"served_folder": "", "bots": 1.0}}
    found = with_absolute_paths(given)
    assert found == {**given, "data": {"source": "table", "path": str(tmp_path / "own.csv")}}
    assert with_absolute_paths(found) == found
    assert with_absolute_paths({"path": None}) == {"path": None}


@pytest.mark.parametrize("name", list(TRAINABLES))
def test_every_key_that_names_an_input_is_known(name: str) -> None:
    keys = {key for mapping in _mappings(plain(TRAINABLES[name].config())) for key in mapping}
    assert {key for key in keys if key == "path" or key.endswith(("_checkpoint", "_folder", "_path"))} <= set(
        INPUT_PATHS
    )


def _mappings(mapping: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [value for value in mapping.values() if isinstance(value, dict)]
    return [mapping, *(found for value in inner for found in _mappings(value))]
