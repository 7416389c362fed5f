"""Training state of a critic: networks, optimiser and average, saved to and restored from checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.core.seeding import derive
from trainables.critic.api import KIND
from trainables.critic.config import CriticConfig
from trainables.critic.networks import CriticNetwork, Scale
from trainables.data.splits.data_splits import DataSplits
from trainables.generation.training_state import restore_training_state, save_training_state
from trainables.nn.ema import ExponentialMovingAverage
from trainables.training.checkpoint import flatten, optimizer_tensors, restore_optimizer, select
from trainables.training.worker import Worker


@dataclass
class State:
    """State that training changes.

    Attributes:
        parallel: Network whose gradients are averaged over all workers; the one that training calls.
    """

    network: CriticNetwork
    parallel: nn.Module
    optimizer: torch.optim.Optimizer
    ema: ExponentialMovingAverage
    step: int = 0
    epoch: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, moments and averages by name."""
        return {
            **flatten("network", self.network.state_dict()),
            **flatten("optimizer", optimizer_tensors(self.optimizer)),
            **flatten("ema", self.ema.model.state_dict()),
        }

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Load the tensors of `tensors`; nothing else of the state is in a checkpoint's record."""
        self.network.load_state_dict(select("network", tensors))
        restore_optimizer(self.optimizer, select("optimizer", tensors))
        self.ema.model.load_state_dict(select("ema", tensors))


def initial_state(config: CriticConfig, scale: Scale, worker: Worker) -> State:
    """Return the state before the first step; the weights depend on the seed alone."""
    torch.manual_seed(derive(config.seed, "weights"))
    network = CriticNetwork(config.model, scale, goal_velocity=config.goal_velocity).to(worker.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.optim.lr, fused=True)
    ema = ExponentialMovingAverage(network, config.optim.ema_decay)
    return State(network, worker.wrap(network), optimizer, ema)


def save_state(state: State, config: CriticConfig, splits: DataSplits, folder: Path) -> None:
    """Write the state as a checkpoint; the statistics of states and actions are part of the weights."""
    save_training_state(folder, KIND, config, splits, state)


def restore_state(state: State, config: CriticConfig, splits: DataSplits, folder: Path) -> None:
    """Restore the state from a checkpoint of the same run; raises as `restore_training_state` does."""
    restore_training_state(folder, KIND, config, splits, state)
