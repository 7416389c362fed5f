"""The distillation: a diffusion of few network calls, in stages that each halve them.

In a stage the student begins from the weights of its parent and learns to make one step of its sampler where the parent
makes two (`trainables.distillation.objective`); then it is the parent of the next. Its conditions are those of the
training movements. Channel dropout is off: the target is a function of x_t, and there is no noise to smooth over.

Every random stream is derived from (seed, purpose, epoch), so that a run resumed at any epoch continues as if never
interrupted, bit for bit.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.augmentation.training_set import TrainingSet, training_set
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical
from trainables.data.dataset import Batch, shared, weighted_batches
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import Generator
from trainables.diffusion.loop import descend
from trainables.diffusion.motion import in_diffusion_space
from trainables.diffusion.objective import Objective
from trainables.diffusion.samplers import Velocity, guided
from trainables.diffusion.sampling import sampling_times
from trainables.diffusion.validation import sampler_of
from trainables.distillation.config import DistillConfig, Stage
from trainables.distillation.fidelity import rms_px
from trainables.distillation.objective import distillation_loss
from trainables.distillation.state import State, restore_state, save_state, untrained_state
from trainables.distillation.teacher import Teacher, load_teacher
from trainables.eval.generation.training_plots import training_plots
from trainables.eval.generation.validator import Validator
from trainables.nn.lr_schedule import learning_rate, set_learning_rate
from trainables.training import metric_names as names
from trainables.training.trainable import Epoch
from trainables.training.worker import ALONE, Worker, require_equal_parts


@dataclass(frozen=True, eq=False)
class Distillation:
    """What a run does not change: configuration, data, teacher and references."""

    config: DistillConfig
    splits: DataSplits
    teacher: Teacher
    validator: Validator
    worker: Worker

    @classmethod
    def of(cls, config: DistillConfig, worker: Worker) -> "Distillation":
        """Load the teacher and the data, and fit the references; raises as `load_teacher` does."""
        splits = load_splits(config.data)
        teacher = load_teacher(config, splits, worker.device)
        splits = splits.with_ends(teacher.config.motion_ends)
        validator = Validator.fit(splits["validation"], splits["train"], config.data.canonical, config.evaluation)
        return cls(config, splits, teacher, validator, worker)

    @cached_property
    def reference(self) -> Canonical:
        """The teacher's samples under the conditions of the held-out movements."""
        return self.teacher.generator.sample_matching(
            self.validator.held_out, seed=self.config.evaluation.sampling_seed
        )

    def sampler(self, state: State, calls: int) -> Generator:
        """Return the student with its averaged weights as they are now, in so many network calls."""
        config = self.teacher.student_config(self.config, calls)
        return replace(sampler_of(state.student, config, self.splits, Objective.of(config.diffusion)), distilled=True)

    def samples(self, state: State, calls: int) -> Canonical:
        """Return the student's samples from the noise, and under the conditions, of the teacher's."""
        held_out, seed = self.validator.held_out, self.config.evaluation.sampling_seed
        return self.sampler(state, calls).sample_matching(held_out, seed=seed)

    def in_diffusion_space(self, state: State, batch: Batch) -> Batch:
        """Return a batch of sequences as the networks see it."""
        motion = self.splits.statistics if self.teacher.config.motion_channel else None
        return in_diffusion_space(batch, state.student.autoencoder, motion)

    def parent(self, state: State, stage: Stage) -> "Parent":
        """Return the network that the student of a stage makes one call of two of."""
        teacher = self.teacher.generator
        guidance = teacher.sampling.guidance if stage.number == 0 else 1.0
        times = sampling_times(replace(teacher.sampling, steps=2 * stage.calls), teacher.schedule, teacher.prediction)
        return Parent(state, teacher, guidance, times)


@dataclass(frozen=True, eq=False)
class Parent:
    """The sampler whose steps are joined in pairs.

    Attributes:
        times: Diffusion times of its calls, the noisiest first.
    """

    state: State
    teacher: Generator
    guidance: float
    times: Int[Tensor, "S"]

    def velocity(self, mask: Bool[Tensor, "B T"], condition: Float[Tensor, "B D"]) -> Velocity:
        """Return its velocity under conditions, with the teacher's guidance where it is the teacher."""
        schedule, prediction = self.teacher.schedule, self.teacher.prediction
        return guided(self.state.parent, mask, condition, schedule, prediction, self.guidance)


def epochs(config: DistillConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Train and yield the state after every epoch, beginning with the teacher in the first student's calls (epoch 0).

    Args:
        resume: A checkpoint folder of the same configuration; the first epoch yielded is the one after it.

    Raises:
        ConfigError, RecordingError: wrong configuration, data or teacher, before any training.
        CheckpointError: `resume` or the teacher is unreadable or belongs to another configuration or data set.
        TrainingDivergedError: a loss that is not finite.
    """
    run = Distillation.of(config, worker)
    first = run.teacher.student_config(config, config.stage_of(0).calls)
    require_equal_parts(config, worker.world_size)
    dataset = training_set(run.splits, config.data.canonical, first.augmentation, config.seed)
    state = untrained_state(first, run.teacher, worker)
    if resume is not None:
        restore_state(state, config, run.teacher, run.splits, resume)
    else:
        yield _evaluate(state, run, {})
    while state.student.epoch < config.epochs:
        training = train_epoch(state, run, dataset)
        state.student.epoch += 1
        yield _evaluate(state, run, training)


def train_epoch(state: State, run: Distillation, dataset: TrainingSet) -> dict[str, float]:
    """Train for one epoch, the first of a stage from its beginning; the caller counts the epoch.

    Returns the mean loss, and in the first epoch of a stage how far the student was from the teacher before.

    Raises:
        TrainingDivergedError: a loss is NaN or infinite.
    """
    config, worker = run.config, run.worker
    epoch = state.student.epoch + 1
    stage, before = config.stage_of(epoch), dict[str, float]()
    if stage.begins(epoch):
        if stage.number:
            state.begin_stage()
        if worker.rank == 0:
            before[names.DISTILLATION_RMS_BEFORE] = rms_px(run.samples(state, stage.calls), run.reference)
    began = time.perf_counter()
    streams = {use: generator(config.seed, use, epoch) for use in ("order", "noise")}
    parent, sums = run.parent(state, stage), Counter[str]()
    stream = islice(weighted_batches(dataset.passed, config.batch_size, streams["order"]), config.steps_per_epoch)
    done = (epoch - stage.first_epoch) * config.steps_per_epoch
    for step, (batch, weight) in enumerate(stream, done):
        batch = run.in_diffusion_space(state, batch)
        rate = learning_rate(step, stage.epochs * config.steps_per_epoch, config.optim)
        set_learning_rate(state.student.optimizer, rate)
        sums.update(optimise(state, run, parent, stage, batch, weight, streams["noise"]))
    means = {name: value / config.steps_per_epoch for name, value in sums.items()}
    timing = {
        names.TRAIN_STEPS: float(state.student.step),
        names.TRAIN_SECONDS: time.perf_counter() - began,
    }
    return {**means, **before, names.TRAIN_LEARNING_RATE: state.student.optimizer.param_groups[0]["lr"], **timing}


def optimise(
    state: State,
    run: Distillation,
    parent: Parent,
    stage: Stage,
    batch: Batch,
    weight: Float[Tensor, "B"] | None,
    random: torch.Generator,
) -> dict[str, float]:
    """One step of the optimiser on this worker's rows of a batch, whose calls and noise are drawn for all of it.

    Raises:
        TrainingDivergedError: the loss is NaN or infinite.
    """
    config, worker = run.config, run.worker
    call = torch.randint(stage.calls, (len(batch.condition),), generator=random)
    eps = torch.randn(batch.sequences.z.shape, generator=random)

    def loss_of(part: int) -> Mapping[str, Tensor]:
        index, count = worker.rank + part * worker.world_size, config.optim.accumulate * worker.world_size
        mine = slice(index, None, count)
        loss = distillation_loss(
            state.student.parallel,
            parent.velocity,
            run.teacher.generator.schedule,
            parent.times,
            shared(batch, index, count, worker.device),
            eps[mine].to(worker.device),
            call[mine].to(worker.device),
            config.weighting,
            None if weight is None else weight[mine].to(worker.device),
        )
        return {names.TRAIN_LOSS: loss}

    state.student.parallel.eval()
    return descend(state.student, config.optim, loss_of, worker)


def _evaluate(state: State, run: Distillation, training: Mapping[str, float]) -> Epoch:
    """Evaluate the averaged weights with the same noise in every epoch and trial; other workers wait for rank 0."""
    config, worker, epoch = run.config, run.worker, state.student.epoch
    stage = config.stage_of(epoch)
    metrics = {names.EPOCH: float(epoch), names.DISTILLATION_CALLS: float(stage.calls), **training}
    plots = None
    if worker.rank == 0:
        began = time.perf_counter()
        fake = run.samples(state, stage.calls)
        metrics |= run.validator(fake)
        metrics[names.VAL_RMS_TO_TEACHER] = rms_px(fake, run.reference)
        metrics[names.VAL_SECONDS] = time.perf_counter() - began
        metrics[names.PARAMETERS] = float(sum(p.numel() for p in state.student.model.parameters()))
        plots = partial(training_plots, run.validator, fake)
    milestone = f"calls-{stage.calls}" if epoch and stage.ends(epoch) else ""
    save = partial(save_state, state, config, run.teacher, run.splits)
    return Epoch(epoch, metrics, save, plots, milestone)
