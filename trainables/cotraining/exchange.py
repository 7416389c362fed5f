"""Movements of one model for the training set of the other, under the conditions of training movements alone.

They are a function of the model's weights, the seed and the cycle. So none is ever stored: a run that resumes inside a
cycle makes them again, and one that is interrupted leaves none behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.augmentation.generators import SEEDS
from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.cotraining.config import CotrainingConfig
from trainables.data.balance import (
    generated_count,
    sample_weights,
    validate_augmentation_balance,
    validate_weights,
)
from trainables.data.canonical import Canonical, concatenate, decode, encode, usable
from trainables.training.trainable import TrainingDivergedError


@runtime_checkable  # for the checks of types in tests
class Sampler(Protocol):
    """A generator of canonical movements."""

    def sample_matching(self, real: Canonical, *, seed: int) -> Canonical:
        """One sample per movement of `real`, under its condition; groups are kept."""


@dataclass(frozen=True, eq=False)
class Exchange:
    """Generated movements, and how many samples were no movements and were drawn again."""

    movements: Canonical
    rejected: int = 0

    def account(self, balance: str, real: int) -> dict[str, Any]:
        """Return the counts beside so many real movements, with their checked balance, as plain values."""
        return {"real": real, "generated": len(self.movements), "rejected": self.rejected, "balance": balance}


def exchanged_count(config: CotrainingConfig, real: int) -> int:
    """Return how many movements one model makes for the other beside so many real ones.

    Raises:
        ConfigError: an alpha above 0 that rounds to none.
    """
    if config.weight > 0:
        return real
    count = generated_count(real, config.alpha)
    law = "`round(alpha * real) >= 1` where alpha is not 0"
    require(count > 0 or config.alpha == 0, law, f"alpha={config.alpha:g}, real={real}", "set alpha=0, or a larger one")
    return count


def weights_of(config: CotrainingConfig, real: int, generated: int) -> Float[Tensor, "N"] | None:
    """Return the weights of the movements in a population, the real ones first; None where movements are counted."""
    return sample_weights(real, generated, config.weight, torch.float64) if config.weight > 0 else None


def balance_of(
    config: CotrainingConfig, real: int, generated: int, weights: Float[Tensor, "N"] | None, item: Sequence[object]
) -> str:
    """Return the checked balance of a population before it is fitted.

    Args:
        item: Of the movements with their conditions.

    Raises:
        BalanceError: another number of generated movements, or other weights, than the configuration says.
    """
    if weights is None:
        return validate_augmentation_balance(real, generated, config.alpha, item)
    return validate_weights(real, generated, config.weight, weights)


def exchanged(model: Sampler, by: str, real: Canonical, count: int, config: CotrainingConfig, cycle: int) -> Exchange:
    """Return `count` movements of a model under conditions drawn from the real ones.

    Samples that are no movements in whole pixels are drawn again, and counted.

    Args:
        by: Name of the model.

    Raises:
        TrainingDivergedError: more than half of the samples are no movements.
    """
    random = generator(config.seed, "exchange", by, cycle)
    made, rejected = [real.take(torch.arange(0))], 0
    while (missing := count - sum(map(len, made))) > 0:
        like = real.take(torch.randint(len(real), (missing,), generator=random))
        seed = int(torch.randint(SEEDS, (1,), generator=random))
        movements = decode(model.sample_matching(like, seed=seed), config.data.canonical)
        rows, dropped = usable(movements, config.data.canonical)
        if 2 * len(rows) < missing:
            reasons = ", ".join(f"{reason}: {n}" for reason, n in dropped.items() if n)
            raise TrainingDivergedError(
                f"{missing - len(rows)} of {missing} samples of the {by} model are no movements in cycle {cycle} "
                f"({reasons}); train it longer before the cycles, with more epochs"
            )
        made.append(encode(movements.take(rows), config.data.canonical))
        rejected += missing - len(rows)
    return Exchange(concatenate(*made), rejected)
