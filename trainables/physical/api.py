"""Samples from a fitted physical model: conditions in, canonical movements out.

The counterpart of `trainables.gan.api` and `trainables.diffusion.api`: the same conditions, frames and standardisation.
A row is computed by itself, so that none of its bits depends on what is computed with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.core.config import build, require
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, Movements, canonical_within
from trainables.data.config import CanonicalConfig
from trainables.data.splits.statistics import Statistics
from trainables.generation.conditions import Conditions, restored
from trainables.generation.direct_sampling import DirectSampling
from trainables.physical.config import FitConfig, PopulationConfig
from trainables.physical.forms import FORMS
from trainables.physical.population import Components, Population
from trainables.physical.state import KIND, components_of
from trainables.training.checkpoint import CheckpointError, load_checkpoint_of, weights_that_fit


@dataclass(frozen=True, eq=False)
class PhysicalGenerator(DirectSampling):
    """A population with everything that turns its samples into canonical movements."""

    about_sampling: ClassVar[str] = (
        "No network: strokes near those of a training movement, turned and scaled onto the requested net displacement; "
        "there is nothing to choose."
    )
    population: Population
    statistics: Statistics
    canonical: CanonicalConfig
    training_conditions: Conditions

    @property
    def model(self) -> nn.Module:
        """The components of the population."""
        return self.population.components

    def sampling_with(self, changes: object) -> None:
        """There is nothing to choose.

        Raises:
            ConfigError: something was chosen.
        """
        chosen = ", ".join(f"{name}={value}" for name, value in vars(changes).items() if value is not None)
        require(not chosen, "no sampler for a physical model, which draws samples directly", chosen, "leave it out")

    @property
    def batch_invariant(self) -> bool:
        """Whether no bit of a row depends on what is computed together with it: always."""
        return True

    def rows(
        self,
        conditions: Conditions,
        frame: Canonical,
        keys: Sequence[tuple[int, int]],
        sampling: object | None = None,
    ) -> Float[Tensor, "N T C"]:
        """Standardised samples, zero under the mask; row i depends on its key (seed, number) and condition alone.

        `sampling` is None: see `sampling_with`.
        """
        assert sampling is None
        source = conditions.source_in(self.training_conditions.sources)
        z = torch.zeros(*frame.mask.shape, len(self.statistics.mean))
        for row, (seed, number) in enumerate(keys):
            asked = Conditions(conditions.raw[row : row + 1], conditions.angle[row : row + 1], source[row : row + 1])
            steps = self.population.sample(asked, generator(seed, "physical", number))
            own = frame.take(torch.tensor([row]))
            movement = Movements(steps[None], torch.tensor([len(steps)]), own.group)
            z[row] = self.statistics.normalise(canonical_within(movement, own, self.canonical)).squeeze(0)
        return z


def load_physical(checkpoint: Path, device: torch.device | str = "cpu") -> PhysicalGenerator:
    """The population of a physical checkpoint, ready to sample; it samples on the CPU, whatever the device.

    Raises:
        CheckpointError: not a whole checkpoint of a physical model, of another form of strokes, or its tensors do not
            fit its own configuration.
    """
    tensors, record = load_checkpoint_of(KIND, checkpoint)
    return physical_of(record, tensors, checkpoint)


def physical_of(record: Mapping[str, Any], tensors: Mapping[str, Tensor], checkpoint: Path) -> PhysicalGenerator:
    """Return the population among the tensors of a checkpoint, in its configuration; raises as `load_physical` does."""
    with weights_that_fit(checkpoint):
        fit, config = build(FitConfig, record["config"]["fit"]), build(PopulationConfig, record["config"]["population"])
        statistics, known = restored(tensors, record)
        components: Components = components_of(tensors)
        form = FORMS[fit.form]
        if components.free.shape[2] != len(form.free):
            law = f"strokes of {len(form.free)} parameters ({fit.form})"
            raise CheckpointError(f"{checkpoint}: expected {law}, but got {components.free.shape[2]}; fit it again")
        canonical = build(CanonicalConfig, record["config"]["data"]["canonical"])
        population = Population.of(form, config, components)
    return PhysicalGenerator(population, statistics, canonical, known)
