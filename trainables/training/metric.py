"""One record per metric, and the set of metrics of one kind of trainable.

A record holds everything that validation, re-evaluation, reports, cards, promotion and the leaderboard need of a
metric. They read it from the set of their kind of trainable, so that a metric appears everywhere by being listed in
one place (`trainables.eval.generation.metrics`, `trainables.detector.evaluation.metrics`). The modules of the records
import neither torch nor NumPy: command lines read names and directions without waiting for either.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from trainables.training.metric_names import MINIMISED, PARAMETERS, TRAIN_LOSS

E = TypeVar("E")
SHARE = (0.0, 1.0)  # range of a share, a rate, an accuracy or an AUC
NOT_NEGATIVE = (0.0, math.inf)
UNBOUNDED = (-math.inf, math.inf)
DIGITS = 4  # of a metric that no record describes


@dataclass(frozen=True)
class Metric(Generic[E]):
    """One metric, computed from an evaluation `E` (samples beside real movements, or the scores of a detector).

    Attributes:
        name: As it is logged, searched and stored, "val/mmd".
        direction: "minimize" or "maximize", as Optuna spells them.
        description: One sentence: what it measures, and what its ends mean.
        title: Head of a table's column; empty: the name.
        symbol: In reports; empty: the title.
        digits: Decimal places.
        range: Smallest and largest value that it can take; intervals stay inside.
        chance: The value of samples that cannot be distinguished; None where there is none.
        compute: The value, None where the evaluation has nothing to compute it from. No function: the training loop
            reports it itself.
        breakdown: Further values under names of their own, by column or by family.
        per_user: A function of the row numbers of the evaluated movements, for the jackknife over users: nothing is
            fitted again for a part of the rows. None: not re-evaluated.
        cheap: Whether it is computed after every epoch; others wait for the re-evaluation.
        reported: Whether trials report it, so that a search may optimise it; others come with a re-evaluation alone.
    """

    name: str
    direction: str
    description: str
    title: str = ""
    symbol: str = ""
    digits: int = DIGITS
    range: tuple[float, float] = UNBOUNDED
    chance: float | None = None
    compute: Callable[[E], float | None] | None = None
    breakdown: Callable[[E], Mapping[str, float]] | None = None
    per_user: Callable[[E], Callable[[Any], float]] | None = None
    cheap: bool = True
    reported: bool = True

    @property
    def minimised(self) -> bool:
        """Whether smaller is better."""
        return self.direction == MINIMISED

    @property
    def column(self) -> str:
        """Head of a table's column."""
        return self.title or self.name


MODEL_SIZE: Metric[Any] = Metric(PARAMETERS, MINIMISED, "Number of the network's parameters.")
TRAINING_LOSS: Metric[Any] = Metric(TRAIN_LOSS, MINIMISED, "Mean loss of the epoch's optimisation steps.", title="loss")


def compute_all(metrics: tuple[Metric[E], ...], evaluation: E) -> dict[str, float]:
    """Every cheap metric of an evaluation with its breakdown, by name; without those that it has no value for."""
    values: dict[str, float] = {}
    for metric in metrics:
        if metric.compute is None or not metric.cheap:
            continue
        value = metric.compute(evaluation)
        if value is not None:
            values[metric.name] = value
        if metric.breakdown is not None:
            values |= metric.breakdown(evaluation)
    return values


@dataclass(frozen=True)
class MetricSet:
    """The metrics of one kind of trainable, and how tables and reports describe them.

    Attributes:
        metrics: All of them.
        headline: Name of the one that orders the leaderboard, and that a search minimises.
        tie_breaker: Name of the one that decides between equal headlines, and is shown beside it.
        fallback_metrics: Names of those that order the epochs of a run that has neither.
        axis_title: Label of the headline's axis: "0.5: indistinguishable".
        headline_title: The headline as a table's title.
        description: The headline in sentences, for a report.
        compared_with: What the metrics of the validation split are measured against.
        resampled: What a new seed draws anew when a checkpoint is re-evaluated.
        plot_subject: What the plots of the best trial show.
        evaluate_command: The module that evaluates a checkpoint in depth, ckpt=FOLDER.
        recommended: Checkpoint of a run to use, "best" or "last": the best epoch where validation orders epochs well.
    """

    metrics: tuple[Metric[Any], ...]
    headline: str
    tie_breaker: str
    axis_title: str
    headline_title: str
    description: str
    compared_with: str
    resampled: str
    plot_subject: str
    evaluate_command: str
    fallback_metrics: tuple[str, ...] = ()
    recommended: str = "best"

    def __getitem__(self, name: str) -> Metric[Any]:
        """The record of a metric of this set; KeyError where it has none of that name."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)

    @property
    def shown(self) -> tuple[str, str]:
        """Names of the metrics that tables show."""
        return self.headline, self.tie_breaker

    @property
    def title(self) -> str:
        """The headline in the head of a table's column."""
        return self[self.headline].column

    @property
    def epoch_order(self) -> tuple[str, ...]:
        """Names of the metrics by which the epochs of a run are ordered, the smallest first."""
        return (self.headline, self.tie_breaker, *self.fallback_metrics)
