"""Load a trained detector and score canonical movements with it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.core.config import build, require
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.splits.statistics import Statistics
from trainables.detector.config import DetectorModelConfig
from trainables.detector.dataset.goal_consistency import GoalConsistency
from trainables.detector.dataset.training_set import Inputs, Scaling
from trainables.detector.model import DetectorNetwork, Outputs
from trainables.detector.state import KIND
from trainables.training.checkpoint import load_checkpoint_of, select, weights_that_fit

ROWS = 256  # of a network call


@dataclass(frozen=True, eq=False)
class Detector:
    """Trained network with the scaling and the canonical form of its inputs.

    Attributes:
        temperature: Divides the logits, so that probabilities are calibrated on validation users and bots.
    """

    model: nn.Module
    scaling: Scaling
    canonical: CanonicalConfig
    temperature: float = 1.0

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.model.parameters()).device

    def score(self, canonical: Canonical) -> Float[Tensor, "N"]:
        """Return the probability of a bot for each movement, float64; rows are independent up to rounding."""
        return self.logit(canonical).sigmoid()

    def logit(self, canonical: Canonical) -> Float[Tensor, "N"]:
        """Return the calibrated log odds of a bot, float64."""
        return self.outputs(self.scaling.inputs(canonical)).logit.double() / self.temperature

    @torch.no_grad()
    def outputs(self, inputs: Inputs) -> Outputs:
        """Return the outputs of the network for each movement; movements of similar length share a call."""
        order = inputs.mask.sum(dim=1).argsort()
        parts = [self._call(inputs.take(rows)) for rows in order.split(ROWS)]
        back = order.argsort()
        return Outputs(*(torch.cat(part)[back].cpu() for part in zip(*parts, strict=True)))

    def _call(self, inputs: Inputs) -> Outputs:
        outputs: Outputs = self.model(*(part.to(self.device) for part in inputs))
        return outputs


def load_trained_detector(checkpoint: Path, device: torch.device | str = "cpu") -> Detector:
    """Load the averaged weights of a detector's checkpoint.

    Raises:
        CheckpointError: Not a complete checkpoint of a detector, or its weights do not fit its configuration.
    """
    tensors, record = load_checkpoint_of(KIND, checkpoint)
    with weights_that_fit(checkpoint):
        return _detector(record, tensors, torch.device(device))


def _detector(record: Mapping[str, Any], tensors: Mapping[str, Tensor], device: torch.device) -> Detector:
    config, temperature = record["config"], float(record["temperature"])
    require(0 < temperature < math.inf, "`0 < temperature < inf`", f"temperature={temperature}")
    statistics, scales = Statistics.of_tensors(select("statistics", tensors)), select("scaling", tensors)
    scaling = Scaling(statistics, **scales, goals=GoalConsistency.of_record(record, tensors))
    network = DetectorNetwork(len(statistics.mean), scaling.width, build(DetectorModelConfig, config["model"]))
    network.load_state_dict(select("ema", tensors))
    return Detector(
        network.to(device).eval(),
        scaling,
        build(CanonicalConfig, config["data"]["canonical"]),
        temperature,
    )
