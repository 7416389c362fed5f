"""Deep residual networks of the critic: phi of (state, action), psi of the goal.

    Dense -> LayerNorm -> Swish, then depth / 4 blocks of four times that with an identity around, then Dense

Inputs are standardised, and each stands beside its sines and cosines at octaves of frequencies: a network of a few
coordinates learns their coarse structure first and the fine one, which parts goals that lie close, late.

Weights are uniform with variance 1 / fan-in (LeCun), biases 0. The identity and the norm are what lets the depth grow;
both can be left out, to show what becomes of a deep network without them.

References: 1000 Layer Networks for Self-Supervised RL (Wang et al., 2025), section 3, arXiv:2503.14858. Efficient
BackProp (LeCun et al., 1998), section 4.6. Fourier Features Let Networks Learn High Frequency Functions in Low
Dimensional Domains (Tancik et al., 2020), section 4, arXiv:2006.10739.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainables.critic.config import BLOCK, CriticModelConfig
from trainables.critic.episodes import ACTION, POSITION, STATE
from trainables.critic.mixture import LinearMaps, begin_small, columns_of_phi, straight_on


class Scale(NamedTuple):
    """Mean and standard deviation of states and actions, by which the networks standardise what they are given."""

    state_mean: Float[Tensor, "4"]
    state_std: Float[Tensor, "4"]
    action_mean: Float[Tensor, "2"]
    action_std: Float[Tensor, "2"]

    @classmethod
    def fit(cls, state: Float[Tensor, "N 4"], action: Float[Tensor, "N 2"]) -> "Scale":
        """Return the statistics of rows; a column that is constant, which carries nothing, is divided by 1."""
        return cls(*_moments(state), *_moments(action))


class Embeddings(NamedTuple):
    """Embeddings phi of (state, action) and psi of goals."""

    phi: Float[Tensor, "B P"]
    psi: Float[Tensor, "B D"]


class ResidualNetwork(nn.Module):
    """Network of `depth` hidden layers in blocks of four.

    Args:
        residual, norm: Whether blocks have their identity, and layers their norm.
    """

    def __init__(self, inputs: int, config: CriticModelConfig, *, residual: bool = True, norm: bool = True) -> None:
        super().__init__()
        width, self.residual = config.width, residual
        self.recomputes = config.depth > config.checkpoint_above
        self.stem = _layer(inputs, width, norm)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(_layer(width, width, norm) for _ in range(BLOCK))) for _ in range(config.depth // BLOCK)
        )
        self.head = _dense(width, config.embedding_dim)

    def forward(self, x: Float[Tensor, "B I"]) -> Float[Tensor, "B D"]:
        h = self.stem(x)
        for block in self.blocks:
            out = checkpoint(block, h, use_reentrant=False) if self.recomputes else block(h)
            h = h + out if self.residual else out
        embedding: Tensor = self.head(h)
        return embedding


class CriticNetwork(nn.Module):
    """Both networks, with the statistics that standardise their inputs as buffers, and so in every checkpoint.

    Of a mixture a linear map stands beside each network, and the heads begin small (`trainables.critic.mixture`).
    """

    state_mean: Tensor
    state_std: Tensor
    action_mean: Tensor
    action_std: Tensor

    def __init__(self, config: CriticModelConfig, scale: Scale, *, goal_velocity: bool) -> None:
        super().__init__()
        self.frequencies = config.frequencies
        columns = 1 + 2 * config.frequencies  # of each input
        goal, outputs = STATE if goal_velocity else POSITION, config.embedding_dim
        mixed = config.similarity == "mixture"
        of_phi = replace(config, embedding_dim=columns_of_phi(config.kernels, outputs)) if mixed else config
        self.phi = ResidualNetwork((STATE + ACTION) * columns, of_phi)
        self.psi = ResidualNetwork(goal * columns, config)
        self.linear_phi: nn.Linear | None = None
        self.linear_psi: nn.Linear | None = None
        if mixed:
            self.linear_phi, self.linear_psi = _straight_on(config, scale, goal)
            begin_small(self.phi.head, self.psi.head, 1 + len(self.psi.blocks))
        for name, tensor in scale._asdict().items():
            self.register_buffer(name, tensor.clone())

    def forward(
        self, state: Float[Tensor, "B 4"], action: Float[Tensor, "B 2"], goal: Float[Tensor, "B G"]
    ) -> tuple[Tensor, Tensor]:
        """Return phi and psi, as a plain tuple for data-parallel wrappers; a goal is a state, or its position."""
        return self.embed(state, action), self.embed_goal(goal)

    def embed(self, state: Float[Tensor, "B 4"], action: Float[Tensor, "B 2"]) -> Float[Tensor, "B P"]:
        """Return phi."""
        parts = (state - self.state_mean) / self.state_std, (action - self.action_mean) / self.action_std
        own = torch.cat(parts, dim=1)
        phi: Tensor = self.phi(with_waves(own, self.frequencies))
        return phi if self.linear_phi is None else phi + self.linear_phi(own)

    def embed_goal(self, goal: Float[Tensor, "B G"]) -> Float[Tensor, "B D"]:
        """Return psi."""
        columns = goal.shape[1]
        own = (goal - self.state_mean[:columns]) / self.state_std[:columns]
        psi: Tensor = self.psi(with_waves(own, self.frequencies))
        return psi if self.linear_psi is None else psi + self.linear_psi(own)


def _straight_on(config: CriticModelConfig, scale: Scale, goal_columns: int) -> LinearMaps:
    parts = scale.state_std[:POSITION], scale.action_mean, scale.action_std
    return straight_on(*parts, kernels=config.kernels, embedding=config.embedding_dim, goal_columns=goal_columns)


def with_waves(x: Float[Tensor, "B I"], frequencies: int) -> Float[Tensor, "B J"]:
    """Return x, then sin(2^k x) and cos(2^k x) of each column for k = 0 ... frequencies - 1."""
    octaves = 2.0 ** torch.arange(frequencies, dtype=x.dtype, device=x.device)
    angles = (x[:, :, None] * octaves).flatten(1)
    return torch.cat([x, angles.sin(), angles.cos()], dim=1)


def _layer(inputs: int, width: int, norm: bool) -> nn.Sequential:
    parts = [_dense(inputs, width), *([nn.LayerNorm(width, eps=1e-6)] if norm else []), nn.SiLU()]
    return nn.Sequential(*parts)


def _dense(inputs: int, outputs: int) -> nn.Linear:
    dense = nn.Linear(inputs, outputs)
    bound = math.sqrt(3.0 / inputs)
    nn.init.uniform_(dense.weight, -bound, bound)
    nn.init.zeros_(dense.bias)
    return dense


def _moments(rows: Float[Tensor, "N C"]) -> tuple[Tensor, Tensor]:
    mean, std = rows.double().mean(dim=0), rows.double().std(dim=0, correction=0)
    return mean.float(), torch.where(std > 0, std, 1.0).float()
