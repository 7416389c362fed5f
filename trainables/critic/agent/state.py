"""Training state of an agent: networks, optimisers, averaged actor and buffers, in every checkpoint.

The buffers of all workers are part of it, since episodes were made by actors that no longer exist: a resumed run
samples what an uninterrupted one does. Rank 0 writes those of the others too; while all hold the same recordings, its
own is enough, and the run can be resumed with any number of workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import derive
from trainables.critic.agent.api import KIND
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.learners import LEARNERS, Learner
from trainables.critic.agent.modes import MODES, environment_steps
from trainables.critic.agent.workers import PARTS, number_apart
from trainables.critic.buffer import Buffer
from trainables.critic.episodes import episodes_of_split
from trainables.data.splits.data_splits import DataSplits
from trainables.generation.training_state import restore_training_state, save_training_state
from trainables.nn.ema import ExponentialMovingAverage
from trainables.training.checkpoint import CheckpointError, flatten, load_record, select
from trainables.training.worker import Worker

BUFFERS = "buffers"  # key of a checkpoint's record: their number


@dataclass
class State:
    """State that training changes.

    Attributes:
        ema: Averaged actor, which is evaluated.
        rank: Of the worker whose state it is.
        others: Buffers of the other workers by rank, at rank 0 after an epoch.
    """

    learner: Learner
    buffer: Buffer
    ema: ExponentialMovingAverage
    rank: int = 0
    others: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)
    step: int = 0
    epoch: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, moments, averages and the rows of the buffers by name."""
        tensors = {
            **self.learner.tensors(),
            **flatten("ema", self.ema.model.state_dict()),
            **flatten("buffer", {name: getattr(self.buffer, name) for name in PARTS}),
        }
        for rank, parts in self.others.items():
            tensors |= flatten(f"buffer_{rank}", parts)
        return tensors

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Load the tensors of `tensors`, of the buffers that of this worker."""
        self.learner.load(tensors)
        self.ema.model.load_state_dict(select("ema", tensors))
        own = self.rank and record.get(BUFFERS, 1) > 1
        self.buffer = Buffer(**select(f"buffer_{self.rank}" if own else "buffer", tensors))
        if not own:
            number_apart(self.buffer, self.rank)


def initial_state(config: AgentConfig, splits: DataSplits, worker: Worker) -> State:
    """Return the state before the first step; the weights depend on the seed alone.

    Raises:
        ConfigError: The recordings do not fit into the buffer.
    """
    torch.manual_seed(derive(config.seed, "weights"))
    learner = LEARNERS[config.algorithm](config, worker)
    ema = ExponentialMovingAverage(learner.policy.actor, config.optim.ema_decay)
    buffer = Buffer.in_memory(config.collection.capacity)
    if MODES[config.mode].recordings:
        recorded = episodes_of_split(splits["train"], config.data.canonical)
        require(
            len(recorded.state) <= buffer.capacity,
            "`collection.capacity` for all rows of the recordings",
            f"capacity={buffer.capacity}, rows={len(recorded.state)}",
            "raise it",
        )
        buffer.add(recorded)
    number_apart(buffer, worker.rank)
    return State(learner, buffer, ema, worker.rank)


def save_state(state: State, config: AgentConfig, splits: DataSplits, folder: Path) -> None:
    """Write the state as a checkpoint; at rank 0."""
    save_training_state(folder, KIND, config, splits, state, record={BUFFERS: 1 + len(state.others)})


def restore_state(state: State, config: AgentConfig, splits: DataSplits, folder: Path, worker: Worker) -> None:
    """Restore the state from a checkpoint of the same run.

    Raises:
        CheckpointError: As `restore_training_state`, or the checkpoint holds the episodes of more or fewer workers.
    """
    require_its_workers(folder, config, worker.world_size)
    restore_training_state(folder, KIND, config, splits, state)


def require_its_workers(checkpoint: Path, config: AgentConfig, workers: int) -> None:
    """Raise CheckpointError if a checkpoint holds the episodes of more or fewer workers; without episodes any fit."""
    record = load_record(checkpoint)
    buffers, collected = record.get(BUFFERS, 1), environment_steps(config, int(record.get("epoch", 0))) > 0
    if buffers != workers and (collected or buffers > 1):
        raise CheckpointError(
            f"{checkpoint}: expected the episodes of workers={workers}, but got those of {buffers}; resume with as "
            "many workers as before"
        )
