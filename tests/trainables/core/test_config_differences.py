"""Differences of configurations, where the recorded one may be older than some keys."""

from dataclasses import dataclass
from typing import Any

import pytest

from trainables.core.config_differences import Difference, differences


@dataclass(frozen=True)
class Inner:
    lr: float = 0.1
    betas: tuple[float, ...] = (0.9, 0.99)


@dataclass(frozen=True)
class Config:
    epochs: int = 3
    optim: Inner = Inner()


@pytest.mark.parametrize(
    ("there", "here", "expected"),
    [
        ({}, {}, []),
        ({"epochs": 3}, {"optim": {"lr": 0.1, "betas": [0.9, 0.99]}}, []),
        ({}, {"optim": {"lr": 0.5}, "epochs": 4}, [("epochs", 3, 4), ("optim.lr", 0.1, 0.5)]),
        (
            {"optim": {"lr": 0.5, "betas": [0.8, 0.99]}},
            {},
            [("optim.lr", 0.5, 0.1), ("optim.betas", [0.8, 0.99], [0.9, 0.99])],
        ),
        ({"game": {"lr": 0.5}}, {}, [("optim.lr", 0.5, 0.1)]),
        ({"removed": 1}, {}, [("removed", 1, None)]),
    ],
    ids=["empty", "defaults", "new keys", "old keys", "a former name", "a key that is no more"],
)
def test_a_missing_key_has_its_default(there: dict[str, Any], here: dict[str, Any], expected: list[Any]) -> None:
    assert list(differences(Config, there, here)) == expected


def test_a_difference_is_shown_with_both_values() -> None:
    assert str(Difference("optim.lr", 0.1, 0.5)) == "optim.lr=0.5 (there: 0.1)"
