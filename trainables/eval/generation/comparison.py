"""Real and fake movements of a comparison, with the features and groups that all metrics share."""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical
from trainables.eval.features.kinematic import FEATURES, movement_features
from trainables.eval.generation.config import MINIMUM_MOVEMENTS, MetricConfig
from trainables.eval.metrics import Standardised, standardise


@dataclass(frozen=True, eq=False)
class Comparison:
    """Real and fake movements in one form.

    Attributes:
        training: Training movements of the generator.
        requested: Raw conditions of each fake movement, columns as in `CONDITION_NAMES`, if known.

    Raises:
        ConfigError: Fewer movements than `MINIMUM_MOVEMENTS`, or fewer real groups than folds.
    """

    real: Canonical
    fake: Canonical
    training: Canonical
    config: MetricConfig
    requested: Float[Tensor, "M D"] | None = None

    def __post_init__(self) -> None:
        for name, part in (("real", self.real), ("fake", self.fake)):
            law = f"`usable {name} movements >= {MINIMUM_MOVEMENTS}`"
            require(len(part) >= MINIMUM_MOVEMENTS, law, str(len(part)), "give more movements")
        groups = len(set(self.real.group))
        remedy = "give recordings of more users, or name each session as its own user"
        require(groups >= self.config.folds, "`groups of real movements >= folds`", f"{groups} groups", remedy)

    @cached_property
    def paired(self) -> bool:
        """Whether every fake movement has the user of a real one, as samples made under real conditions do."""
        return set(self.fake.group) <= set(self.real.group)

    @cached_property
    def fake_groups(self) -> tuple[str, ...]:
        """Groups of the folds: the user of the real movement that a fake one matches, else the fake movement alone."""
        return self.fake.group if self.paired else tuple(f"fake {row}" for row in range(len(self.fake)))

    @cached_property
    def features(self) -> tuple[Float[Tensor, "N F"], Float[Tensor, "M F"]]:
        """Features of the real and the fake movements, columns as in `FEATURES`."""
        real, fake = (movement_features(part.deltas, part.mask) for part in (self.real, self.fake))
        return real, fake

    @cached_property
    def scaled(self) -> Standardised:
        """Features on the scale of the real movements."""
        real, fake = self.features
        return standardise(real, fake, columns=FEATURES)
