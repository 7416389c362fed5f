"""Judging a detector again: people of a part against fresh bots of every style, with and without each person.

Each seed draws other bots under the conditions of these people, families never trained on among them. The threshold at
the asked share of accused people is fixed on the people of this very part: a miss says how well a detector ranks bots
above these people. What a threshold does to people who took no part in fixing it is told by one figure more, the share
of this part's people who are accused at the threshold of the validation people.

Without a person's movements the threshold is fixed again on the others, and the bots that imitate that person's
conditions are left out with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import build
from trainables.data.dataset import load_parts
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.training_set import Inputs, Scaling
from trainables.detector.evaluation.miss_rates import misses
from trainables.detector.evaluation.validator import Validator
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.intervals.jackknife import Clustered
from trainables.model_evaluation.result import Findings
from trainables.training.checkpoint import CheckpointError
from trainables.training.metric_names import VAL_FPR


class NotFiniteError(RuntimeError):
    """A score is NaN or infinite."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What a detector says of a part's people, and of bots under their conditions; larger: likelier a bot.

    Attributes:
        bots: Family -> a row per style, a column per movement of `people`, whose conditions it has.
        unseen: Families that were never trained on.
        fpr: Share of the people who may be accused.
        fixed: The threshold that the validation people allow, whoever is judged on.
    """

    people: Float[Tensor, "N"]
    bots: Mapping[str, Float[Tensor, "_ N"]]
    owners: tuple[str, ...]
    unseen: tuple[str, ...]
    fpr: float
    fixed: float

    @property
    def groups(self) -> tuple[str, ...]:
        """Who the people are, in order."""
        return tuple(sorted(set(self.owners)))

    def figures(self) -> dict[str, Clustered]:
        """Each figure over all people, and without each of them."""
        owner, rows = np.asarray(self.owners), np.arange(len(self.owners))
        whole = self._figures_of(rows)
        without = [self._figures_of(rows[owner != group]) for group in self.groups]
        return {name: Clustered(value, tuple(one[name] for one in without)) for name, value in whole.items()}

    def _figures_of(self, rows: Any) -> dict[str, float]:
        bots = {family: scores[:, rows].flatten() for family, scores in self.bots.items()}
        accused = (self.people[rows] > self.fixed).double().mean().item()
        return {**misses(self.people[rows], bots, self.unseen, self.fpr), VAL_FPR: accused}


def findings(checkpoint: Path, record: Mapping[str, Any], part: str, seeds: Sequence[int]) -> Findings:
    """A detector on the people of a part and bots of every style under their conditions, other ones for each seed.

    Raises:
        CheckpointError: the checkpoint cannot be used, or its scores are not finite.
        ConfigError: the record's configuration breaks a law, or a style of bots falls short.
    """
    detector, config = load_trained_detector(checkpoint), build(DetectorConfig, record["config"])
    try:
        drawn = [scores_on(detector, config, part, seed) for seed in seeds]
    except NotFiniteError as error:
        raise CheckpointError(f"{checkpoint}: {error}; train anew with a lower optim.lr") from None
    return Findings(drawn[0].groups, len(drawn[0].people), tuple(one.figures() for one in drawn))


def scores_on(detector: Detector, config: DetectorConfig, part: str, seed: int) -> Scores:
    """Calibrated log odds of a bot, on a part's people and the bots of a seed.

    Raises:
        NotFiniteError: one of them is NaN or infinite.
    """
    alike = DetectorConfig(data=config.data, judgement=replace(config.judgement, seed=seed))
    validator = _validator(alike, part)  # detectors that differ in anything else meet the same bots, drawn once
    people = _log_odds(detector, validator.people)
    bots = {family: _log_odds(detector, inputs).view(-1, len(people)) for family, inputs in validator.bots.items()}
    parts = load_parts(config.data)
    known = people if part == "validation" else _log_odds(detector, detector.scaling.inputs(parts["validation"]))
    fixed = threshold_at_fpr(known, config.judgement.fpr).value
    return Scores(people, bots, parts[part].group, config.negatives.held_out, config.judgement.fpr, fixed)


def _log_odds(detector: Detector, inputs: Inputs) -> Float[Tensor, "N"]:
    odds = detector.outputs(inputs).logit.double() / detector.temperature
    if not bool(odds.isfinite().all()):
        raise NotFiniteError("the detector's scores are not finite")
    return odds


@lru_cache(maxsize=8)  # as many seeds of one part
def _validator(config: DetectorConfig, part: str) -> Validator:
    parts = load_parts(config.data)
    return Validator.fit(parts[part], Scaling.fit(parts), config)
