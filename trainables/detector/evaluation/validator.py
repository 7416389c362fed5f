"""Judging a detector during training: the same people, and the same bots of every style, in every epoch and trial.

Each style makes one movement under the conditions of every validation person's movement, families that were never
trained on among them. The threshold is fixed on the people; a family counts by the share of its bots that stay below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.seeding import generator
from trainables.data.canonical import Canonical
from trainables.detector.api import Detector
from trainables.detector.bots import BOTS, FAMILIES
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.negatives import of_style
from trainables.detector.dataset.training_set import Inputs, Scaling
from trainables.detector.evaluation.miss_rates import fnr_metrics
from trainables.eval.detection.calibration import fit_temperature, reliability
from trainables.training import metric_names as names

BINS = 10  # of the calibration error


@dataclass(frozen=True, eq=False)
class Validator:
    """People and bots as inputs; made by `fit`, called with a detector.

    Attributes:
        human: The validation split's movements.
        bots: Family -> its movements, all styles alike.
        unseen: Families that were never trained on.
    """

    human: Inputs
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
        people = detector.outputs(self.human).logit.double()
        bots = {family: detector.outputs(inputs).logit.double() for family, inputs in self.bots.items()}
        seen = [logits for family, logits in bots.items() if family not in self.unseen]
        temperature, calibration = self._calibration(people, seen or [*bots.values()])
        return temperature, {**fnr_metrics(people, bots, self.unseen, self.fpr), **calibration}

    def _calibration(
        self, people: Float[Tensor, "N"], bots: Sequence[Float[Tensor, "_"]]
    ) -> tuple[float, dict[str, float]]:
        """Fitted on people and about as many bots of the families that were trained on, in equal shares."""
        per_family = -(-len(people) // len(bots))
        drawn = torch.cat([logits[:: max(len(logits) // per_family, 1)][:per_family] for logits in bots])
        logits = torch.cat([people, drawn])
        is_bot = torch.arange(len(logits)) >= len(people)
        temperature = fit_temperature(logits, is_bot)
        found = reliability((logits / temperature).sigmoid(), is_bot, BINS, generator(0, "ties"))
        return temperature, {names.VAL_BRIER: found.brier, names.VAL_CALIBRATION_ERROR: found.ece}


def joined(parts: Sequence[Inputs]) -> Inputs:
    """Several sets of inputs as one."""
    return Inputs(*(torch.cat(part) for part in zip(*parts, strict=True)))
