"""Actor of contrastive reinforcement learning: a tanh-Gaussian policy, its losses, and the temperature of its entropy.

    u = mean(s, g) + std(s, g) eps,   eps ~ N(0, I),   a = tanh(u) in (-1, 1)^A
    log std = -5 + 3.5 (tanh(raw) + 1), so that it is in [-5, 2]
    log pi(a | s, g) = sum_i log N(u_i; mean_i, std_i) - log(1 - tanh(u_i)^2)

The actor raises f(s, a, g), the critic's similarity, and the entropy of its actions:

    actor         minimise  E[alpha log pi(a | s, g) - f(s, a, g)],   alpha = exp(log_alpha) held fixed
    temperature   minimise  E[alpha (-log pi(a | s, g) - H)],         log pi held fixed, H = -A / 2

so alpha grows while the entropy is below H. Goals are those of the critic's batch, later positions of other or the same
trajectories, rather than the targets of the episodes: the caller relabels them.

References: Soft Actor-Critic Algorithms and Applications (Haarnoja et al., 2018), section 5 and appendix C,
    arXiv:1812.05905; Contrastive Learning as Goal-Conditioned Reinforcement Learning (Eysenbach et al., 2022),
    arXiv:2206.07568; 1000 Layer Networks for Self-Supervised RL (Wang et al., 2025), arXiv:2503.14858.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LEAST_LOG_STD, LARGEST_LOG_STD = -5.0, 2.0
ENTROPY_PER_ACTION = -0.5  # target, in nats
HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


class Gaussian(NamedTuple):
    """The distribution of u, before tanh."""

    mean: Float[Tensor, "*B A"]
    log_std: Float[Tensor, "*B A"]


class Drawn(NamedTuple):
    """Actions with the logarithm of their density; both are differentiable by the distribution."""

    action: Float[Tensor, "*B A"]
    log_pi: Float[Tensor, "*B"]


class Actor(nn.Module):
    """A head for mean and log std on top of any trunk [B, state and goal] -> [B, width]."""

    def __init__(self, trunk: nn.Module, width: int, action_size: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(width, 2 * action_size)

    def forward(self, state: Float[Tensor, "B S"], goal: Float[Tensor, "B G"]) -> Gaussian:
        """Return the distribution of actions in a state towards a goal."""
        mean, raw = self.head(self.trunk(torch.cat([state, goal], dim=1))).chunk(2, dim=1)
        return Gaussian(mean, bounded_log_std(raw))


def bounded_log_std(raw: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
    """-5 + 3.5 (tanh(raw) + 1): the output of the head onto the range of log std."""
    return LEAST_LOG_STD + 0.5 * (LARGEST_LOG_STD - LEAST_LOG_STD) * (raw.tanh() + 1.0)


def draw(policy: Gaussian, eps: Float[Tensor, "*B A"]) -> Drawn:
    """Return actions made of standard normal numbers, with their log density."""
    u = torch.addcmul(policy.mean, policy.log_std.exp(), eps)
    return Drawn(u.tanh(), _log_pi(eps, u, policy.log_std))


def log_density(policy: Gaussian, action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B"]:
    """Return log pi of given actions, each component between -1 and 1, neither included."""
    u = action.atanh()
    return _log_pi((u - policy.mean) * torch.exp(-policy.log_std), u, policy.log_std)


def median_action(policy: Gaussian) -> Float[Tensor, "*B A"]:
    """Return tanh(mean), the action without exploration."""
    return policy.mean.tanh()


def target_entropy(action_size: int) -> float:
    """Return H in nats, of the actions after tanh."""
    return ENTROPY_PER_ACTION * action_size


def actor_loss(
    log_alpha: Float[Tensor, ""], log_pi: Float[Tensor, "B"], similarity: Float[Tensor, "B"]
) -> Float[Tensor, ""]:
    """Mean of alpha log pi - f; no gradient reaches log_alpha."""
    return (log_alpha.detach().exp() * log_pi - similarity).mean()


def alpha_loss(log_alpha: Float[Tensor, ""], log_pi: Float[Tensor, "B"], entropy: float) -> Float[Tensor, ""]:
    """alpha times the mean excess of the entropy over its target; no gradient reaches the policy."""
    return log_alpha.exp() * (-log_pi.detach() - entropy).mean()


def _log_pi(
    eps: Float[Tensor, "*B A"], u: Float[Tensor, "*B A"], log_std: Float[Tensor, "*B A"]
) -> Float[Tensor, "*B"]:
    """Log density of tanh(u), eps = (u - mean) / std, with log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u))."""
    correction = 2.0 * (math.log(2.0) - u - F.softplus(-2.0 * u))
    return (-0.5 * eps.square() - log_std - HALF_LOG_2_PI - correction).sum(dim=-1)
