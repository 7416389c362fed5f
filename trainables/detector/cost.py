"""Measure the cost of a detector's run on this machine by a few real steps."""

from trainables.data.splits.loading import load_splits
from trainables.detector.api import Detector
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.goal_consistency import GoalConsistency
from trainables.detector.dataset.training_set import Scaling, TrainingSet, label_maps
from trainables.detector.evaluation.validator import Validator
from trainables.detector.state import initial_state
from trainables.detector.train import items, optimise
from trainables.training.timing import seconds
from trainables.training.trainable import Cost
from trainables.training.worker import Worker

TENSORS_PER_WEIGHT = 4  # weight, two moments, average


def measure(config: DetectorConfig) -> Cost:
    """Time a step, the bots of a pass and one validation of this configuration with the current torch threads."""
    splits = load_splits(config.data)
    scaling = Scaling.fit(splits, GoalConsistency.of_checkpoint(config.critic_checkpoint, splits))
    dataset = TrainingSet(splits["train"], scaling, label_maps(), config)
    state = initial_state(config, len(splits.statistics.mean), Worker(), scaling.width)
    examples, _ = dataset.dataset(dataset.negatives(0))
    item = next(items(examples, config, 0))
    step_s = seconds(lambda: optimise(state, config, item))
    validator = Validator.fit(splits["validation"], scaling, config)
    detector = Detector(state.ema.model, scaling, config.data.canonical)
    negatives_s = seconds(lambda: dataset.dataset(dataset.negatives(0)))
    return Cost(
        step_s=step_s,
        steps_per_epoch=config.steps_per_epoch,
        evaluation_s=negatives_s + seconds(lambda: validator(detector)),
        checkpoint_bytes=sum(4 * TENSORS_PER_WEIGHT * p.numel() for p in state.network.parameters()),
    )
