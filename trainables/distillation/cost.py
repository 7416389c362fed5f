"""Measure what a distillation will cost on this machine, from a few real steps."""

import torch

from trainables.augmentation.training_set import first_part
from trainables.core.seeding import generator
from trainables.data.dataset import SequenceDataset, batches
from trainables.diffusion.api import CHUNK
from trainables.distillation.config import DistillConfig
from trainables.distillation.state import untrained_state
from trainables.distillation.train import Distillation, optimise
from trainables.training.timing import PROBE_S, seconds
from trainables.training.trainable import Cost
from trainables.training.worker import ALONE


def measure(config: DistillConfig) -> Cost:
    """Time optimisation steps and network calls of the first stage with the torch threads that are set now.

    The teacher's samples, which are drawn once, are spread over the epochs.

    Raises:
        ConfigError, CheckpointError: as `load_teacher` does.
    """
    run, stage = Distillation.of(config, ALONE), config.stage_of(1)
    state = untrained_state(run.teacher.student_config(config, stage.calls), run.teacher, ALONE)
    dataset = SequenceDataset(first_part(run.splits["train"]), run.splits.statistics)
    random, parent = generator(config.seed, "cost"), run.parent(state, stage)
    batch = run.in_diffusion_space(state, next(batches(lambda _: (dataset,), config.batch_size, random)))
    step_s = seconds(lambda: optimise(state, run, parent, stage, batch, None, random))
    rows = run.in_diffusion_space(state, dataset[torch.arange(min(CHUNK, len(dataset)))])
    times = torch.zeros(len(rows.condition))
    with torch.no_grad():
        call_s = seconds(lambda: state.student.ema.model(rows.sequences.z, times, rows.sequences.mask, rows.condition))
    calls = sum(config.stage_calls) / len(config.stage_calls) + config.teacher_calls / config.epochs
    samples = min(config.evaluation.movements, len(run.splits["validation"]))
    return Cost(
        step_s=step_s,
        steps_per_epoch=config.steps_per_epoch,
        evaluation_s=PROBE_S + call_s * calls * samples / len(rows.condition),
        checkpoint_bytes=sum(5 * p.numel() * p.element_size() for p in state.student.model.parameters()),
    )
