"""Evaluation on unseen bot families: TPR per family, and FPR on test users, at a threshold fixed on validation users.

The families are those that the configuration holds out of the scripted bots, under the conditions of the test users,
and those of a file of third-party bots, if one is given. The FPR on test users is taken at the same threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainables.core.config import require
from trainables.data.canonical import Canonical
from trainables.data.splits.loading import load_splits
from trainables.detector.api import Detector
from trainables.detector.bots import FAMILIES
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.external_bots import canonical_bots, read_bots
from trainables.detector.dataset.negatives import of_style, together
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.training.checkpoint import file_sha256

SEED = 7  # of the scripted bots


@dataclass(frozen=True, eq=False)
class UnseenEvaluator:
    """Movements of users and bots that no detector of a study is trained on.

    Attributes:
        validation: Movements of the validation users, on which the threshold is fixed.
        test: Movements of the test users.
        bots: Family -> its movements.
        settings: What the results depend on beside the detector, as plain values.
    """

    validation: Canonical
    test: Canonical
    bots: Mapping[str, Canonical]
    fpr: float
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, config: DetectorConfig, bots_file: str) -> "UnseenEvaluator":
        """Return the evaluator for detectors of a configuration; `bots_file` holds third-party bots, "": none.

        Raises:
            ConfigError, RecordingError: there is no unseen family, or the file cannot be read.
        """
        splits, held_out = load_splits(config.data), config.negatives.held_out
        law = "at least one unseen family"
        require(bool(held_out) or bool(bots_file), law, "none", "set detector.negatives.held_out, or bots=FILE")
        found = {family: _scripted(family, splits["test"], config) for family in held_out}
        found |= _third_party(bots_file, config)
        file = file_sha256(Path(bots_file)) if bots_file else ""
        settings = {"seed": SEED, "fpr": config.evaluation.fpr, "families": [*found], "bots_sha256": file}
        return cls(splits["validation"], splits["test"], found, config.evaluation.fpr, settings)

    def __call__(self, detector: Detector) -> dict[str, Any]:
        """Return `tpr`, by family, and `fpr`, on test users: shares above the threshold."""
        threshold = threshold_at_fpr(detector.logit(self.validation), self.fpr).value

        def above(movements: Canonical) -> float:
            return (detector.logit(movements) > threshold).double().mean().item()

        return {
            "tpr": {family: above(movements) for family, movements in self.bots.items()},
            "fpr": above(self.test),
        }


def _scripted(family: str, users: Canonical, config: DetectorConfig) -> Canonical:
    """Return movements of every style of a family, each under the conditions of all these users' movements."""
    return together([of_style(style, users, config.data.canonical, SEED) for style in FAMILIES[family]]).canonical


def _third_party(file: str, config: DetectorConfig) -> dict[str, Canonical]:
    if not file:
        return {}
    bots = canonical_bots(read_bots(Path(file)), config.data.canonical)
    rows = {
        family: torch.tensor([at for at, name in enumerate(bots.family) if name == family]) for family in bots.family
    }
    return {family: bots.canonical.take(rows[family]) for family in sorted(rows)}
