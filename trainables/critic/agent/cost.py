"""Measure the cost of an agent's run on this machine by a few real steps."""

import time
from collections.abc import Iterable

from torch import Tensor

from trainables.core.seeding import generator
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.modes import environment_steps
from trainables.critic.agent.state import initial_state
from trainables.critic.agent.train import add_episodes, evaluation_of, update
from trainables.critic.agent.workers import PARTS
from trainables.data.splits.loading import load_splits
from trainables.training.timing import seconds
from trainables.training.trainable import Cost
from trainables.training.worker import Worker


def measure(config: AgentConfig) -> Cost:
    """Time an update, the episodes of an epoch and one evaluation with the current torch threads.

    The rounds of episodes are counted with the updates of their epoch, as a last one has them. A checkpoint has the
    buffer of each worker, of recordings alone, which are equal, one.
    """
    own = environment_steps(config, config.epochs) > 0
    state, random = initial_state(config, load_splits(config.data), Worker()), generator(config.seed, "cost")
    state.epoch = config.epochs - 1
    began = time.perf_counter()
    add_episodes(state, config)
    episodes_s = time.perf_counter() - began
    update_s = seconds(lambda: update(state, config, random))
    return Cost(
        step_s=update_s + episodes_s / config.steps_per_epoch,
        steps_per_epoch=config.steps_per_epoch,
        evaluation_s=seconds(lambda: evaluation_of(state, config)),
        checkpoint_bytes=_bytes(state.tensors().values()),
        worker_bytes=_bytes(getattr(state.buffer, name) for name in PARTS) if own else 0,
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
