"""Bounds: each side of an end, NaN never, each entry of a tuple, None not at all, and the texts of both."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from trainables.core.bounds import (
    Betas,
    Bound,
    Choice,
    Distinct,
    FiniteFloat,
    Length,
    PositiveFloat,
    Range,
    Share,
    Text,
    bounds_of,
    check,
)
from trainables.core.config import ConfigError, build


@dataclass(frozen=True)
class Config:
    lr: PositiveFloat = 1e-3
    share: Share | None = None
    range: Annotated[tuple[Share, ...], Length(2, 2)] | None = None
    betas: Betas = (0.9, 0.99)
    reach: FiniteFloat = 0.0
    sampler: Annotated[str, Choice({"ddim": 1, "dpmpp_2m": 2})] = "ddim"
    space: Annotated[str, Choice(("gan", "diffusion"), or_empty=True)] = ""
    families: Annotated[tuple[Annotated[str, Choice(("pid", "noise"))], ...], Distinct()] = ()
    ckpt: Annotated[str, Text("a checkpoint folder", remedy="add ckpt=FOLDER")] = "x"
    name: str = ""

    def __post_init__(self) -> None:
        check(self)


def refusal(**values: Any) -> str:
    with pytest.raises(ConfigError) as exc_info:
        build(Config, values)
    return str(exc_info.value)


@pytest.mark.parametrize(
    ("end", "inside", "outside"),
    [("gt", 0.1, 0.0), ("ge", 0.0, -0.1), ("lt", -0.1, 0.0), ("le", 0.0, 0.1)],
)
def test_an_end_is_left_out_or_included(end: str, inside: float, outside: float) -> None:
    interval = Range(**{end: 0})
    assert interval.holds(inside)
    assert not interval.holds(outside)


@pytest.mark.parametrize("interval", [Range(), Range(gt=0), Range(lt=math.inf), Range(ge=0, le=1)], ids=str)
def test_nan_is_in_no_interval(interval: Range) -> None:
    assert not interval.holds(math.nan)


@pytest.mark.parametrize(
    ("bound", "law", "text"),
    [
        (Range(gt=0, lt=math.inf), "`0 < x < inf`", "> 0"),
        (Range(ge=0, lt=1), "`0 <= x < 1`", ">= 0 and < 1"),
        (Range(ge=1), "`x >= 1`", ">= 1"),
        (Range(le=2.5), "`x <= 2.5`", "<= 2.5"),
        (Range(gt=-math.inf, lt=math.inf), "`x` to be finite", "finite"),
        (Range(), "any `x`", "any"),
        (Range(lt=2**53), "`x < 9007199254740992`", "< 9007199254740992"),
        (Choice(("b", "a", "b")), "`x` in {a, b}", "a | b"),
        (Length(), "`x` to have 1 or more entries", "1 or more entries"),
        (Length(2, 2), "`x` to have 2 entries", "2 entries"),
        (Length(1, 3), "`x` to have 1 to 3 entries", "1 to 3 entries"),
        (Distinct(), "`x` to name each entry once", "each once"),
        (Text("a folder"), "`x` to be a folder", "a folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_bound_reads_as_a_law_and_behind_a_type(bound: Bound, law: str, text: str) -> None:
    assert (bound.law("x"), str(bound)) == (law, text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": 0.0}, "expected `0 < lr < inf`, but got lr=0.0"),
        ({"share": 1.5}, "expected `0 <= share <= 1`, but got share=1.5"),
        ({"betas": [0.9, 1.0]}, "expected `0 <= betas < 1`, but got betas=1.0"),
        ({"betas": [0.9]}, "expected `betas` to have 2 entries, but got betas=[0.9]"),
        ({"betas": [0.9, 0.9, 0.9]}, "expected `betas` to have 2 entries, but got betas=[0.9, 0.9, 0.9]"),
        ({"range": [0.5]}, "expected `range` to have 2 entries, but got range=[0.5]"),
        ({"reach": math.inf}, "expected `reach` to be finite, but got reach=inf"),
        ({"sampler": "euler"}, "expected `sampler` in {ddim, dpmpp_2m}, but got sampler=euler"),
        ({"sampler": ""}, "expected `sampler` in {ddim, dpmpp_2m}, but got an empty text"),
        ({"space": "vae"}, "expected `space` in {diffusion, gan}, but got space=vae"),
        ({"families": ["pid", "wind"]}, "expected `families` in {noise, pid}, but got families=wind"),
        ({"families": ["pid", "pid"]}, "expected `families` to name each entry once, but got families=[pid, pid]"),
        ({"ckpt": ""}, "expected `ckpt` to be a checkpoint folder, but got an empty text; add ckpt=FOLDER"),
    ],
    ids=str,
)
def test_the_first_broken_bound_is_one_line(values: dict[str, Any], message: str) -> None:
    assert refusal(**values) == message


def test_values_within_the_bounds_are_accepted() -> None:
    found = build(Config, {"share": 0.0, "families": ["noise", "pid"], "space": "gan"})
    assert (found.share, found.families, found.space) == (0.0, ("noise", "pid"), "gan")


def test_bounds_are_found_in_unions_and_in_the_entries_of_tuples() -> None:
    found = bounds_of(Config)
    assert [str(bound) for bound in found["betas"]] == [">= 0 and < 1", "2 entries"]
    assert [str(bound) for bound in found["share"]] == [">= 0 and <= 1"]
    assert [str(bound) for bound in found["families"]] == ["noise | pid", "each once"]
    assert "name" not in found
