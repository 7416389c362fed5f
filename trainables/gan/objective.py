"""The adversarial game: the critic estimates a Wasserstein distance, the generator lowers it.

critic     minimise  E f(fake) - E f(real) + penalty E (|grad_x f(x)|_2 - 1)^2,   x = u real + (1 - u) fake
generator  minimise  - E f(fake)

Fakes are made under the conditions and the masks of the real rows, so the two distributions that the critic compares
differ in the sequences alone.

References: Improved Training of Wasserstein GANs (Gulrajani et al., 2017), eq. 3, arXiv:1704.00028.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.data.dataset import Batch

Score = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(z [B,T,C], mask [B,T], condition [B,D]) -> score [B]."""


class StepRandomness(NamedTuple):
    """The randomness of one step, drawn before the networks run.

    Attributes:
        mix: u of the gradient penalty, uniform in [0, 1).
    """

    latent: Float[Tensor, "B L"]
    noise: Float[Tensor, "B T K"]
    mix: Float[Tensor, "B"]


class CriticLoss(NamedTuple):
    """The total to differentiate, and its parts for the log."""

    total: Float[Tensor, ""]
    distance: Float[Tensor, ""]
    penalty: Float[Tensor, ""]


def sample_randomness(
    mask: Bool[Tensor, "B T"], latent_dim: int, noise_channels: int, random: torch.Generator
) -> StepRandomness:
    """Latent vectors and noise from the standard normal distribution, mixing shares from the uniform one."""
    rows, steps = mask.shape
    latent = torch.randn(rows, latent_dim, generator=random)
    noise = torch.randn(rows, steps, noise_channels, generator=random)
    return StepRandomness(latent, noise, torch.rand(rows, generator=random))


def critic_loss(
    critic: Score, batch: Batch, fake: Float[Tensor, "B T C"], mix: Float[Tensor, "B"], weight: float
) -> CriticLoss:
    """Negative distance plus `weight` times the gradient penalty.

    Real, fake and mixed sequences are one call of the critic: faster, and what data-parallel wrappers ask for.
    """
    real, mask = batch.sequences
    share = mix[:, None, None]
    mixed = (share * real + (1.0 - share) * fake).requires_grad_()
    scores = critic(torch.cat([real, fake, mixed]), mask.repeat(3, 1), batch.condition.repeat(3, 1))
    of_real, of_fake, of_mixed = scores.chunk(3)
    distance = of_real.mean() - of_fake.mean()
    penalty = gradient_penalty(of_mixed, mixed).mean()
    return CriticLoss(weight * penalty - distance, distance.detach(), penalty.detach())


def gradient_penalty(scores: Float[Tensor, "B"], at: Float[Tensor, "B T C"]) -> Float[Tensor, "B"]:
    """(|d score_b / d at_b|_2 - 1)^2 of each row, differentiable; rows must not see each other.

    The norm is over steps and channels. Its square root has an infinite slope at 0, hence the small term under it.
    """
    [gradient] = torch.autograd.grad(scores.sum(), at, create_graph=True)
    norm = (gradient.square().sum(dim=(1, 2)) + 1e-12).sqrt()
    return (norm - 1.0).square()


def generator_loss(critic: Score, batch: Batch, fake: Float[Tensor, "B T C"]) -> Float[Tensor, ""]:
    """Minus the mean score of the fakes."""
    return -critic(fake, batch.sequences.mask, batch.condition).mean()
