"""Measure what an adversarial run will cost on this machine, from a few real steps."""

from itertools import cycle

from trainables.augmentation.training_set import first_part
from trainables.core.seeding import generator
from trainables.data.dataset import SequenceDataset, batches
from trainables.data.splits.loading import load_splits
from trainables.gan.api import GanGenerator
from trainables.gan.config import GanConfig
from trainables.gan.state import count_parameters, initial_state
from trainables.gan.train import train_step
from trainables.generation.blocks import CHUNK
from trainables.generation.conditions import conditions_of
from trainables.training.timing import PROBE_S, seconds
from trainables.training.trainable import Cost
from trainables.training.worker import Worker

TENSORS_PER_WEIGHT = (4, 3)  # generator: weight, two moments, average; critic: without the average


def measure(config: GanConfig) -> Cost:
    """Time steps of the game and samples of this configuration with the torch threads that are set now."""
    splits = load_splits(config.data)
    dataset = SequenceDataset(first_part(splits["train"]), splits.statistics)
    state = initial_state(config, splits.statistics, Worker())
    random = generator(config.seed, "cost")
    rounds = [
        next(batches(lambda _: (dataset,), config.batch_size, random)) for _ in range(config.optim.critic_steps + 1)
    ]
    stream = cycle(rounds)
    step_s = seconds(lambda: train_step(state, config, stream, random))
    known = conditions_of(splits["train"])
    sampler = GanGenerator(state.ema.model, config.model, splits.statistics, config.data.canonical, known)
    rows = splits["train"].take(known.raw[:CHUNK, 0].argsort())
    call_s = seconds(lambda: sampler.sample_matching(rows, seed=0))
    samples = min(config.evaluation.movements, len(splits["validation"]))
    weights = (count_parameters([state.generator.network]), count_parameters([state.critic.network]))
    return Cost(
        step_s=step_s,
        steps_per_epoch=config.steps_per_epoch,
        evaluation_s=PROBE_S + call_s * samples / len(rows),
        checkpoint_bytes=sum(4 * copies * n for copies, n in zip(TENSORS_PER_WEIGHT, weights, strict=True)),
    )
