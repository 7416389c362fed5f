"""Sampling that chooses no steps: what generators share whose samples are drawn in one go."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.canonical import Canonical, with_deltas
from trainables.data.config import CanonicalConfig
from trainables.data.splits.statistics import Statistics
from trainables.generation.blocks import WINDOW
from trainables.generation.conditions import Conditions, form_at, matching_conditions


class DirectSampling(ABC):
    """Samples by blocks of rows, under given, drawn or matching conditions; a subclass makes the `rows`.

    Attributes:
        about_sampling: A sentence for the model card.
    """

    about_sampling: ClassVar[str]
    statistics: Statistics
    canonical: CanonicalConfig
    training_conditions: Conditions

    @abstractmethod
    def rows(
        self, conditions: Conditions, frame: Canonical, keys: Sequence[tuple[int, int]], sampling: None = None
    ) -> Float[Tensor, "N T C"]:
        """Standardised samples, zero under the mask; row i depends on its key (seed, number) and condition alone."""

    def require_selectable(self, conditions: Conditions, sampling: object | None = None) -> None:
        """There are no candidates, and so nothing that conditions must have: `sampling` is None."""
        assert sampling is None

    def sample_matching(self, real: Canonical, *, seed: int) -> Canonical:
        """One sample per movement of `real`, under its condition; groups are kept."""
        frame = with_deltas(real, torch.zeros_like(real.deltas))
        z = torch.cat([*self.stream(matching_conditions(real, self.training_conditions), frame, seed=seed)])
        return with_deltas(frame, self.statistics.denormalise(z, frame))

    def draw_conditions(self, count: int, seed: int, longest: int | None = None) -> Conditions:
        """Conditions of training movements (of at most `longest` steps), drawn with replacement."""
        return self.training_conditions.draw(count, seed, longest)

    def stream(
        self, conditions: Conditions, frame: Canonical, *, seed: int, first: int = 0
    ) -> Iterator[Float[Tensor, "M T C"]]:
        """Standardised samples, `WINDOW` rows at a time, zero under the mask.

        Row i is sample number first + i and depends on (seed, first + i, condition i) alone.
        """
        for rows in torch.arange(len(conditions)).split(WINDOW):
            keys = [(seed, number) for number in (rows + first).tolist()]
            yield self.rows(conditions.take(rows), frame.take(rows), keys)

    def canonical_at(self, sequence_length: int) -> CanonicalConfig:
        """The canonical form at another length T.

        Raises:
            ConfigError: a longer one than the trained one, or a shorter one in a form without padding.
        """
        return form_at(self.canonical, sequence_length)
