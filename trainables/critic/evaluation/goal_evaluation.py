"""Scores of a critic and of its baselines on the same batches, source by source, and their means.

Each source counts alike, for recorders differ in how far apart goals lie. A row is a transition that was drawn; its
candidates are the goals of its batch that count. Left out with its user, a row leaves the others' candidates as they
are: a statistic is over rows, and candidates are part of the task.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from trainables.eval.indices import Indices

SCORES = ("critic", "distance", "extrapolation", "chance", "loss", "masked")


@dataclass(frozen=True, eq=False)
class SourceScores:
    """Scores of the rows of one source, in float64.

    Attributes:
        owners: User of each row.
        critic, distance, extrapolation: 1 where the row's own goal has the largest f, as `credit` of the losses.
        chance: One over the number of candidates.
        loss: InfoNCE of the critic, in nats.
        masked: Share of the other goals of the batch that do not count.
        batch_size: Rows of a batch.
    """

    owners: tuple[str, ...]
    critic: Float[Tensor, "N"]
    distance: Float[Tensor, "N"]
    extrapolation: Float[Tensor, "N"]
    chance: Float[Tensor, "N"]
    loss: Float[Tensor, "N"]
    masked: Float[Tensor, "N"]
    batch_size: int

    def mean(self, name: str, rows: Indices) -> float:
        """Return the mean of a score over rows."""
        return float(getattr(self, name).numpy()[rows].mean())

    def shortfall(self, rows: Indices) -> float:
        """Return the accuracy of the better baseline minus that of the critic over rows."""
        return max(self.mean("distance", rows), self.mean("extrapolation", rows)) - self.mean("critic", rows)


@dataclass(frozen=True, eq=False)
class GoalEvaluation:
    """Scores by source; rows are numbered through, source after source."""

    sources: Mapping[str, SourceScores]

    def by_source(self) -> Mapping[str, "GoalEvaluation"]:
        """Return the evaluation of each of several sources alone; none of one source."""
        several = len(self.sources) > 1
        return {source: GoalEvaluation({source: scores}) for source, scores in self.sources.items() if several}

    @property
    def owners(self) -> tuple[str, ...]:
        """User of each row."""
        return tuple(owner for scores in self.sources.values() for owner in scores.owners)

    def mean(self, name: str) -> float:
        """Return the mean over sources of a score."""
        return self.statistic(name)(np.arange(len(self.owners)))

    def shortfall(self) -> float:
        """Return the mean over sources of how much less accurate the critic is than the better baseline."""
        return self.shortfall_statistic()(np.arange(len(self.owners)))

    def statistic(self, name: str) -> Callable[[Indices], float]:
        """Return the function of row numbers that is the mean over sources of a score."""
        return self._mean_over_sources(lambda scores, rows: scores.mean(name, rows))

    def shortfall_statistic(self) -> Callable[[Indices], float]:
        """Return the function of row numbers that is the mean over sources of the shortfall."""
        return self._mean_over_sources(lambda scores, rows: scores.shortfall(rows))

    def _mean_over_sources(self, of: Callable[[SourceScores, Indices], float]) -> Callable[[Indices], float]:
        """Return the mean over those sources that have a row."""
        first = np.cumsum([0, *(len(scores.owners) for scores in self.sources.values())])

        def statistic(rows: Indices) -> float:
            found = []
            for scores, low, high in zip(self.sources.values(), first, first[1:], strict=False):
                own: npt.NDArray[np.int64] = rows[(rows >= low) & (rows < high)] - low
                if len(own):
                    found.append(of(scores, own))
            return float(np.mean(found))

        return statistic
