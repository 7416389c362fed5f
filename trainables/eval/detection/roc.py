"""Metrics of bot detection by ROC curves, and thresholds at a fixed false positive rate.

"Positive" is a bot, and a larger score means likelier a bot. A threshold flags what lies strictly above it:

    TPR(s) = share of bots with score > s, detected          FPR(s) = share of human movements with score > s, flagged

The metrics are functions of the `Curve` (`trainables.eval.roc_curve`), whose rows of weights are replicates (see
`cluster_bootstrap`).

A threshold is fitted on users who took no part in the training, before any metric is computed, and then kept. Of n
human movements k = floor(target n) may be flagged, and the threshold is the (k + 1)-th largest score: with ties fewer
are flagged, never more. Of new movements that are exchangeable with these, (k + 1) / (n + 1) are flagged in
expectation: a target below 1 / (n + 1) is met on these n movements by flagging none, but n are too few to resolve it.

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
from trainables.eval.roc_curve import Curve, curve, require_finite, roc_auc

ROUNDING = 1e-9  # of target times n: 0.29 x 100 is 28.999999999999996 in floating point, and 29 movements
CHUNK = 250  # replicates at a time: their weights and sums over 5,000 rows take 40 MB


@dataclass(frozen=True)
class Threshold:
    """Threshold for a target FPR, with the human movements that it was fitted on.

    Attributes:
        target_fpr: Largest share of human movements that may be flagged.
        value: Scores strictly above it are flagged.
        flagged: Number of the `n` human movements above it.
    """

    target_fpr: float
    value: float
    flagged: int
    n: int

    @property
    def expected_fpr(self) -> float:
        """Expected FPR (k + 1) / (n + 1) on new exchangeable movements; above the target by up to 1 / (n + 1)."""
        return (_allowed(self.target_fpr, self.n) + 1) / (self.n + 1)

    @property
    def is_resolved(self) -> bool:
        """Whether n movements can resolve the target: 1 / (n + 1) <= target."""
        return self.target_fpr * (self.n + 1) >= 1


@dataclass(frozen=True)
class DetectionMetrics:
    """Metrics of bots against human movements; PR-AUC and F1 hold at their ratio, `bots` to `humans`."""

    bots: int
    humans: int
    auc: Estimate
    pr_auc: Estimate
    f1: Estimate
    eer: Estimate


def threshold_at_fpr(human: Float[Tensor, "N"], target_fpr: float) -> Threshold:
    """Return the threshold above which at most floor(target_fpr N) of these human scores lie: the next largest score.

    Raises ValueError unless `0 < target_fpr < 1`, for no scores, and scores that are not finite.
    """
    if not 0 < target_fpr < 1:
        raise ValueError(f"expected `0 < target_fpr < 1`, but got {target_fpr}")
    require_finite(human)
    value = human.double().sort(descending=True).values[_allowed(target_fpr, len(human))].item()
    return Threshold(target_fpr, value, int((human > value).sum()), len(human))


def _allowed(target_fpr: float, n: int) -> int:
    """Return k, the number of n human movements that may be flagged."""
    return math.floor(target_fpr * n + ROUNDING)


def pr_auc(rates: Curve) -> Float[Tensor, "R"]:
    """Return the average precision, sum_l (TPR_l - TPR_(l-1)) precision_l, without interpolation between thresholds."""
    positive = rates.detected + rates.flagged
    precision = torch.where(positive > 0, rates.detected / positive, 0.0)
    return (rates.tpr.diff(dim=1) * precision[:, 1:]).sum(dim=1)


def equal_error_rate(rates: Curve) -> Float[Tensor, "R"]:
    """Return the rate at which FPR = FNR, by linear interpolation between neighbouring thresholds."""
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
    """Return F1 = 2 TP / (2 TP + FP + FN) at a threshold; NaN in a replicate without bots."""
    called, bots = (scores > threshold).double(), is_bot.double()
    true_positive, positive, actual = (weights @ part for part in (called * bots, called, bots))
    f1: Tensor = torch.where(actual > 0, 2 * true_positive / (positive + actual), torch.nan)
    return f1


def detection_metrics(
    scores: Float[Tensor, "N"],
    is_bot: Bool[Tensor, "N"],
    groups: Sequence[str],
    threshold: float,
    config: BootstrapConfig,
    random: torch.Generator,
) -> DetectionMetrics:
    """Return the metrics of bots against human movements with intervals by group; F1 at `threshold`.

    Raises ValueError for scores that are not finite, and without bots or human movements.
    """
    bots, humans = int(is_bot.sum()), int((~is_bot).sum())
    if not bots or not humans:
        raise ValueError(f"expected `bots >= 1` and `humans >= 1`, but got {bots} and {humans}")
    scores, columns = scores.double(), []
    for weights in cluster_weights(groups, is_bot, config.replicates, random).split(CHUNK):
        rates = curve(scores, is_bot, weights)
        by_curve = [metric(rates) for metric in CURVE_METRICS.values()]
        columns.append(torch.stack([*by_curve, f1_score(scores, is_bot, weights, threshold)]))
    estimates = [estimate(row, config.level) for row in torch.cat(columns, dim=1)]
    return DetectionMetrics(bots, humans, **dict(zip((*CURVE_METRICS, "f1"), estimates, strict=True)))


CURVE_METRICS: dict[str, Callable[[Curve], Tensor]] = {"auc": roc_auc, "pr_auc": pr_auc, "eer": equal_error_rate}
