"""The training set: real movements and, by count, those of a generator that was written down instead of learnt."""

from dataclasses import dataclass

import torch

from trainables.config import ConfigError, require, require_member
from trainables.data.balance import generated_count, validate_augmentation_balance
from trainables.data.canonical import Canonical, CanonicalConfig, concatenate, encode, usable
from trainables.data.dataset import DataParts, SequenceDataset
from trainables.physical.minimum_jerk import GENERATORS
from trainables.seeding import generator


@dataclass(frozen=True)
class AugmentationConfig:
    """Generated movements in the training set, by count; they carry no weight."""

    alpha: float = 0.0  # generated over real
    generator: str = "minimum_jerk"

    def __post_init__(self) -> None:
        require(0 <= self.alpha <= 10, "`0 <= alpha <= 10`", f"alpha={self.alpha}")
        require_member("generator", self.generator, GENERATORS)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a model is trained on, and the checked account of its balance."""

    dataset: SequenceDataset
    balance: str


def training_set(parts: DataParts, canonical: CanonicalConfig, config: AugmentationConfig, seed: int) -> TrainingSet:
    """The real training part with `generated_count(real, alpha)` generated movements behind it.

    At alpha 0 nothing is drawn and the set is the real part itself.
    """
    real = parts["train"]
    generated = generate(real, canonical, config, seed)
    dataset = SequenceDataset(concatenate(real, generated), parts.statistics)
    sample = dataset[0]
    return TrainingSet(dataset, validate_augmentation_balance(len(real), len(generated), config.alpha, sample))


def generate(real: Canonical, canonical: CanonicalConfig, config: AugmentationConfig, seed: int) -> Canonical:
    """Exactly `generated_count(len(real), alpha)` movements under conditions drawn from the real ones.

    Raises:
        ConfigError: a generated movement cannot be brought into canonical form; none is replaced or left out silently.
    """
    count = generated_count(len(real), config.alpha)
    random = generator(seed, "augmentation")
    like = real.take(torch.randint(len(real), (count,), generator=random)) if count else real.take(torch.arange(0))
    if not count:
        return like
    movements = GENERATORS[config.generator](like, random)
    rows, dropped = usable(movements, canonical)
    if len(rows) != count:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in dropped.items() if n)
        raise ConfigError(
            f"`generated == {count}` must hold, but {config.generator} gave {len(rows)} usable ({reasons})"
        )
    return encode(movements, canonical)
