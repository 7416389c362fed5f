"""Measure the cost of a critic's run on this machine by a few real steps."""

from trainables.core.seeding import generator
from trainables.critic.buffer import filled
from trainables.critic.config import CriticConfig
from trainables.critic.episodes import episodes_of_split
from trainables.critic.evaluation.validator import Validator
from trainables.critic.state import initial_state
from trainables.critic.train import averaged, optimise, scale_of
from trainables.data.splits.loading import load_splits
from trainables.training.timing import seconds
from trainables.training.trainable import Cost
from trainables.training.worker import Worker

TENSORS_PER_WEIGHT = 4  # weight, two moments, average


def measure(config: CriticConfig) -> Cost:
    """Time a step and one validation of this configuration with the current torch threads."""
    splits = load_splits(config.data)
    buffer = filled(episodes_of_split(splits["train"], config.data.canonical))
    state, random = initial_state(config, scale_of(buffer), Worker()), generator(config.seed, "cost")
    drawn = buffer.sample(config.batch_size, config.gamma, random, goal_velocity=config.goal_velocity)
    step_s = seconds(lambda: optimise(state, config, drawn))
    validator, critic = Validator.fit(splits["validation"], splits["train"], config), averaged(state, config)
    return Cost(
        step_s=step_s,
        steps_per_epoch=config.steps_per_epoch,
        evaluation_s=seconds(lambda: validator(critic)),
        checkpoint_bytes=sum(4 * TENSORS_PER_WEIGHT * p.numel() for p in state.network.parameters()),
    )
