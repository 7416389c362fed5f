"""The evaluation of one model, and whether a cycle improved it: by the headline, paired over validation users.

A cycle counts if the lower bound of the improvement exceeds the margin. The improvement is the difference of the two
jackknives, user by user, so that what makes a user hard for both versions cancels, and the bound is the one-sided one
of Student's t. Both versions are evaluated under the conditions of the same movements with the same seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainables.cotraining.config import CotrainingConfig
from trainables.data.canonical import Canonical
from trainables.eval.generation.metrics.two_sample import excess_per_user
from trainables.eval.generation.validator import Validator, metrics_of
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval, jackknife


@dataclass(frozen=True)
class SideEvaluation:
    """Metrics of one model, and its headline with and without each validation user.

    Attributes:
        headline: None where more than half of the samples are no movements.
    """

    metrics: Mapping[str, float]
    headline: JackknifeEstimate | None

    @classmethod
    def of(cls, validator: Validator, fake: Canonical, more: Mapping[str, float]) -> "SideEvaluation":
        """Evaluate samples, one per held-out movement of the validation users.

        Args:
            more: Further metrics of the model.
        """
        found = validator.evaluations(fake)
        metrics = {**more, **metrics_of(found)}
        if not all(evaluation.evaluable for evaluation in found.values()):
            return cls(metrics, None)
        owners = validator.held_out.group
        statistic = validator.mean_over_sources({name: excess_per_user(part) for name, part in found.items()})
        return cls(metrics, jackknife(statistic, owners, sorted(set(owners))))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, for the record of a checkpoint."""
        headline = None if self.headline is None else {"value": self.headline.value, "without": self.headline.without}
        return {"metrics": dict(self.metrics), "headline": headline}

    @classmethod
    def of_json(cls, plain: Mapping[str, Any]) -> "SideEvaluation":
        """Inverse of `to_json`."""
        found = plain["headline"]
        headline = None if found is None else JackknifeEstimate(found["value"], tuple(found["without"]))
        return cls(plain["metrics"], headline)


@dataclass(frozen=True)
class Decision:
    """Whether the version of a cycle is kept.

    Attributes:
        improvement, low: Of the headline, and its lower bound; None where a version has no headline.
    """

    kept: bool
    reason: str
    improvement: float | None = None
    low: float | None = None


def decide(before: SideEvaluation, after: SideEvaluation, config: CotrainingConfig) -> Decision:
    """Return whether a cycle improved a model by more than the margin."""
    if not config.exchanges:
        return Decision(True, "nothing was exchanged")
    if after.headline is None:
        return Decision(False, "more than half of the samples are no movements")
    if before.headline is None:
        return Decision(True, "more than half of the samples were no movements before")
    found = interval(difference(before.headline, after.headline), 2 * config.confidence - 1)
    kept = found.low > config.margin
    sign = ">" if kept else "<="
    reason = f"lower bound of the improvement {found.low:.4f} {sign} margin {config.margin:g}"
    return Decision(kept, reason, found.value, found.low)


def better_side(evaluations: Mapping[str, SideEvaluation], asked: str) -> str:
    """Return the model that a checkpoint samples from: the one asked for, else that of the smaller headline."""
    if asked in evaluations:
        return asked
    known = {side: found.headline.value for side, found in evaluations.items() if found.headline is not None}
    return min(known, key=known.__getitem__) if known else next(iter(evaluations))
