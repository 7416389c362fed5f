"""The ratio of real to sampled density as the weight of a training movement in the loss.

A diffusion whose loss weighs each movement by w(x) learns p(x) w(x) / E[w]. With w = r^strength, r = p_real / p_sampled
of an earlier generator, what that one makes too seldom counts more, and what it makes too often less; where it samples
as users move, r is 1 and nothing changes. The correction that a selection pays for with every sample is so paid for
once, as far as the network can learn it.

Weights are bounded, then normalised to a mean of 1 within each source, so that neither the learning rate nor the share
of a source changes. Movements of sources without a ratio have weight 1. A movement of a user to whom the ratio was
fitted is scored by the model of the fold that has not seen the user.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import build
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.eval.generation.validator import observed_alike
from trainables.generation.conditions import Conditions, matching_conditions
from trainables.generation.selection.config import RatioConfig, ReweightConfig
from trainables.generation.selection.density_ratio import folds_of_users
from trainables.generation.selection.fit import fitted_movements
from trainables.generation.selection.resampling import Floats, effective_candidates
from trainables.generation.selection.selector import Selector


@dataclass(frozen=True, eq=False)
class LossWeights:
    """The weight of each training movement.

    Attributes:
        weight: Mean 1 within each source; float32.
        account: Plain values for the record of a checkpoint.
    """

    weight: Float[Tensor, "N"]
    account: Mapping[str, Any]


def loss_weights(
    selector: Selector, training: Canonical, canonical: CanonicalConfig, learnt: Conditions, config: ReweightConfig
) -> LossWeights:
    """Return the weight of each training movement.

    Args:
        training: The training split, the one that the selector was fitted to.
        learnt: Conditions that the generator of the selector was trained with.
    """
    weights, of_sources = np.ones(len(training)), dict[str, dict[str, float]]()
    for source in selector.ratios:
        rows = np.array([row for row, name in enumerate(training.source) if name == source])
        movements = training.take(torch.from_numpy(rows))
        log_ratio = _out_of_fold(selector, source, training, movements, canonical, learnt)
        weights[rows] = normalised(log_ratio, config)
        of_sources[source] = _account(weights[rows])
    account = {
        "generator_sha256": selector.record["generator_sha256"],
        "selector_sha256": selector.record["weights_sha256"],
        "strength": config.strength,
        "max_weight": config.max_weight,
        "sources": of_sources,
    }
    return LossWeights(torch.from_numpy(weights).float(), account)


def normalised(log_ratio: Floats, config: ReweightConfig) -> Floats:
    """Return weights of mean 1 [N]: r^strength, held within [1 / M, M], over the mean.

    >>> normalised(np.log([1.0, 3.0, 1e9]), ReweightConfig("checkpoint", max_weight=4.0)).round(3).tolist()
    [0.375, 1.125, 1.5]
    """
    bound = math.log(config.max_weight)
    bounded = np.exp(np.clip(config.strength * log_ratio, -bound, bound))
    weights: Floats = bounded / bounded.mean()
    return weights


def _out_of_fold(
    selector: Selector,
    source: str,
    training: Canonical,
    movements: Canonical,
    canonical: CanonicalConfig,
    learnt: Conditions,
) -> Floats:
    """Return log r of the movements of a source."""
    one, config = selector.ratios[source], build(RatioConfig, selector.record["config"])
    fold_of = folds_of_users(fitted_movements(training, source, config).group, config)
    asked = matching_conditions(movements, learnt)
    table = one.columns(observed_alike(movements, canonical), asked.raw, asked.angle)
    return one.out_of_fold(table, np.array([fold_of.get(user, -1) for user in movements.group]))


def _account(weights: Floats) -> dict[str, float]:
    """Return the movements, the smallest and the largest weight, and so many of equal weight as would vary as much."""
    (effective,) = effective_candidates(weights[None] / weights.sum()).tolist()
    return {
        "movements": len(weights),
        "smallest": float(weights.min()),
        "largest": float(weights.max()),
        "effective_movements": effective,
    }
