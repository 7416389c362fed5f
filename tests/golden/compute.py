"""Numbers that must not move unnoticed; `python -m tests.golden.compute` writes them anew, when a change means to."""

import json
from itertools import islice
from pathlib import Path

import torch

from trainables.core.seeding import generator
from trainables.data.canonical import encode
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.dataset import SequenceDataset, batches
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import Generator, conditions_of
from trainables.diffusion.config import DiffusionConfig, ModelConfig, MotionConfig
from trainables.diffusion.loop import optimise
from trainables.diffusion.objective import Objective, sample_randomness
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.ranking_term import condition_queue, draw_negatives
from trainables.diffusion.state import initial_state
from trainables.eval.features.kinematic import movement_features
from trainables.eval.metrics import c2st, mmd_rbf, prd, standardise
from trainables.physical.minimum_jerk import MinimumJerk
from trainables.training.metric_names import TRAIN_LOSS
from trainables.training.worker import ALONE

FILE = Path(__file__).with_name("golden.json")
STEPS = 20
CONFIG = DiffusionConfig(
    seed=1,
    model=ModelConfig(base_channels=16, dropout=0.0, self_condition=True),
    motion=MotionConfig(channel=False, ends=False),
    contrastive=ContrastiveConfig(weight=0.1),
)


def goldens() -> dict[str, list[float]]:
    """A loss curve of 20 steps, one DDIM sample of the model it leaves, and the metrics of a fixed pair."""
    splits, objective = load_splits(DataConfig()), Objective.of(CONFIG.diffusion)
    width, random = splits.statistics.condition_width, generator(CONFIG.seed, "golden")
    state = initial_state(CONFIG, ALONE, width)
    dataset, queue = (
        SequenceDataset(splits["train"], splits.statistics),
        condition_queue(CONFIG.contrastive, width),
    )
    losses = []
    for batch in islice(batches(lambda _: (dataset,), 32, random), STEPS):
        drawn = sample_randomness(batch, CONFIG.diffusion, random, estimates=True)
        negatives = draw_negatives(batch.condition, CONFIG.contrastive, random, queue, drawn.drop_condition)
        drawn = drawn._replace(negatives=negatives)
        losses.append(optimise(state, CONFIG, batch, drawn, objective)[TRAIN_LOSS])
    one = splits["validation"].take(torch.arange(1))
    known = conditions_of(splits["train"])
    sampler = Generator(state.ema.model, objective.schedule, splits.statistics, CanonicalConfig(), known)
    z = next(sampler.stream(conditions_of(one), one, seed=3, steps=5))
    return {"loss": losses, "sample": z[0, :8].flatten().tolist(), "metrics": _metrics_of_a_pair()}


def _metrics_of_a_pair() -> list[float]:
    real = load_splits(DataConfig())["validation"].take(torch.arange(150))
    fake = encode(MinimumJerk()(real, generator(2, "golden")), CanonicalConfig())
    pair = [movement_features(part.deltas, part.mask) for part in (real, fake)]
    scaled = standardise(pair[0], pair[1])
    return [c2st(pair[0], pair[1]), mmd_rbf(scaled.real, scaled.others[0]), *prd(scaled.real, scaled.others[0])]


if __name__ == "__main__":
    torch.set_num_threads(1)
    FILE.write_text(json.dumps(goldens(), indent=1) + "\n")
