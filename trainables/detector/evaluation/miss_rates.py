"""False negative rates of a detector at a fixed FPR, by family of bots and for the worst unseen family."""

from collections.abc import Collection, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.eval.detection.roc import curve, roc_auc, threshold_at_fpr
from trainables.training import metric_names as names


def fnr_metrics(
    human: Float[Tensor, "N"], bots: Mapping[str, Float[Tensor, "_"]], unseen: Collection[str], fpr: float
) -> dict[str, float]:
    """Return the FNR of each family at the threshold where at most a share `fpr` of the human scores is flagged.

    Beside them stand the largest and the mean FNR of the unseen families, the mean FNR of the seen ones, and the mean
    ROC-AUC of either; a metric without a family is left out.

    Args:
        bots: Family -> scores of its movements.
        unseen: Families that were left out of the training.

    Raises ValueError for no human scores, a family without scores, non-finite scores, and unless `0 < fpr < 1`.
    """
    threshold = threshold_at_fpr(human, fpr).value
    fnr = {family: (scores <= threshold).double().mean().item() for family, scores in bots.items()}
    areas = {family: area(human, scores) for family, scores in bots.items()}
    unseen_families, seen_families = ([f for f in bots if (f in unseen) == is_unseen] for is_unseen in (True, False))
    metrics = {names.family_fnr(family): value for family, value in fnr.items()}
    if unseen_families:
        metrics[names.VAL_FNR_WORST_UNSEEN] = max(fnr[family] for family in unseen_families)
    for families, fnr_name, auc_name in (
        (unseen_families, names.VAL_FNR_UNSEEN, names.VAL_UNSEEN_AUC),
        (seen_families, names.VAL_FNR_SEEN, names.VAL_SEEN_AUC),
    ):
        if families:
            metrics[fnr_name] = sum(fnr[family] for family in families) / len(families)
            metrics[auc_name] = sum(areas[family] for family in families) / len(families)
    return metrics


def area(human: Float[Tensor, "N"], bots: Float[Tensor, "M"]) -> float:
    """Return the area under the ROC curve."""
    scores = torch.cat([human, bots])
    is_bot = torch.arange(len(scores)) >= len(human)
    return roc_auc(curve(scores, is_bot, torch.ones(1, len(scores), dtype=torch.float64))).item()
