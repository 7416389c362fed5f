"""Exponential moving average of weights, whose decay is a law of the number of updates."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

DecayLaw = Callable[[int], float]
"""Number of the update, from 0 -> decay."""


def warmed_up(decay: float) -> DecayLaw:
    """Return d = min(decay, (1 + n) / (10 + n)) at update n, so that a short run is not left near its initialisation.

    The warm-up ends at n = (10 decay - 1) / (1 - decay): with 0.999 after 8,990 updates.

    References: the warm-up is the one of TensorFlow's ExponentialMovingAverage with `num_updates`.
    """
    return lambda update: min(decay, (1 + update) / (10 + update))


def power_function(width: float) -> DecayLaw:
    """Return d = (1 - 1 / t)^(gamma + 1) at update t = 1, 2, ...: an average that is as wide as the training is long.

    The weights of step tau <= t then count in proportion to tau^gamma, the first weights not at all.

    Args:
        width: Standard deviation of that profile over its length, (gamma + 1)^1/2 / ((gamma + 2) (gamma + 3)^1/2);
            below 12^-1/2, the one of equal weights.

    References: Analyzing and Improving the Training Dynamics of Diffusion Models (Karras et al., 2024), eq. 1 and 2 and
    algorithm 2, arXiv:2312.02696.
    """
    exponent = gamma_of(width) + 1.0
    return lambda update: (update / (update + 1.0)) ** exponent


def gamma_of(width: float) -> float:
    """Return the exponent of the profile with a relative standard deviation.

    The largest real root of gamma^3 + 7 gamma^2 + (16 - width^-2) gamma + 12 - width^-2.

    >>> round(gamma_of(0.10), 2)
    6.94
    """
    inverse = width**-2
    roots = np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse])
    return float(roots.real.max())


class ExponentialMovingAverage:
    """theta_ema <- d theta_ema + (1 - d) theta with d = law(n) at update n.

    Args:
        law: Of the decay; a number stands for `warmed_up` of it.
    """

    def __init__(self, model: nn.Module, law: DecayLaw | float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.law = law if callable(law) else warmed_up(law)
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards `model`; buffers are copied."""
        decay = self.law(self.updates)
        self.updates += 1
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1.0 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
