"""The promotion rule: a paired test of challenger and champion on unseen users, and limits that hold in any case.

Both are evaluated on the same movements, conditions and noise, so that what makes a user hard for both cancels in their
difference; its variance is that over users, by the jackknife, and that over draws of the noise
(`trainables.eval.intervals.jackknife`). With d = challenger - champion, signed so that a positive d is worse, and u the
upper end of its one-sided interval (Student's t, Satterthwaite's degrees of freedom),

    the headline of the kind                     u < 0         it is lower: excess of AUC, or a detector's worst FNR
    other figures (MMD, precision, recall, ...)  u <= margin   it is not worse by more than the margin
    latency, a ratio                             u <= margin   distribution-free, `platform.promotion.latency`

and the challenger's own figures keep their limits. All must hold: of an intersection-union test each part is made at
the level of the whole, and none is corrected for the number of parts. The test of the headline is made at a level of
its own, which falls with the number of decisions against one champion (`platform.promotion.alpha_budget`). An excess
below zero is luck, so that a champion who stands there cannot be improved on; nor can one that misses nothing. Where
there is no champion, the limits alone decide. The limits and margins of generators stand here, those of detectors and
critics in modules beside.

References: Multiparameter Hypothesis Testing and Acceptance Sampling (Berger, 1982), theorem 1.
"""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from platform.promotion.latency import Latency
from trainables.core.bounds import NonNegativeFloat, PositiveFloat, Range, Share, check
from trainables.core.config import ConfigError, require
from trainables.eval.intervals.jackknife import Interval, JackknifeEstimate, difference, interval
from trainables.metric_registry import METRIC_SETS, METRICS, value_range
from trainables.model_evaluation.result import EvaluationResult
from trainables.training import metric_names as names

LATENCY = "latency"  # milliseconds per movement, on one thread
SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">=": operator.ge,
    ">": operator.gt,
}

Confidence = Annotated[float, Range(gt=0.5, lt=1)]
Level = Annotated[float, Range(gt=0, lt=0.5)]


class Limits(Protocol):
    """Limits of a challenger's own metrics, whichever champion it replaces."""

    @property
    def latency_ms_per_movement(self) -> float:
        """Upper limit on one thread."""

    @property
    def laws(self) -> Mapping[str, tuple[str, float]]:
        """Metric -> sign and bound."""


class Margins(Protocol):
    """Margins by which a challenger with a better headline metric may be worse in other metrics."""

    @property
    def latency_ratio(self) -> float:
        """Time of the challenger over time of the champion."""

    @property
    def figures(self) -> Mapping[str, float]:
        """Metric -> how much worse than the champion's it may be."""


@dataclass(frozen=True)
class LimitsConfig:
    """Limits of a challenger's own metrics, whichever champion it replaces."""

    # largest excess of the AUC over its floor; the best of a default sweep reads 0.13, an untrained model 0.46
    auc_excess: Share = 0.30
    memorised_share: Share = 0.05  # largest share of memorised samples; other users score 0.01, a copied training set 1
    precision: Share = 0.5  # smallest precision; halves of real movements read 0.90
    recall: Share = 0.5  # smallest recall; halves of real movements read 0.90
    # largest time per movement, in milliseconds, on one thread; the default model takes about 15
    latency_ms_per_movement: PositiveFloat = 200.0

    def __post_init__(self) -> None:
        check(self)

    @property
    def laws(self) -> Mapping[str, tuple[str, float]]:
        """Metric -> sign and bound."""
        return {
            names.VAL_AUC_EXCESS: ("<=", self.auc_excess),
            names.VAL_MEMORISED_SHARE: ("<=", self.memorised_share),
            names.VAL_PRECISION: (">=", self.precision),
            names.VAL_RECALL: (">=", self.recall),
        }


@dataclass(frozen=True)
class MarginsConfig:
    """Margins by which a challenger with a lower headline may be worse in other metrics."""

    # by which MMD may be larger; four in five equal pairs keep it (`benchmarks.decisions`)
    mmd: NonNegativeFloat = 0.02
    precision: NonNegativeFloat = 0.1  # by which precision may be smaller
    recall: NonNegativeFloat = 0.1  # by which recall may be smaller
    memorised_share: NonNegativeFloat = 0.03  # by which the share of memorised samples may be larger
    latency_ratio: NonNegativeFloat = 1.5  # largest time of the challenger over the time of the champion

    def __post_init__(self) -> None:
        check(self)

    @property
    def figures(self) -> Mapping[str, float]:
        """Metric -> how much worse than the champion's it may be."""
        return {
            names.VAL_MMD: self.mmd,
            names.VAL_PRECISION: self.precision,
            names.VAL_RECALL: self.recall,
            names.VAL_MEMORISED_SHARE: self.memorised_share,
        }


@dataclass(frozen=True)
class Rule:
    """Limits, margins, and the confidence of the bounds.

    Attributes:
        alpha: Level of the test that the headline is lower; None: 1 - confidence.
    """

    confidence: Confidence = 0.95
    limits: Limits = LimitsConfig()
    margins: Margins = MarginsConfig()
    alpha: Level | None = None

    def __post_init__(self) -> None:
        check(self)

    @property
    def headline_confidence(self) -> float:
        """Confidence that the headline metric is lower."""
        return self.confidence if self.alpha is None else 1 - self.alpha

    @property
    def two_sided(self) -> float:
        """Confidence of the two-sided interval whose ends are the one-sided bounds."""
        return 2 * self.confidence - 1


@dataclass(frozen=True)
class Check:
    """One requirement of the rule, and whether it was met.

    Attributes:
        figure: The metric, by its name in `trainables.training.metric_names`, or `LATENCY`.
        law: The requirement on `value`, in words.
        value: The value compared with the limit; None where it was not computed.
    """

    figure: str
    law: str
    value: float | None
    limit: float
    held: bool

    def failure(self) -> str:
        """Return what is wrong and by how much, for a message."""
        if self.value is None:
            return f"{self.figure}: expected `{self.law}`, but it was not computed"
        missed = abs(self.value - self.limit)
        return f"{self.figure}: expected `{self.law}`, but got {self.value:.4f}, off by {missed:.4f}"


@dataclass(frozen=True)
class Figure:
    """A metric of both sides, with intervals whose ends are one-sided bounds; None where it was not computed."""

    challenger: Interval | None
    champion: Interval | None
    difference: Interval | None


@dataclass(frozen=True)
class Decision:
    """A promotion decision with its reason, metrics and checks."""

    promoted: bool
    reason: str
    figures: Mapping[str, Figure]
    checks: tuple[Check, ...]


def decide(challenger: EvaluationResult, champion: EvaluationResult | None, latency: Latency, rule: Rule) -> Decision:
    """Return the decision about a challenger; by the limits alone where there is no champion.

    Raises:
        ConfigError: fewer than two groups, or the two were not evaluated on the same movements under the same noise.
    """
    require(len(challenger.users) >= 2, "`users >= 2`", str(len(challenger.users)), "evaluate on more users")
    if champion is not None:
        require_comparable(challenger, champion)
    checks = (*_limits(challenger, latency, rule.limits), *_paired(challenger, champion, latency, rule))
    promoted = all(check.held for check in checks)
    reason = _gain(challenger, champion, rule) if promoted else "; ".join(c.failure() for c in checks if not c.held)
    return Decision(promoted, reason, figures_of(challenger, champion, rule.two_sided), checks)


def require_comparable(challenger: EvaluationResult, champion: EvaluationResult) -> None:
    """Raise `ConfigError` unless both evaluations are of the same movements under the same noise."""
    for name in ("data_sha256", "split", "users", "movements", "seeds"):
        mine, theirs = getattr(challenger, name), getattr(champion, name)
        if mine != theirs:
            raise ConfigError(
                f"expected {name} to be that of the champion, {theirs}, but got {mine}; "
                "evaluate both on the same data, or start another registry with another storage_path"
            )


def figures_of(challenger: EvaluationResult, champion: EvaluationResult | None, confidence: float) -> dict[str, Figure]:
    """Return every metric of either side, with two-sided intervals."""
    found: dict[str, Figure] = {}
    for name in {**challenger.metrics, **(champion.metrics if champion else {})}:
        mine = challenger.metrics.get(name)
        theirs = champion.metrics.get(name) if champion else None
        paired = difference(mine, theirs) if mine and theirs else None
        found[name] = Figure(
            None if mine is None else interval(mine, confidence, value_range(name)),
            None if theirs is None else interval(theirs, confidence, value_range(name)),
            None if paired is None else interval(paired, confidence),
        )
    return found


def _limits(challenger: EvaluationResult, latency: Latency, limits: Limits) -> Iterator[Check]:
    """Check the challenger's own metrics against their limits, which are for the metric and not for its interval."""
    for name, (sign, limit) in limits.laws.items():
        yield _check(name, "challenger", sign, limit, _value(challenger, name))
    yield _check(LATENCY, "challenger", "<=", limits.latency_ms_per_movement, latency.challenger_ms)


def _paired(
    challenger: EvaluationResult, champion: EvaluationResult | None, latency: Latency, rule: Rule
) -> Iterator[Check]:
    """Check the challenger against the champion; nothing where there is none."""
    if champion is None:
        return
    headline, margins = METRIC_SETS[challenger.kind].headline, rule.margins.figures
    best = METRICS[headline].chance
    best = METRICS[headline].range[0] if best is None else best
    yield _check(headline, "champion", ">", best, _value(champion, headline))
    lower = [(headline, "<", 0.0, rule.headline_confidence)]
    for name, sign, margin, sure in [*lower, *((name, "<=", m, rule.confidence) for name, m in margins.items())]:
        worsening = "challenger - champion" if _minimised(name) else "champion - challenger"
        value = _worsening(challenger, champion, name, sure)
        yield _check(name, f"{_bound(sure)} {worsening}", sign, margin, value)
    ratio = latency.ratio_bound(rule.confidence)
    yield _check(LATENCY, f"{_bound(rule.confidence)} challenger / champion", "<=", rule.margins.latency_ratio, ratio)


def _check(figure: str, subject: str, sign: str, limit: float, value: float | None) -> Check:
    return Check(figure, f"{subject} {sign} {limit:g}", value, limit, value is not None and SIGNS[sign](value, limit))


def _bound(confidence: float) -> str:
    return f"upper {100 * confidence:.4g} % bound of"


def _minimised(name: str) -> bool:
    return METRICS[name].minimised


def _worsening(challenger: EvaluationResult, champion: EvaluationResult, name: str, confidence: float) -> float | None:
    """Return the upper one-sided bound of how much worse the challenger's metric is; None where it is not known."""
    mine, theirs = challenger.metrics.get(name), champion.metrics.get(name)
    if mine is None or theirs is None:
        return None
    worse = difference(mine, theirs) if _minimised(name) else difference(theirs, mine)
    return _finite(interval(worse, 2 * confidence - 1).high)


def _value(evaluation: EvaluationResult, name: str) -> float | None:
    figure: JackknifeEstimate | None = evaluation.metrics.get(name)
    return None if figure is None else _finite(figure.value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _gain(challenger: EvaluationResult, champion: EvaluationResult | None, rule: Rule) -> str:
    """Return why a challenger was promoted, in a sentence."""
    headline = METRIC_SETS[challenger.kind].headline
    mine = challenger.metrics[headline]
    if champion is None:
        return f"the first champion: {headline} is {mine.value:.4f}, and every limit holds"
    theirs = champion.metrics[headline]
    confidence = rule.headline_confidence
    gain, sure = interval(difference(theirs, mine), 2 * confidence - 1), f"{100 * confidence:.4g} % confidence"
    return (
        f"{headline} is {mine.value:.4f} against the champion's {theirs.value:.4f}: lower by {gain.value:.4f}, "
        f"with {sure} by {gain.low:.4f} or more; nothing else is worse than its margin"
    )


def to_json(decision: Decision) -> dict[str, Any]:
    """Return a decision as a plain mapping, with None for what is not finite."""
    return {
        "decision": "promoted" if decision.promoted else "refused",
        "reason": decision.reason,
        "figures": {
            name: {side: found and _interval_json(found) for side, found in vars(figure).items()}
            for name, figure in decision.figures.items()
        },
        "checks": [vars(check) for check in decision.checks],
    }


def _interval_json(found: Interval) -> dict[str, float | None]:
    return {key: _finite(value) for key, value in vars(found).items()}
