"""How well scores tell bots from people: rates at every threshold, the figures of the field, and a fixed threshold.

"Positive" is a bot, and a score is larger the likelier it is one. A threshold accuses what lies strictly above it:

    TPR(s) = share of bots with score > s: caught          FPR(s) = share of people with score > s: accused

The figures are functions of the `Curve`, both rates at every distinct score, so that rows of equal score move together
and ties count by halves in the area. All take rows of weights, one replicate each (see `bootstrap`): one sort serves
all of them.

A threshold is fixed on people who took no part in the training, before any figure is read, and then applied unchanged.
Of n people k = floor(target n) may be accused, and the threshold is the (k + 1)-th largest score: with ties fewer are
accused, never more. Of new people, if they are exchangeable with these, (k + 1) / (n + 1) are accused in expectation:
a target below 1 / (n + 1) is met on these n people, by accusing none, but it cannot be resolved by them.

References: An introduction to ROC analysis (Fawcett, 2006), doi:10.1016/j.patrec.2005.10.010. For (k + 1) / (n + 1):
Algorithmic Learning in a Random World (Vovk, Gammerman & Shafer, 2005), proposition 2.2.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.eval.intervals.cluster_bootstrap import Estimate, cluster_weights, estimate
from trainables.eval.intervals.config import BootstrapConfig

ROUNDING = 1e-9  # of target times n: 0.29 x 100 is 28.999999999999996 in floating point, and 29 people
CHUNK = 250  # replicates at a time: their weights and sums over 5,000 rows take 40 MB


@dataclass(frozen=True)
class Threshold:
    """A threshold with what it was fixed on.

    Attributes:
        target_fpr: Share of people that may be accused.
        value: A score strictly above it is an accusation.
        accused: Of the `people` that it was fixed on.
    """

    target_fpr: float
    value: float
    accused: int
    people: int

    @property
    def expected_fpr(self) -> float:
        """(k + 1) / (n + 1): of new people who are exchangeable with these; above the target by up to 1 / (n + 1)."""
        return (_allowed(self.target_fpr, self.people) + 1) / (self.people + 1)

    @property
    def is_resolved(self) -> bool:
        """Whether n people are enough to tell the target from zero: 1 / (n + 1) <= target."""
        return self.target_fpr * (self.people + 1) >= 1


@dataclass(frozen=True, eq=False)
class Curve:
    """Weights of the bots caught and the people accused at each distinct score, strictest first.

    The first column accuses nobody, the last everybody; a row per replicate.
    """

    caught: Float[Tensor, "R L"]
    accused: Float[Tensor, "R L"]

    @property
    def tpr(self) -> Float[Tensor, "R L"]:
        """Share of bots caught; NaN in a replicate without bots."""
        return self.caught / self.caught[:, -1:]

    @property
    def fpr(self) -> Float[Tensor, "R L"]:
        """Share of people accused; NaN in a replicate without people."""
        return self.accused / self.accused[:, -1:]


@dataclass(frozen=True)
class Detection:
    """Figures of bots against people; PR-AUC and F1 hold at their proportion, `bots` to `people`."""

    bots: int
    people: int
    auc: Estimate
    pr_auc: Estimate
    f1: Estimate
    eer: Estimate


def threshold_at_fpr(people: Float[Tensor, "N"], target_fpr: float) -> Threshold:
    """The threshold above which at most floor(target_fpr N) of these people lie: the next largest score.

    Raises ValueError unless `0 < target_fpr < 1`, for no people, and scores that are not finite.
    """
    if not 0 < target_fpr < 1:
        raise ValueError(f"expected `0 < target_fpr < 1`, but got {target_fpr}")
    _check(people)
    value = people.double().sort(descending=True).values[_allowed(target_fpr, len(people))].item()
    return Threshold(target_fpr, value, int((people > value).sum()), len(people))


def _allowed(target_fpr: float, people: int) -> int:
    """k, how many of the people may be accused."""
    return math.floor(target_fpr * people + ROUNDING)


def curve(scores: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"], weights: Float[Tensor, "R N"]) -> Curve:
    """The curve of each row of weights. Raises ValueError for scores that are not finite, or none."""
    _check(scores)
    order = scores.argsort(descending=True, stable=True)
    ordered = scores[order]
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool)])  # of the rows of one score
    caught, accused = (
        torch.nn.functional.pad((weights * kind)[:, order].cumsum(dim=1)[:, last], (1, 0)) for kind in (is_bot, ~is_bot)
    )
    return Curve(caught, accused)


def roc_auc(rates: Curve) -> Float[Tensor, "R"]:
    """P(bot > person) + P(bot = person) / 2 over pairs: the area under the curve by trapezoids."""
    tpr = rates.tpr
    return ((tpr[:, 1:] + tpr[:, :-1]) / 2 * rates.fpr.diff(dim=1)).sum(dim=1)


def pr_auc(rates: Curve) -> Float[Tensor, "R"]:
    """Average precision: sum_l (TPR_l - TPR_(l-1)) precision_l, without interpolation between thresholds."""
    everybody = rates.caught + rates.accused
    precision = torch.where(everybody > 0, rates.caught / everybody, 0.0)
    return (rates.tpr.diff(dim=1) * precision[:, 1:]).sum(dim=1)


def equal_error_rate(rates: Curve) -> Float[Tensor, "R"]:
    """FPR where it equals the share of bots missed, on the straight line between neighbouring thresholds."""
    fpr = rates.fpr
    gap = fpr + rates.tpr - 1  # from -1 to 1, never falling
    at = (gap >= 0).to(torch.int8).argmax(dim=1, keepdim=True)
    before, after = (gap.gather(1, index) for index in ((at - 1).clamp(min=0), at))
    low, high = (fpr.gather(1, index) for index in ((at - 1).clamp(min=0), at))
    crossed: Tensor = low - before / (after - before) * (high - low)
    return crossed.squeeze(1)


def f1_score(
    scores: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"], weights: Float[Tensor, "R N"], threshold: float
) -> Float[Tensor, "R"]:
    """2 TP / (2 TP + FP + FN) at a threshold: harmonic mean of precision and TPR; NaN in a replicate without bots."""
    called, bots = (scores > threshold).double(), is_bot.double()
    true_positive, positive, actual = (weights @ part for part in (called * bots, called, bots))
    f1: Tensor = torch.where(actual > 0, 2 * true_positive / (positive + actual), torch.nan)
    return f1


def detection(
    scores: Float[Tensor, "N"],
    is_bot: Bool[Tensor, "N"],
    groups: Sequence[str],
    threshold: float,
    config: BootstrapConfig,
    random: torch.Generator,
) -> Detection:
    """The figures of bots against people with intervals by group; F1 at `threshold`.

    Raises ValueError for scores that are not finite, and without bots or people.
    """
    bots, people = int(is_bot.sum()), int((~is_bot).sum())
    if not bots or not people:
        raise ValueError(f"expected `bots >= 1` and `people >= 1`, but got {bots} and {people}")
    scores, figures = scores.double(), []
    for weights in cluster_weights(groups, is_bot, config.replicates, random).split(CHUNK):
        rates = curve(scores, is_bot, weights)
        by_curve = [figure(rates) for figure in CURVE_FIGURES.values()]
        figures.append(torch.stack([*by_curve, f1_score(scores, is_bot, weights, threshold)]))
    found = [estimate(row, config.level) for row in torch.cat(figures, dim=1)]
    return Detection(bots, people, **dict(zip((*CURVE_FIGURES, "f1"), found, strict=True)))


CURVE_FIGURES: dict[str, Callable[[Curve], Tensor]] = {"auc": roc_auc, "pr_auc": pr_auc, "eer": equal_error_rate}


def _check(scores: Float[Tensor, "N"]) -> None:
    bad = (~scores.isfinite()).nonzero().squeeze(1)
    if len(bad) or not len(scores):
        got = f"{scores[bad[0]].item()} in row {bad[0].item()}" if len(bad) else "none"
        raise ValueError(f"expected `scores` to be finite, at least one, but got {got}")
