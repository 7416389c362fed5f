"""Every key of a configuration, as help and reference print it."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import AnyInt, Choice, PositiveFloat, PositiveInt, check
from trainables.core.fields import Group, Key, comments, defaults, groups_of


@dataclass(frozen=True)
class Optim:
    """AdamW.

    A second paragraph is for readers of the code.
    """

    lr: PositiveFloat = 2e-3  # learning rate: "2e-4" suits longer runs
    # the first line of two
    # and the second
    betas: tuple[float, ...] = (0.9, 0.999)
    silent: bool = True

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Config:
    """One run,
    in two lines."""

    seed: AnyInt = 0  # seed of everything
    fast: Optim = field(default_factory=lambda: Optim(lr=1.0))  # the comment of a group is for readers of the code
    steps: PositiveInt | None = None  # steps; é and ü: 4 µs
    loss: Annotated[str, Choice(("mse", "huber"))] = "mse"  # loss function
    optim: Optim = field(default_factory=Optim)

    def __post_init__(self) -> None:
        check(self)


def test_own_keys_come_first_and_groups_follow_with_their_place_and_their_own_defaults() -> None:
    outer, fast, optim = groups_of(Config)
    assert outer == Group(
        "",
        "One run, in two lines.",
        (
            Key("seed", "int", 0, "any", "seed of everything"),
            Key("steps", "int or null", None, ">= 1", "steps; é and ü: 4 µs"),
            Key("loss", "str", "mse", "huber | mse", "loss function"),
        ),
    )
    assert (fast.name, fast.about, optim.name) == ("fast", "AdamW.", "optim")
    assert [key.name for key in fast.keys] == ["fast.lr", "fast.betas", "fast.silent"]
    assert (fast.keys[0].default, optim.keys[0].default) == (1.0, 2e-3)


def test_a_comment_is_behind_its_field_or_above_it() -> None:
    assert comments(Optim) == {
        "lr": 'learning rate: "2e-4" suits longer runs',
        "betas": "the first line of two and the second",
    }


def test_a_group_may_be_below_another_key() -> None:
    (group,) = groups_of(Optim, "trainable.optim")
    assert [key.name for key in group.keys] == ["trainable.optim.lr", "trainable.optim.betas", "trainable.optim.silent"]
    assert [key.kind for key in group.keys] == ["float", "list of float", "bool"]


def test_defaults_are_plain_and_are_not_checked_against_their_bounds() -> None:
    @dataclass(frozen=True)
    class Refused:
        ckpt: Annotated[str, Choice(("given",))] = ""

        def __post_init__(self) -> None:
            raise AssertionError

    assert defaults(Refused) == {"ckpt": ""}
    inner = {"lr": 1.0, "betas": [0.9, 0.999], "silent": True}
    assert defaults(Config) == {
        "seed": 0,
        "fast": inner,
        "steps": None,
        "loss": "mse",
        "optim": {**inner, "lr": 2e-3},
    }
