"""The diffusion trainable: a denoiser of human movements, trained epoch by epoch and judged on held-out people.

One optimisation step: draw t, noise and forgotten conditions; velocity loss plus ranking term; clip; AdamW; EMA. Every
random stream is derived from (seed, purpose, epoch), so that a run resumed at any epoch continues as if never cut.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables import names
from trainables.checkpoint import CheckpointError, flatten, load_checkpoint, save_checkpoint, select
from trainables.config import plain, require
from trainables.data.dataset import Batch, DataConfig, DataParts, SequenceDataset, batches, load_parts
from trainables.diffusion.api import Generator, conditions_of, generator_record, unet_mapping
from trainables.diffusion.augment import AugmentationConfig, training_set
from trainables.diffusion.ema import ExponentialMovingAverage
from trainables.diffusion.models.unet1d import UNet1D, UNetConfig
from trainables.diffusion.noise.schedule import SCHEDULES, Schedule
from trainables.diffusion.objective import ContrastiveConfig, Draw, Loss, diffusion_loss, draw
from trainables.epoch import ALONE, Epoch, Worker
from trainables.eval.validation import EvaluationConfig, Validator
from trainables.seeding import derive, generator


@dataclass(frozen=True)
class ModelConfig:
    """The searched and fixed sizes of the UNet."""

    base_channels: int = 64  # widths 64, 96, 128, 128: 1.2M parameters
    channel_mults: tuple[float, ...] = (1.0, 1.5, 2.0, 2.0)
    groups: int = 8  # divides the widths of every base that is a multiple of 16
    dropout: float = 0.1

    def unet(self) -> UNetConfig:
        """The network's own configuration, with the widths that the data dictate."""
        return UNetConfig(**unet_mapping(vars(self)))

    def __post_init__(self) -> None:
        self.unet()


@dataclass(frozen=True)
class NoiseConfig:
    """The diffusion process."""

    schedule: str = "cosine"
    timesteps: int = 1000
    condition_dropout: float = 0.1  # share of rows that train the unconditional model, for guidance

    def __post_init__(self) -> None:
        require(self.schedule in SCHEDULES, f"`schedule` in {{{', '.join(SCHEDULES)}}}", f"schedule={self.schedule}")
        require(self.timesteps >= 1, "`timesteps >= 1`", f"timesteps={self.timesteps}")
        require(0 <= self.condition_dropout < 1, "`0 <= condition_dropout < 1`", str(self.condition_dropout))


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine decay."""

    lr: float = 2e-3  # a sweep trial takes some hundred steps; 2e-4 suits runs of ten thousand
    weight_decay: float = 1e-2
    betas: tuple[float, ...] = (0.9, 0.999)
    grad_clip: float = 1.0
    ema_decay: float = 0.999
    warmup_steps: int = 50
    final_lr_share: float = 0.05
    mixed_precision: bool = True  # only where the device computes bfloat16 natively

    def __post_init__(self) -> None:
        require(0 < self.lr < math.inf, "`0 < lr < inf`", f"lr={self.lr}")
        require(self.weight_decay >= 0, "`weight_decay >= 0`", f"weight_decay={self.weight_decay}")
        valid = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        require(valid, "`betas` are two numbers in [0, 1)", f"betas={self.betas}")
        require(self.grad_clip > 0, "`grad_clip > 0`", f"grad_clip={self.grad_clip}")
        require(0 <= self.ema_decay < 1, "`0 <= ema_decay < 1`", f"ema_decay={self.ema_decay}")
        require(self.warmup_steps >= 0, "`warmup_steps >= 0`", f"warmup_steps={self.warmup_steps}")
        require(0 <= self.final_lr_share <= 1, "`0 <= final_lr_share <= 1`", str(self.final_lr_share))


@dataclass(frozen=True)
class DiffusionConfig:
    """One training run."""

    seed: int = 0
    epochs: int = 9
    steps_per_epoch: int = 150  # between two evaluations; equal for every alpha, so that trials cost the same
    batch_size: int = 64
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    diffusion: NoiseConfig = field(default_factory=NoiseConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "`epochs >= 1`", f"epochs={self.epochs}")
        require(self.steps_per_epoch >= 1, "`steps_per_epoch >= 1`", f"steps_per_epoch={self.steps_per_epoch}")
        require(self.batch_size >= 2, "`batch_size >= 2`", f"batch_size={self.batch_size}")
        require(
            self.contrastive.weight == 0 or self.contrastive.negatives < self.batch_size,
            "`contrastive.negatives < batch_size`",
            f"negatives={self.contrastive.negatives}, batch_size={self.batch_size}",
        )


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite: the run ends, nothing is skipped."""


@dataclass
class State:
    """Everything that training changes."""

    model: nn.Module
    parallel: nn.Module
    ema: ExponentialMovingAverage
    optimizer: torch.optim.Optimizer
    step: int = 0
    epoch: int = 0


def epochs(config: DiffusionConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Train and yield the state after every epoch, beginning with the untrained model (epoch 0).

    Args:
        resume: A checkpoint folder of the same configuration; the first epoch yielded is the one after it.

    Raises:
        ConfigError, RecordingError: wrong configuration or data, before any training.
        CheckpointError: `resume` is unreadable or belongs to another configuration or data set.
        TrainingDivergedError: a loss that is not finite.
    """
    parts = load_parts(config.data)
    dataset = training_set(parts, config.data.canonical, config.augmentation, config.seed).dataset
    schedule = SCHEDULES[config.diffusion.schedule](config.diffusion.timesteps)
    validator = Validator.fit(parts["validation"], config.data.canonical, config.evaluation)
    state = initial_state(config, worker)
    if resume is not None:
        _restore(state, config, parts, resume)
    else:
        yield _judge(state, config, parts, schedule, validator, {}, worker)
    while state.epoch < config.epochs:
        training = _train_epoch(state, config, dataset, schedule, worker)
        state.epoch += 1
        yield _judge(state, config, parts, schedule, validator, training, worker)


def initial_state(config: DiffusionConfig, worker: Worker) -> State:
    """Network, average and optimiser before the first step; the weights depend on the seed alone."""
    torch.manual_seed(derive(config.seed, "weights"))
    model = UNet1D(config.model.unet()).to(worker.device)
    ema = ExponentialMovingAverage(model, config.optim.ema_decay)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.optim.lr,
        betas=(config.optim.betas[0], config.optim.betas[1]),
        weight_decay=config.optim.weight_decay,
        fused=True,
    )
    return State(model, worker.wrap(model), ema, optimizer)


def learning_rate(step: int, total: int, config: OptimConfig) -> float:
    """Linear warm-up to `lr`, then half a cosine down to `final_lr_share * lr` at step `total`."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(total - config.warmup_steps, 1)
    low = config.final_lr_share
    return config.lr * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def _train_epoch(
    state: State, config: DiffusionConfig, dataset: SequenceDataset, schedule: Schedule, worker: Worker
) -> dict[str, float]:
    began = time.perf_counter()
    torch.manual_seed(derive(config.seed, "dropout", state.epoch, worker.rank))
    streams = {use: generator(config.seed, use, state.epoch) for use in ("order", "noise", "negatives")}
    total = config.epochs * config.steps_per_epoch
    sums: Counter[str] = Counter()
    for batch in islice(batches(dataset, config.batch_size, streams["order"]), config.steps_per_epoch):
        drawn = draw(batch, len(schedule), config.diffusion.condition_dropout, streams["noise"])
        _set_learning_rate(state.optimizer, learning_rate(state.step, total, config.optim))
        sums.update(optimise(state, config, *shard(batch, drawn, worker), schedule, streams["negatives"]))
    means = {name: value / config.steps_per_epoch for name, value in sums.items()}
    timing = {names.TRAIN_STEPS: float(state.step), names.TRAIN_SECONDS: time.perf_counter() - began}
    return {**means, names.TRAIN_LEARNING_RATE: state.optimizer.param_groups[0]["lr"], **timing}


def shard(batch: Batch, drawn: Draw, worker: Worker) -> tuple[Batch, Draw]:
    """The slice of a batch and of its randomness that this worker computes, on its device."""
    rows = slice(worker.rank, None, worker.world_size)
    z, mask = batch.sequences
    place = worker.device
    sequences = type(batch.sequences)(z[rows].to(place), mask[rows].to(place))
    return Batch(sequences, batch.condition[rows].to(place)), Draw(*(part[rows].to(place) for part in drawn))


def optimise(
    state: State, config: DiffusionConfig, batch: Batch, drawn: Draw, schedule: Schedule, negatives: torch.Generator
) -> dict[str, float]:
    """One step of AdamW on one batch, gradient clipped, averaged weights updated; returns the parts of the loss.

    Raises:
        TrainingDivergedError: the loss is NaN or infinite.
    """
    state.parallel.train()
    with autocast(batch.condition.device, config.optim.mixed_precision):
        loss = diffusion_loss(state.parallel, schedule, batch, drawn, config.contrastive, negatives)
    if not math.isfinite(loss.total.item()):
        raise TrainingDivergedError(
            f"the loss is {loss.total.item()} at step {state.step}; lower optim.lr={config.optim.lr}"
        )
    state.optimizer.zero_grad(set_to_none=True)
    loss.total.backward()
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.optim.grad_clip)
    state.optimizer.step()
    state.ema.update(state.model)
    state.step += 1
    return {**_parts_of(loss), names.TRAIN_GRADIENT_NORM: norm.item()}


def _parts_of(loss: Loss) -> dict[str, float]:
    parts = {
        names.TRAIN_LOSS: loss.total,
        names.TRAIN_DENOISING: loss.denoising,
        names.TRAIN_RANKING: loss.ranking,
        names.TRAIN_RANKING_ACCURACY: loss.ranking_accuracy,
    }
    return {name: part.item() for name, part in parts.items() if part is not None}


def _set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def autocast(device: torch.device, wanted: bool) -> AbstractContextManager[Any]:
    """bfloat16 autocast where the device has units for it; elsewhere it would be several times slower than float32."""
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16) if wanted and native else nullcontext()


def _judge(
    state: State,
    config: DiffusionConfig,
    parts: DataParts,
    schedule: Schedule,
    validator: Validator,
    training: Mapping[str, float],
    worker: Worker,
) -> Epoch:
    """Evaluate the averaged weights with the same noise in every epoch and trial; other workers wait for rank 0."""
    metrics: dict[str, float] = {names.EPOCH: state.epoch, **training}
    if worker.rank == 0:
        began = time.perf_counter()
        sampler = Generator(
            state.ema.model, schedule, parts.statistics, config.data.canonical, conditions_of(parts["train"])
        )
        metrics[names.VAL_LOSS] = _validation_loss(state, config, parts, schedule, worker.device)
        fake = sampler.like(validator.asked, seed=config.evaluation.seed, steps=config.evaluation.steps)
        metrics |= validator(fake)
        metrics[names.VAL_SECONDS] = time.perf_counter() - began
        metrics[names.PARAMETERS] = float(sum(p.numel() for p in state.model.parameters()))
    return Epoch(state.epoch, metrics, lambda folder: _save(state, config, parts, folder))


@torch.no_grad()
def _validation_loss(
    state: State, config: DiffusionConfig, parts: DataParts, schedule: Schedule, device: torch.device
) -> float:
    """Denoising loss of the averaged weights on the validation part, same times and noise in every epoch and trial."""
    dataset = SequenceDataset(parts["validation"], parts.statistics)
    batch = dataset[torch.arange(len(dataset))]
    drawn = draw(batch, len(schedule), 0.0, generator(config.evaluation.seed, "validation loss"))
    batch, drawn = shard(batch, drawn, Worker(device=device))
    plain_loss = ContrastiveConfig(weight=0.0)
    return diffusion_loss(state.ema.model, schedule, batch, drawn, plain_loss, torch.Generator()).total.item()


def _save(state: State, config: DiffusionConfig, parts: DataParts, folder: Path) -> None:
    tensors = {
        **flatten("model", state.model.state_dict()),
        **flatten("ema", state.ema.model.state_dict()),
        **flatten("optimizer", _optimizer_tensors(state.optimizer)),
        **generator_record(parts),
    }
    record = {
        "kind": "diffusion",
        "config": plain(config),
        "data_sha256": parts.sha256,
        "epoch": state.epoch,
        "step": state.step,
        "ema_updates": state.ema.updates,
    }
    save_checkpoint(folder, tensors, record)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    slots: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, slot in slots.items() for name, value in slot.items()}


def _restore(state: State, config: DiffusionConfig, parts: DataParts, folder: Path) -> None:
    """Bring back every changing part from a checkpoint of the same run.

    Raises:
        CheckpointError: the checkpoint belongs to another configuration or other data.
    """
    tensors, record = load_checkpoint(folder)
    if record.get("config") != plain(config):
        raise CheckpointError(f"{folder}: the checkpoint was made with another configuration; start a new run instead")
    if record.get("data_sha256") != parts.sha256:
        raise CheckpointError(f"{folder}: the checkpoint was trained on other data ({record.get('data_sha256')})")
    try:
        _load(state, tensors, record)
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{folder}: not a whole checkpoint of this run ({str(error).splitlines()[0]})") from None


def _load(state: State, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    state.model.load_state_dict(select("model", tensors))
    state.ema.model.load_state_dict(select("ema", tensors))
    saved: dict[int, dict[str, Tensor]] = {}
    for name, tensor in select("optimizer", tensors).items():
        index, _, slot = name.partition(".")
        saved.setdefault(int(index), {})[slot] = tensor
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": saved, "param_groups": groups})
    state.step, state.epoch, state.ema.updates = record["step"], record["epoch"], record["ema_updates"]
