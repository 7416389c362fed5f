"""Judging a detector during training: the same people, and the same bots of every style, in every epoch and trial.

Each style makes one movement under the conditions of every validation person's movement, families that were never
trained on among them. The threshold is fixed on the people; a family counts by the share of its bots that stay below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables import names
from trainables.data.canonical import Canonical
from trainables.detector.api import Detector
from trainables.detector.bots import BOTS, FAMILIES
from trainables.detector.config import DetectorConfig
from trainables.detector.examples import Inputs, Scaling
from trainables.detector.negatives import of_style
from trainables.eval.calibration import fit_temperature, reliability
from trainables.eval.detection import curve, roc_auc, threshold_at_fpr
from trainables.seeding import generator

BINS = 10  # of the calibration error


@dataclass(frozen=True, eq=False)
class Validator:
    """People and bots as inputs; made by `fit`, called with a detector.

    Attributes:
        people: The validation part.
        bots: Family -> its movements, all styles alike.
        unseen: Families that were never trained on.
    """

    people: Inputs
    bots: Mapping[str, Inputs]
    unseen: tuple[str, ...]
    fpr: float

    @classmethod
    def fit(cls, people: Canonical, scaling: Scaling, config: DetectorConfig) -> "Validator":
        """Bots of every style under the conditions of these people."""
        seed, canonical = config.judgement.seed, config.data.canonical
        made = {style: of_style(style, people, canonical, seed).canonical for style in BOTS}
        bots = {
            family: joined([scaling.inputs(made[style]) for style in styles]) for family, styles in FAMILIES.items()
        }
        return cls(scaling.inputs(people), bots, config.negatives.held_out, config.judgement.fpr)

    def __call__(self, detector: Detector) -> tuple[float, dict[str, float]]:
        """The temperature that calibrates a detector of temperature 1, and its figures."""
        people = detector.outputs(self.people).logit.double()
        bots = {family: detector.outputs(inputs).logit.double() for family, inputs in self.bots.items()}
        seen = [logits for family, logits in bots.items() if family not in self.unseen]
        temperature, calibration = self._calibration(people, seen or [*bots.values()])
        return temperature, {**self._misses(people, bots), **calibration}

    def _misses(self, people: Float[Tensor, "N"], bots: Mapping[str, Float[Tensor, "M"]]) -> dict[str, float]:
        """Shares of bots missed at the threshold, and areas, of each family; unseen ones by the worst and the mean."""
        threshold = threshold_at_fpr(people, self.fpr).value
        missed = {family: (logits <= threshold).double().mean().item() for family, logits in bots.items()}
        areas = {family: area(people, logits) for family, logits in bots.items()}
        figures = {names.family_miss(family): value for family, value in missed.items()}
        for kind, families in (("unseen", self.unseen), ("seen", [f for f in bots if f not in self.unseen])):
            if families:
                figures[f"val/{kind}_miss"] = sum(missed[f] for f in families) / len(families)
                figures[f"val/{kind}_auc"] = sum(areas[f] for f in families) / len(families)
        if self.unseen:
            figures[names.VAL_WORST_FAMILY_MISS] = max(missed[family] for family in self.unseen)
        return figures

    def _calibration(
        self, people: Float[Tensor, "N"], bots: Sequence[Float[Tensor, "M"]]
    ) -> tuple[float, dict[str, float]]:
        """Fitted on people and as many bots of the families that were trained on, in equal shares."""
        per_family = -(-len(people) // len(bots))
        drawn = torch.cat([logits[:: max(len(logits) // per_family, 1)][:per_family] for logits in bots])
        logits = torch.cat([people, drawn])
        is_bot = torch.arange(len(logits)) >= len(people)
        temperature = fit_temperature(logits, is_bot)
        found = reliability((logits / temperature).sigmoid(), is_bot, BINS, generator(0, "ties"))
        return temperature, {names.VAL_BRIER: found.brier, names.VAL_CALIBRATION_ERROR: found.ece}


def area(people: Float[Tensor, "N"], bots: Float[Tensor, "M"]) -> float:
    """Area under the ROC curve."""
    scores = torch.cat([people, bots])
    is_bot = torch.arange(len(scores)) >= len(people)
    return roc_auc(curve(scores, is_bot, torch.ones(1, len(scores), dtype=torch.float64))).item()


def joined(parts: Sequence[Inputs]) -> Inputs:
    """Several sets of inputs as one."""
    return Inputs(*(torch.cat(part) for part in zip(*parts, strict=True)))
