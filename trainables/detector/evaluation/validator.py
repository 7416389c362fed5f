"""Validate a detector during training: the same users, and the same bots of every style, in every epoch and trial.

Each style makes one movement under the conditions of every validation movement, unseen families among them. The
threshold is fitted on the users; the metric of a family is its FNR, the share of its bots at or below the threshold.
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
from trainables.detector.evaluation.detection_rates import detection_rates
from trainables.detector.evaluation.metrics import DETECTION
from trainables.eval.detection.calibration import Reliability, fit_temperature, reliability
from trainables.training.metric import compute_all

BINS = 10  # of the calibration error


@dataclass(frozen=True, eq=False)
class Validator:
    """Inputs of users and bots; made by `fit`, called with a detector.

    Attributes:
        human: The validation split's movements.
        bots: Family -> movements of all its styles.
        unseen: Families that were left out of the training.
        fpr: Target FPR of the threshold.
    """

    human: Inputs
    bots: Mapping[str, Inputs]
    unseen: tuple[str, ...]
    fpr: float

    @classmethod
    def fit(cls, humans: Canonical, scaling: Scaling, config: DetectorConfig) -> "Validator":
        """Make bots of every style under the conditions of these users' movements."""
        seed, canonical = config.evaluation.seed, config.data.canonical
        made = {style: of_style(style, humans, canonical, seed).canonical for style in BOTS}
        bots = {
            family: joined([scaling.inputs(made[style]) for style in styles]) for family, styles in FAMILIES.items()
        }
        return cls(scaling.inputs(humans), bots, config.negatives.held_out, config.evaluation.fpr)

    def __call__(self, detector: Detector) -> tuple[float, dict[str, float]]:
        """Return the temperature that calibrates a detector of temperature 1, and its metrics."""
        human = detector.outputs(self.human).logit.double()
        bots = {family: detector.outputs(inputs).logit.double() for family, inputs in self.bots.items()}
        seen = [logits for family, logits in bots.items() if family not in self.unseen]
        temperature, calibration = self._calibration(human, seen or [*bots.values()])
        rates = detection_rates(human, bots, self.unseen, self.fpr, calibration=calibration)
        return temperature, compute_all(DETECTION.metrics, rates)

    def _calibration(self, human: Float[Tensor, "N"], bots: Sequence[Float[Tensor, "_"]]) -> tuple[float, Reliability]:
        """Fit on the users and about as many bots of the seen families, in equal shares."""
        per_family = -(-len(human) // len(bots))
        chosen = torch.cat([logits[:: max(len(logits) // per_family, 1)][:per_family] for logits in bots])
        logits = torch.cat([human, chosen])
        is_bot = torch.arange(len(logits)) >= len(human)
        temperature = fit_temperature(logits, is_bot)
        return temperature, reliability((logits / temperature).sigmoid(), is_bot, BINS, generator(0, "ties"))


def joined(parts: Sequence[Inputs]) -> Inputs:
    """Concatenate several sets of inputs."""
    return Inputs(*(torch.cat(part) for part in zip(*parts, strict=True)))
