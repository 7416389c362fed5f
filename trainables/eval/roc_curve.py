"""ROC curve of weighted rows, and the area under it.

"Positive" is the class that a larger score means likelier: a bot for a detector, a sample for a two-sample test. A
curve holds both rates at every distinct score, so that rows of equal score move together and ties count by halves in
the area. It takes rows of weights, one replicate each: one sort serves all of them.

References: An introduction to ROC analysis (Fawcett, 2006), doi:10.1016/j.patrec.2005.10.010.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Curve:
    """Weights of the detected positives and of the flagged negatives at each distinct score, strictest first.

    At the first column nothing is flagged, at the last everything; a row per replicate.
    """

    detected: Float[Tensor, "R L"]
    flagged: Float[Tensor, "R L"]

    @property
    def tpr(self) -> Float[Tensor, "R L"]:
        """True positive rate; NaN in a replicate without positives."""
        return self.detected / self.detected[:, -1:]

    @property
    def fpr(self) -> Float[Tensor, "R L"]:
        """False positive rate; NaN in a replicate without negatives."""
        return self.flagged / self.flagged[:, -1:]


def curve(scores: Float[Tensor, "N"], positive: Bool[Tensor, "N"], weights: Float[Tensor, "R N"]) -> Curve:
    """Return the curve of each row of weights. Raises ValueError for scores that are not finite, or none."""
    require_finite(scores)
    order = scores.argsort(descending=True, stable=True)
    ordered = scores[order]
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool)])  # of the rows of one score
    detected, flagged = (
        torch.nn.functional.pad((weights * kind)[:, order].cumsum(dim=1)[:, last], (1, 0))
        for kind in (positive, ~positive)
    )
    return Curve(detected, flagged)


def roc_auc(rates: Curve) -> Float[Tensor, "R"]:
    """Return P(positive > negative) + P(positive = negative) / 2 over pairs: the area under the curve by trapezoids."""
    tpr = rates.tpr
    return ((tpr[:, 1:] + tpr[:, :-1]) / 2 * rates.fpr.diff(dim=1)).sum(dim=1)


def require_finite(scores: Float[Tensor, "N"]) -> None:
    """Raise ValueError for scores that are not finite, naming the first, and for none."""
    bad = (~scores.isfinite()).nonzero().squeeze(1)
    if len(bad) or not len(scores):
        got = f"{scores[bad[0]].item()} in row {bad[0].item()}" if len(bad) else "none"
        raise ValueError(f"expected `scores` to be finite, at least one, but got {got}")
