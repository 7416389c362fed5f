"""What a detector catches of families that it was never trained on, at a threshold fixed on validation people.

The families are those held out of the simple bots, under the conditions of the test people, and of bots of others'
making where a file of them is given. The test people show how many are accused above the same threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainables.core.config import require
from trainables.data.canonical import Canonical
from trainables.data.dataset import load_splits
from trainables.detector.api import Detector
from trainables.detector.bots import FAMILIES
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.external_bots import canonical_bots, read_bots
from trainables.detector.dataset.negatives import of_style, together
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.training.checkpoint import file_sha256

SEED = 7  # of the simple bots


@dataclass(frozen=True, eq=False)
class UnseenJudge:
    """People and bots whom no detector of a study learns from.

    Attributes:
        people: Validation people, on whom the threshold is fixed.
        strangers: Test people.
        bots: Family -> its movements.
        told: What figures hang on beside the detector, as plain values.
    """

    people: Canonical
    strangers: Canonical
    bots: Mapping[str, Canonical]
    fpr: float
    told: Mapping[str, Any]

    @classmethod
    def fit(cls, config: DetectorConfig, others: str) -> "UnseenJudge":
        """For detectors of this configuration; `others` names a file of bots of others' making, or is empty.

        Raises:
            ConfigError, RecordingError: no family at all, or a file that cannot be read.
        """
        splits, held_out = load_splits(config.data), config.negatives.held_out
        law = "`families never trained on >= 1`"
        require(bool(held_out) or bool(others), law, "none", "hold some out, or add bots=FILE")
        found = {family: _simple(family, splits["test"], config) for family in held_out} | _others(others, config)
        file = file_sha256(Path(others)) if others else ""
        told = {"seed": SEED, "fpr": config.judgement.fpr, "families": [*found], "bots_sha256": file}
        return cls(splits["validation"], splits["test"], found, config.judgement.fpr, told)

    def __call__(self, detector: Detector) -> dict[str, Any]:
        """`caught`, by family, and `accused`, of test people: shares above the threshold."""
        threshold = threshold_at_fpr(detector.logit(self.people), self.fpr).value

        def above(movements: Canonical) -> float:
            return (detector.logit(movements) > threshold).double().mean().item()

        return {
            "caught": {family: above(movements) for family, movements in self.bots.items()},
            "accused": above(self.strangers),
        }


def _simple(family: str, people: Canonical, config: DetectorConfig) -> Canonical:
    """Every style of a family, each under the conditions of all these people."""
    return together([of_style(style, people, config.data.canonical, SEED) for style in FAMILIES[family]]).canonical


def _others(file: str, config: DetectorConfig) -> dict[str, Canonical]:
    if not file:
        return {}
    bots = canonical_bots(read_bots(Path(file)), config.data.canonical)
    rows = {
        family: torch.tensor([at for at, name in enumerate(bots.family) if name == family]) for family in bots.family
    }
    return {family: bots.canonical.take(rows[family]) for family in sorted(rows)}
