"""How many bots a detector misses: at a threshold fixed on people, by family, and the worst family never trained on."""

from collections.abc import Collection, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.eval.detection.roc import curve, roc_auc, threshold_at_fpr
from trainables.training import metric_names as names


def fnr_metrics(
    people: Float[Tensor, "N"], bots: Mapping[str, Float[Tensor, "_"]], unseen: Collection[str], fpr: float
) -> dict[str, float]:
    """Shares of bots that are not accused where at most a share `fpr` of these people is, and areas under the curve.

    Args:
        bots: Family -> scores of its movements.
        unseen: Families never trained on; their mean, and the largest share of them, are told beside the mean of the
            others. What there is no family for is left out.

    Raises ValueError for no people, no bots of a family, scores that are not finite, and unless `0 < fpr < 1`.
    """
    threshold = threshold_at_fpr(people, fpr).value
    missed = {family: (scores <= threshold).double().mean().item() for family, scores in bots.items()}
    areas = {family: area(people, scores) for family, scores in bots.items()}
    new, known = ([family for family in bots if (family in unseen) == told] for told in (True, False))
    figures = {names.family_fnr(family): value for family, value in missed.items()}
    if new:
        figures[names.VAL_FNR_WORST_UNSEEN] = max(missed[family] for family in new)
    for families, miss, auc in (
        (new, names.VAL_FNR_UNSEEN, names.VAL_UNSEEN_AUC),
        (known, names.VAL_FNR_SEEN, names.VAL_SEEN_AUC),
    ):
        if families:
            figures[miss] = sum(missed[family] for family in families) / len(families)
            figures[auc] = sum(areas[family] for family in families) / len(families)
    return figures


def area(people: Float[Tensor, "N"], bots: Float[Tensor, "M"]) -> float:
    """Area under the ROC curve."""
    scores = torch.cat([people, bots])
    is_bot = torch.arange(len(scores)) >= len(people)
    return roc_auc(curve(scores, is_bot, torch.ones(1, len(scores), dtype=torch.float64))).item()
