"""The two players of the game with their optimisers, and their way into a checkpoint and back, bit for bit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.core.seeding import derive
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.statistics import Statistics
from trainables.gan.config import GanConfig
from trainables.gan.networks import Critic, MovementNetwork
from trainables.generation.training_state import restore_training_state, save_training_state
from trainables.nn.ema import ExponentialMovingAverage
from trainables.training.checkpoint import (
    flatten,
    optimizer_tensors,
    restore_optimizer,
    select,
)
from trainables.training.worker import Worker

KIND = "gan"


@dataclass
class NetworkAndOptimizer:
    """One network and its optimiser.

    Attributes:
        parallel: The network with gradients common to all workers; what is called where it is trained.
    """

    network: nn.Module
    parallel: nn.Module
    optimizer: torch.optim.Optimizer

    def tensors(self) -> dict[str, Tensor]:
        """Weights and the optimiser's moments, by name."""
        moments = optimizer_tensors(self.optimizer)
        return {**flatten("network", self.network.state_dict()), **flatten("optimizer", moments)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of `tensors`."""
        self.network.load_state_dict(select("network", tensors))
        restore_optimizer(self.optimizer, select("optimizer", tensors))


@dataclass
class State:
    """Everything that training changes; `step` counts the generator's steps."""

    generator: NetworkAndOptimizer
    critic: NetworkAndOptimizer
    ema: ExponentialMovingAverage
    step: int = 0
    epoch: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, moments and averages by name."""
        return {
            **flatten("generator", self.generator.tensors()),
            **flatten("critic", self.critic.tensors()),
            **flatten("ema", self.ema.model.state_dict()),
        }

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Load the tensors of `tensors`; nothing else of the state is in a checkpoint's record."""
        self.generator.load(select("generator", tensors))
        self.critic.load(select("critic", tensors))
        self.ema.model.load_state_dict(select("ema", tensors))


def initial_state(config: GanConfig, statistics: Statistics, worker: Worker) -> State:
    """Both players and the averaged generator before the first step; the weights depend on the seed alone."""
    torch.manual_seed(derive(config.seed, "weights"))
    generator = MovementNetwork(len(statistics.mean), statistics.condition_width, config.model).to(worker.device)
    critic = Critic(statistics, config.model).to(worker.device)
    ema = ExponentialMovingAverage(generator, config.optim.ema_decay)
    return State(_player(generator, config, worker), _player(critic, config, worker), ema)


def _player(network: nn.Module, config: GanConfig, worker: Worker) -> NetworkAndOptimizer:
    betas = (config.optim.betas[0], config.optim.betas[1])
    return NetworkAndOptimizer(
        network, worker.wrap(network), torch.optim.Adam(network.parameters(), betas=betas, fused=True)
    )


def save_state(state: State, config: GanConfig, splits: DataSplits, folder: Path) -> None:
    """Write the state, and what sampling needs beside it, as a checkpoint."""
    save_training_state(folder, KIND, config, splits, state)


def restore_state(state: State, config: GanConfig, splits: DataSplits, folder: Path) -> None:
    """Restore the state from a checkpoint of the same run; raises as `restore_training_state` does."""
    restore_training_state(folder, KIND, config, splits, state)


def count_parameters(networks: Iterable[nn.Module]) -> int:
    """Trained numbers of all networks together."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())
