"""Training state of an agent: networks, optimisers, averaged actor and buffer, in every checkpoint.

The buffer is part of it, since episodes were made by actors that no longer exist: a resumed run samples what an
uninterrupted one does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import derive
from trainables.critic.agent.api import KIND
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.learners import LEARNERS, Learner
from trainables.critic.agent.modes import MODES
from trainables.critic.buffer import ARRAYS, Buffer
from trainables.critic.episodes import episodes_of_split
from trainables.data.splits.data_splits import DataSplits
from trainables.generation.training_state import restore_training_state, save_training_state
from trainables.nn.ema import ExponentialMovingAverage
from trainables.training.checkpoint import flatten, select
from trainables.training.worker import Worker

PARTS = (*ARRAYS, "counters")  # of the buffer


@dataclass
class State:
    """State that training changes; `ema` is the averaged actor, which is evaluated."""

    learner: Learner
    buffer: Buffer
    ema: ExponentialMovingAverage
    step: int = 0
    epoch: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, moments, averages and the rows of the buffer by name."""
        return {
            **self.learner.tensors(),
            **flatten("ema", self.ema.model.state_dict()),
            **flatten("buffer", {name: getattr(self.buffer, name) for name in PARTS}),
        }

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Load the tensors of `tensors`; nothing else of the state is in a checkpoint's record."""
        self.learner.load(tensors)
        self.ema.model.load_state_dict(select("ema", tensors))
        self.buffer = Buffer(**select("buffer", tensors))


def initial_state(config: AgentConfig, splits: DataSplits, worker: Worker) -> State:
    """Return the state before the first step; the weights depend on the seed alone.

    Raises:
        ConfigError: The recordings do not fit into the buffer.
    """
    torch.manual_seed(derive(config.seed, "weights"))
    learner = LEARNERS[config.algorithm](config, worker.device)
    ema = ExponentialMovingAverage(learner.policy.actor, config.optim.ema_decay)
    buffer = Buffer.in_memory(config.collection.capacity)
    if MODES[config.mode].recordings:
        recorded = episodes_of_split(splits["train"], config.data.canonical)
        require(
            len(recorded.state) <= buffer.capacity,
            "`collection.capacity` for all rows of the recordings",
            f"capacity={buffer.capacity}, rows={len(recorded.state)}",
        )
        buffer.add(recorded)
    return State(learner, buffer, ema)


def save_state(state: State, config: AgentConfig, splits: DataSplits, folder: Path) -> None:
    """Write the state as a checkpoint."""
    save_training_state(folder, KIND, config, splits, state)


def restore_state(state: State, config: AgentConfig, splits: DataSplits, folder: Path) -> None:
    """Restore the state from a checkpoint of the same run; raises as `restore_training_state` does."""
    restore_training_state(folder, KIND, config, splits, state)
