"""Samples beside the real movements that they match, with the fits that several metrics share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.data.config import MEASURED_CONDITIONS
from trainables.eval.features.feature_tables import Standardised, standardise
from trainables.eval.features.kinematic import FEATURES
from trainables.eval.generation.condition_error import ConditionError, condition_errors
from trainables.eval.generation.memorisation import Memorisation, TrainingPaths, movement_paths
from trainables.eval.generation.probes import Probes, ProbeTests, kinematic_features
from trainables.eval.indices import Indices
from trainables.eval.two_sample.manifold import density_coverage, precision_recall, precision_recall_rows
from trainables.eval.two_sample.mmd import mmd_of_rows
from trainables.eval.two_sample.paired import PairedScores
from trainables.eval.two_sample.prd import prd


@dataclass(frozen=True, eq=False)
class GeneratorEvaluation:
    """Samples that are still movements after re-observation, and the real movements that they match.

    Attributes:
        requested: Number of samples, including those that are no movements any more.
        rows: Row number of the real movement that each remaining sample matches.
        matched: Those movements, observed.
        produced: The samples, observed.
        real: Kinematic features of `matched`.
        probes: The probes, with their columns of all evaluated movements.
        floors: By probe the scores of other users' movements in the place of samples, for all evaluated movements.
        sigma: Width of the MMD kernel, fixed on all evaluated movements.
        training: Paths of the training movements.
        condition_std: Standard deviation of each measured condition in the training split.
    """

    requested: int
    rows: Int[Tensor, "K"]
    matched: Canonical
    produced: Canonical
    real: Float[Tensor, "K F"]
    probes: Probes
    floors: Mapping[str, PairedScores]
    sigma: float
    training: TrainingPaths
    condition_std: Float[Tensor, "M"]
    seed: int

    @property
    def rejected(self) -> float:
        """Share of the samples that are no movements any more: without net displacement, or not finite."""
        return 1.0 - len(self.rows) / self.requested

    @property
    def evaluable(self) -> bool:
        """Whether at least half of the samples remain; otherwise the rest would describe another model."""
        return 2 * len(self.rows) >= self.requested

    @cached_property
    def scaled(self) -> Standardised:
        """Kinematic features of both sides on the scale of the real ones."""
        return standardise(self.real, kinematic_features(self.produced), columns=FEATURES)

    @cached_property
    def tests(self) -> ProbeTests:
        """What each probe reads of the samples and the movements that they match."""
        return ProbeTests(self.probes(self.produced, self.matched.group, self.rows), self.floors, self.rows.numpy())

    @cached_property
    def prd(self) -> tuple[float, float]:
        """Precision and recall of clusters."""
        return prd(self.scaled.real, self.scaled.others[0], seed=self.seed)

    @cached_property
    def neighbours(self) -> tuple[float, float]:
        """Improved precision and recall."""
        return precision_recall(self.scaled.real, self.scaled.others[0], seed=self.seed)

    @cached_property
    def neighbour_rows(self) -> tuple["np.ndarray[tuple[int], np.dtype[np.bool_]]", ...]:
        """Which samples lie in the real manifold, and which real movements in that of the samples."""
        realistic, recalled = precision_recall_rows(self.scaled.real, self.scaled.others[0], seed=self.seed)
        return realistic.numpy(), recalled.numpy()

    @cached_property
    def density_coverage(self) -> tuple[float, float]:
        """Density and coverage."""
        return density_coverage(self.scaled.real, self.scaled.others[0], seed=self.seed)

    @cached_property
    def mmd_of(self) -> Callable[[Indices], float]:
        """Unbiased squared MMD of chosen samples against the movements that they match."""
        return mmd_of_rows(self.scaled.real, self.scaled.others[0], self.sigma)

    @cached_property
    def memorisation(self) -> Memorisation:
        """Distances of the samples to the training movements."""
        return self.training(self.produced.deltas, self.produced.mask)

    @cached_property
    def training_distance(self) -> Float[Tensor, "K"]:
        """Distance of each sample to the nearest training movement."""
        return self.training.distance(self.produced.deltas, self.produced.mask)

    @cached_property
    def copied(self) -> Bool[Tensor, "K"]:
        """Which samples are as near to one of the evaluated movements as copies are."""
        samples, matched = (movement_paths(part.deltas, part.mask) for part in (self.produced, self.matched))
        return self.training.copies(samples, matched)

    @cached_property
    def condition_errors(self) -> tuple[ConditionError, ...]:
        """Requested against produced, by measured condition."""
        return condition_errors(
            self.matched.measured_condition(),
            self.produced.measured_condition(),
            self.condition_std,
            MEASURED_CONDITIONS,
        )

    @cached_property
    def _place(self) -> Indices:
        """Of each evaluated movement the number of its sample here, -1 where that is no movement any more."""
        place = torch.full((self.requested,), -1).index_put((self.rows,), torch.arange(len(self.rows)))
        return place.numpy()

    def samples_of(self, movements: Indices) -> Indices:
        """Numbers of the remaining samples of chosen movements."""
        chosen = self._place[movements]
        return chosen[chosen >= 0]

    def rejected_of(self, movements: Indices) -> float:
        """Share of the chosen movements whose sample is no movement any more."""
        return float((self._place[movements] < 0).mean())
