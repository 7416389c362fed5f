"""Validate a detector during training: the same users, and the same bots of every style, in every epoch and trial.

Each style makes one movement under the conditions of every validation movement, unseen families among them. The
threshold is fitted on the users; the metric of a family is its FNR, the share of its bots at or below the threshold.

Where the users are of several sources, two metrics of each are logged beside: the FPR of its users at the threshold of
all, and the headline at a threshold of its own, over bots under the conditions of its users.
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
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.generation.by_source import rows_by_source
from trainables.training.metric import compute_all
from trainables.training.metric_names import VAL_FNR_WORST_UNSEEN, VAL_FPR, of_source

BINS = 10  # of the calibration error


@dataclass(frozen=True, eq=False)
class Validator:
    """Inputs of users and bots; made by `fit`, called with a detector.

    Attributes:
        human: The validation split's movements.
        source: Source of each of them.
        bots: Family -> movements of all its styles, of each style in the order of `human`.
        unseen: Families that were left out of the training.
        fpr: Target FPR of the threshold.
    """

    human: Inputs
    source: tuple[str, ...]
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
        return cls(scaling.inputs(humans), humans.source, bots, config.negatives.held_out, config.evaluation.fpr)

    def __call__(self, detector: Detector) -> tuple[float, dict[str, float]]:
        """Return the temperature that calibrates a detector of temperature 1, and its metrics."""
        human = detector.outputs(self.human).logit.double()
        bots = {family: detector.outputs(inputs).logit.double() for family, inputs in self.bots.items()}
        seen = [logits for family, logits in bots.items() if family not in self.unseen]
        temperature, calibration = self._calibration(human, seen or [*bots.values()])
        rates = detection_rates(human, bots, self.unseen, self.fpr, calibration=calibration)
        return temperature, compute_all(DETECTION.metrics, rates) | self._by_source(human, bots)

    def _by_source(self, human: Float[Tensor, "N"], bots: Mapping[str, Float[Tensor, "_"]]) -> dict[str, float]:
        """Return FPR and headline of each of several sources; none of one source."""
        rows_of, found = rows_by_source(self.source), dict[str, float]()
        threshold = threshold_at_fpr(human, self.fpr).value
        for source, rows in rows_of.items() if len(rows_of) > 1 else ():
            own = {family: scores.view(-1, len(human))[:, rows].flatten() for family, scores in bots.items()}
            rates = detection_rates(human[rows], own, self.unseen, self.fpr, validation_threshold=threshold)
            metrics = compute_all(DETECTION.metrics, rates)
            of_one = {name: metrics[name] for name in (VAL_FPR, VAL_FNR_WORST_UNSEEN) if name in metrics}
            found |= {of_source(name, source): value for name, value in of_one.items()}
        return found

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
