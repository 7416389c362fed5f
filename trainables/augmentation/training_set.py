"""The training set: real movements, varied anew in every pass, and by count those of a generator not learnt."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.augmentation.config import AugmentationConfig
from trainables.augmentation.generators import GENERATORS
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.augment import augment
from trainables.data.balance import (
    generated_count,
    sample_weights,
    validate_augmentation_balance,
    validate_weights,
)
from trainables.data.canonical import TENSORS, Canonical, Movements, concatenate, decode, encode, usable
from trainables.data.config import PART, CanonicalConfig, VariationsConfig
from trainables.data.dataset import SequenceDataset
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.statistics import Statistics

SOURCE_UNKNOWN = 0.1  # share of the rows, so that a network learns what movements of no named source are like


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Training movements, recorded and generated, with the checked account of their balance.

    Attributes:
        weight: Of a generated movement beside the 1 of a recorded one; None: movements have no weight, and count alike.
        real_weight: Of each recorded movement beside the 1 of a generated one, in the place of `weight`.
    """

    balance: str
    real: Canonical
    generated: Canonical
    statistics: Statistics
    canonical: CanonicalConfig
    variations: VariationsConfig
    weight: float | None = None
    real_weight: Float[Tensor, "N"] | None = None

    def __len__(self) -> int:
        return len(self.real) + len(self.generated)

    @cached_property
    def dataset(self) -> SequenceDataset:
        """The real movements as recorded, the generated ones behind them."""
        return self._beside(self.real)

    def _beside(self, real: Canonical) -> SequenceDataset:
        """Real movements and the generated ones behind them, weighted if they are."""
        dataset = SequenceDataset(concatenate(real, self.generated), self.statistics)
        if self.real_weight is not None:
            return dataset.weighted(torch.cat([self.real_weight, torch.ones(len(self.generated))]))
        if self.weight is None:
            return dataset
        return dataset.weighted(sample_weights(len(real), len(self.generated), self.weight))

    def passed(self, random: torch.Generator) -> Iterator[SequenceDataset]:
        """Yield the data sets of one pass, each of at most `PART` movements: what is in memory of a set of any size.

        Nothing is drawn to divide a set of one part.
        """
        for part in self.parts(random):
            yield part.fresh(random)

    def parts(self, random: torch.Generator) -> Iterator["TrainingSet"]:
        """Yield the whole set by chance in parts of equal size; itself if it is one."""
        count = math.ceil(len(self) / PART)
        if count <= 1:
            yield self
            return
        for rows in torch.randperm(len(self), generator=random).tensor_split(count):
            ascending, recorded = rows.sort().values, len(self.real)
            real, generated = ascending[ascending < recorded], ascending[ascending >= recorded] - recorded
            weights = None if self.real_weight is None else self.real_weight[real]
            part = replace(self, real=self.real.take(real), generated=self.generated.take(generated))
            yield replace(part, real_weight=weights)

    @cached_property
    def movements(self) -> Movements:
        """The real movements on the screen again: exactly, unless the form interpolates over time."""
        return decode(self.real, self.canonical)

    def fresh(self, random: torch.Generator) -> SequenceDataset:
        """The data set of one pass, in which the source of `SOURCE_UNKNOWN` of the rows is unknown.

        `dataset` itself, with nothing drawn, if every variation is off and there is one source.
        """
        dataset = self.dataset
        if self.variations.active():
            varied, _ = self.varied(random)
            dataset = self._beside(varied)
        if not self.statistics.sources:
            return dataset
        return dataset.without_sources(torch.rand(len(dataset), generator=random) < SOURCE_UNKNOWN)

    def varied(self, random: torch.Generator) -> tuple[Canonical, Mapping[str, int]]:
        """The real movements, varied, in their order, and how many each variation had to leave as they were.

        Rows that no variation was applied to are the recorded ones, bit for bit.
        """
        result = augment(self.movements, self.variations, self.canonical, random)
        rows = result.changed.nonzero().squeeze(1)
        changed = encode(result.movements.take(rows), self.canonical)
        tensors = {name: getattr(self.real, name).index_copy(0, rows, getattr(changed, name)) for name in TENSORS}
        return replace(self.real, **tensors), result.refused


def first_part(canonical: Canonical) -> Canonical:
    """Return the first `PART` movements, which is all of a smaller set."""
    return canonical if len(canonical) <= PART else canonical.take(torch.arange(PART))


def training_set(splits: DataSplits, canonical: CanonicalConfig, config: AugmentationConfig, seed: int) -> TrainingSet:
    """The real training split with `generated_count(real, alpha)` generated movements behind it.

    At alpha 0 nothing is drawn and the set is the training split itself.
    """
    generated = generate(splits, canonical, config, seed)
    return training_set_with(splits, canonical, generated, config.alpha, config.variations)


def training_set_with(
    splits: DataSplits,
    canonical: CanonicalConfig,
    generated: Canonical,
    alpha: float,
    variations: VariationsConfig,
    weight: float = 0.0,
) -> TrainingSet:
    """Return the real training split with generated movements behind it, whose number is checked.

    Args:
        weight: Of each generated movement, as many as real ones, in the place of alpha; 0: movements have no weight.

    Raises:
        BalanceError: another number than `generated_count(real, alpha)`, or with weights than of real ones.
    """
    real = splits["train"]
    if weight > 0:
        weights = sample_weights(len(real), len(generated), weight)
        balance = validate_weights(len(real), len(generated), weight, weights)
        return TrainingSet(balance, real, generated, splits.statistics, canonical, variations, weight)
    first = SequenceDataset(real.take(torch.arange(1)), splits.statistics)[0]
    balance = validate_augmentation_balance(len(real), len(generated), alpha, first)
    return TrainingSet(balance, real, generated, splits.statistics, canonical, variations)


def generate(splits: DataSplits, canonical: CanonicalConfig, config: AugmentationConfig, seed: int) -> Canonical:
    """Exactly `generated_count(training movements, alpha)` movements under conditions drawn from the real ones.

    Raises:
        ConfigError: a generated movement cannot be brought into canonical form; none is replaced or left out silently.
        CheckpointError: the generator's checkpoint cannot be used.
    """
    real = splits["train"]
    count = generated_count(len(real), config.alpha)
    random = generator(seed, "augmentation")
    like = real.take(torch.randint(len(real), (count,), generator=random)) if count else real.take(torch.arange(0))
    if not count:
        return like
    movements = GENERATORS[config.generator](config, canonical, splits.sha256)(like, random)
    rows, dropped = usable(movements, canonical)
    if len(rows) != count:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in dropped.items() if n)
        raise ConfigError(
            f"expected `generated == {count}`, but {config.generator} gave {len(rows)} usable ({reasons})"
        )
    return encode(movements, canonical)
