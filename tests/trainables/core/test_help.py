"""The text of `--help`, whole, of a small command; what a terminal adds to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest

from trainables.core import cli, command
from trainables.core.bounds import Choice, NonNegativeFloat, PositiveInt, Text
from trainables.core.cli import parse
from trainables.core.command import Command
from trainables.core.help import help_text


@dataclass(frozen=True)
class Oven:
    """Settings of the oven.

    Used by every recipe.
    """

    # temperature of the air, in degrees Celsius, which most recipes of the nineteenth century leave out, since no oven
    # had a thermometer
    celsius: NonNegativeFloat = 180.0
    programme: Annotated[str, Choice(("air", "grill"))] = "air"  # where the heat is from


@dataclass(frozen=True)
class Bake:
    """What is baked, and how long."""

    minutes: PositiveInt | None = None  # time in the oven
    tins: tuple[int, ...] = (1, 2)
    oven: Oven = field(default_factory=Oven)


@dataclass(frozen=True)
class Out:
    """Where it goes."""

    out_dir: Annotated[str, Text("a folder")] = "table"


@dataclass(frozen=True)
class Apple:
    """Of apples."""

    grams: PositiveInt = 300  # weight [g] of the filling


COMMAND = Command(
    module="bake",
    config_name="bake",
    about="\nBake a cake [at home].\n\n  python -m bake minutes=30\n",
    schemas={"bake_schema": (Bake, Out), "filling/apple_schema": Apple, "filling/plum_schema": Apple},
    verbs={"taste": "try a crumb"},
    switches={"--dry": "heat nothing"},
    common=("filling.grams", "minutes"),
    exit_codes={0: "baked", 3: "burnt"},
)
TEXT = """\
usage: python -m bake [VERB] [--help] [--cfg job] [--dry] [key=value ...]

Bake a cake [at home].

  python -m bake minutes=30

Verbs
  taste    try a crumb

Switches
  --dry    heat nothing

Exit codes
  0      baked
  1      the work failed
  2      wrong input
  3      burnt
  130    interrupted

Every key with its present value; override any of them as key=value.

Most used
  filling.grams=300  int >= 1          weight [g] of the filling
  minutes=5          int or null >= 1  time in the oven

Choices of whole groups of keys
  filling=apple  str apple | plum  the keys filling.* and their defaults

What is baked, and how long.
  tins=[1,2]  list of int

Where it goes.
  out_dir=table  str a folder

oven: Settings of the oven.
  oven.celsius=180.0  float >= 0       temperature of the air, in degrees Celsius, which most recipes of the nineteenth
                                       century leave out, since no oven had a thermometer
  oven.programme=air  str air | grill  where the heat is from"""


@pytest.fixture
def bakery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration folder of the test's own, with one group of two files; the test runs in no terminal."""
    (tmp_path / "bake.yaml").write_text("defaults:\n  - bake_schema\n  - filling: apple\n  - _self_\n")
    (tmp_path / "filling").mkdir()
    for name in ("apple", "plum"):
        (tmp_path / "filling" / f"{name}.yaml").write_text(f"defaults:\n  - {name}_schema\n  - _self_\n")
    for module in (cli, command):
        monkeypatch.setattr(module, "CONFIGS", tmp_path)
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bakery")
def test_the_help_holds_usage_verbs_codes_and_every_key_those_used_most_first() -> None:
    assert help_text(COMMAND, parse(COMMAND, ["minutes=5"])) == TEXT


@pytest.mark.usefixtures("bakery")
@pytest.mark.parametrize(
    ("terminal", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
    ids=["pipe", "terminal", "NO_COLOR"],
)
def test_only_a_terminal_is_coloured_and_no_color_is_respected(
    monkeypatch: pytest.MonkeyPatch, terminal: Mapping[str, str], coloured: bool
) -> None:
    for name, value in {"TERM": "xterm-256color", **terminal}.items():
        monkeypatch.setenv(name, value)
    text = help_text(COMMAND, parse(COMMAND, []))
    assert ("\x1b[36m" in text) is coloured
    assert ("\x1b[3" in text) is coloured
