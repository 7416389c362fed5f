"""Configuration of a critic's evaluation, without torch."""

from dataclasses import dataclass
from typing import Annotated

from trainables.core.bounds import AnyInt, Checkpoint, Choice, PositiveInt, check

REFUSED_SPLITS = {"holdout": "the holdout split is reserved for the promotion"}
CriticSplit = Annotated[str, Choice(("test", "validation"), remedies=REFUSED_SPLITS)]
"""Split that a critic may be evaluated on."""


@dataclass(frozen=True)
class CriticEvaluationCommand:
    """Critic and goals of an evaluation."""

    ckpt: Checkpoint = ""  # checkpoint folder of the critic
    out_dir: str = "evaluation"  # folder to write
    split: CriticSplit = "test"  # split of the recordings
    eval_seeds: PositiveInt = 3  # sets of transitions and goals, over which the metrics are means
    seed: AnyInt = 7  # seed of the first of them

    def __post_init__(self) -> None:
        check(self)
