"""Goals from the future of a transition: a truncated geometric distribution over the steps that are left.

With R later rows in the trajectory, the goal lies k = 1 ... R rows ahead with p(k) proportional to gamma^k, so that

    F(k) = (1 - gamma^k) / (1 - gamma^R)        k = ceil(log(1 - u (1 - gamma^R)) / log gamma),  u uniform in [0, 1)

and uniformly over 1 ... R for gamma = 1. Without the truncation, goals would cross the end of the episode.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.critic.episodes import POSITION
from trainables.data.config import RATE_HZ

EXACT = "donot_use_mm_for_euclid_dist"  # the expanded square is off by whole pixels at the far end of a screen


def steps_ahead(u: Float[Tensor, "B"], remaining: Int[Tensor, "B"], gamma: float) -> Int[Tensor, "B"]:
    """Return k of the quantiles u by the inverse of the distribution function, in float64; `remaining` is at least 1.

    Raises:
        ConfigError: Unless `0 < gamma <= 1`.
    """
    require(0 < gamma <= 1, "`0 < gamma <= 1`", f"gamma={gamma}")
    if gamma == 1:
        k = (u.double() * remaining).floor() + 1
    else:
        log_gamma = math.log(gamma)
        k = (torch.log1p(u.double() * torch.expm1(remaining * log_gamma)) / log_gamma).ceil()
    return k.long().clamp(min=1).minimum(remaining.long())


def negative_mask(trajectory: Int[Tensor, "B"], goal: Float[Tensor, "B G"], tolerance_px: float) -> Bool[Tensor, "B B"]:
    """Whether the goal of column j is a negative of row i: of another trajectory, and further than the tolerance away.

    The distance is that of the positions; goals with a velocity are equal where the steps before them are, too.
    """
    same = trajectory[:, None] == trajectory
    near = torch.cdist(goal[:, :POSITION], goal[:, :POSITION], compute_mode=EXACT) <= tolerance_px
    if goal.shape[1] > POSITION:
        step = goal[:, POSITION:] / RATE_HZ
        near &= torch.cdist(step, step, compute_mode=EXACT) <= tolerance_px
    return ~(same | near)
