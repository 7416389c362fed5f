"""A trained detector as a probe of samples: what its scores tell of them, without a fit to either side.

The probes of the headline are fitted to the samples that they score, and a selection may have been fitted to the same
columns. A detector brings its own network, features and training, and its score is fitted to neither side: movements of
further users in the place of the samples read one half on average. Those of the generator's training users are no such
reference, for a detector that was trained on them scores them as more human than others.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical, decode, encode, usable
from trainables.data.config import CanonicalConfig
from trainables.eval.generation.comparison import Comparison
from trainables.eval.generation.report import Numbers
from trainables.eval.intervals.jackknife import interval, jackknife
from trainables.eval.two_sample.paired import PairedScores
from trainables.models import MovementDetector, load_detector
from trainables.training.checkpoint import load_record

THRESHOLD = 0.5  # probability of a bot, for the accuracy


def detector_probe(comparison: Comparison, checkpoint: Path) -> Numbers:
    """Return the AUC of a detector's scores between pairs, with its interval over users.

    Each user counts alike, as with the other probes.

    Raises:
        CheckpointError: No checkpoint of a detector.
        ConfigError: The movements are longer than the form of the detector holds.
    """
    detector, pairs = load_detector(checkpoint), comparison.pairs
    scores, users = paired_detector_scores(detector, pairs.real, pairs.fake), sorted(set(pairs.real.group))
    return {
        "auc": asdict(interval(jackknife(scores.auc, scores.owners, users))),
        "users": len(users),
        "checkpoint": str(checkpoint),
        "weights_sha256": load_record(checkpoint)["weights_sha256"],
    }


def scores_of(detector: MovementDetector, movements: Canonical) -> Float[Tensor, "N"]:
    """Return the probability of a bot for movements in 60 Hz steps.

    Raises:
        ConfigError: The form of the detector cannot hold one of them.
    """
    whole = decode(movements, CanonicalConfig("fixed_dt", movements.mask.shape[1]))
    rows, dropped = usable(whole, detector.canonical)
    reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
    law = f"movements that the form of the detector holds (T={detector.canonical.sequence_length})"
    require(len(rows) == len(movements), law, reasons, "name a detector of the length of the generator")
    return detector.score(encode(whole, detector.canonical))


def paired_detector_scores(detector: MovementDetector, real: Canonical, fake: Canonical) -> PairedScores:
    """Return the scores of pairs as those of a probe of one fold, which was fitted to none of them.

    Raises:
        ConfigError: The form of the detector cannot hold a movement.
    """
    fold, thresholds = np.zeros(len(real), dtype=np.int64), np.array([THRESHOLD])
    first, second = (scores_of(detector, side).numpy() for side in (real, fake))
    return PairedScores(first, second, fold, thresholds, real.group, "users", (), ())
