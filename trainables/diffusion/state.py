"""Everything that training changes, and its way into a checkpoint and back, bit for bit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.core.seeding import derive
from trainables.data.config import CONDITION_WIDTH
from trainables.data.splits.data_splits import DataSplits
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.latents.autoencoder import Autoencoder
from trainables.diffusion.models.unet1d import UNet1D
from trainables.generation.training_state import restore_training_state, save_training_state
from trainables.nn.ema import ExponentialMovingAverage, power_function, warmed_up
from trainables.training.checkpoint import (
    flatten,
    optimizer_tensors,
    restore_optimizer,
    select,
)
from trainables.training.worker import Worker

KIND = "diffusion"
INIT_FROM, REWEIGHT = "init_from", "reweight"  # keys of the record, see `trainables.diffusion.origins`


@dataclass
class EarlyStopping:
    """Counter of epochs without improvement.

    >>> stopping = EarlyStopping()
    >>> [stopping.after(value, min_delta=0.1) for value in (1.0, 0.95, 0.8, 0.9)]
    [0, 1, 0, 1]
    """

    best: float | None = None
    stale: int = 0

    def after(self, value: float, min_delta: float) -> int:
        """Return the epochs since the last improvement by more than `min_delta`, this one included."""
        if self.best is None or value < self.best - min_delta:
            self.best, self.stale = value, 0
        else:
            self.stale += 1
        return self.stale


@dataclass
class State:
    """Network, averaged network, optimiser, and how far they are.

    Attributes:
        autoencoder: Into the space of the diffusion and back; None if that is the space of the sequences.
        origin: Plain values for the record of its checkpoints: initial weights and weights in the loss, if there are.
    """

    model: nn.Module
    parallel: nn.Module
    ema: ExponentialMovingAverage
    optimizer: torch.optim.Optimizer
    step: int = 0
    epoch: int = 0
    patience: EarlyStopping = field(default_factory=EarlyStopping)
    autoencoder: Autoencoder | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, moments and averages by name."""
        return {
            **flatten("model", self.model.state_dict()),
            **flatten("ema", self.ema.model.state_dict()),
            **flatten("optimizer", optimizer_tensors(self.optimizer)),
            **flatten("autoencoder", self.autoencoder.state_dict() if self.autoencoder else {}),
        }

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Load the tensors of `tensors`, and counter of early stopping and origin from a checkpoint's record."""
        self.model.load_state_dict(select("model", tensors))
        self.ema.model.load_state_dict(select("ema", tensors))
        if self.autoencoder is not None:
            self.autoencoder.load_state_dict(select("autoencoder", tensors))
        restore_optimizer(self.optimizer, select("optimizer", tensors))
        self.patience = EarlyStopping(**record["patience"])
        self.origin = {key: record[key] for key in (INIT_FROM, REWEIGHT) if key in record}


def initial_state(config: DiffusionConfig, worker: Worker, condition_width: int = CONDITION_WIDTH) -> State:
    """Network, average and optimiser before the first step; the weights depend on the seed alone.

    Args:
        condition_width: Of the network's condition, as the statistics of the data have it.
    """
    torch.manual_seed(derive(config.seed, "weights"))
    model = UNet1D(config.model.unet(config.channels, condition_width)).to(worker.device)
    optim = config.optim
    law = warmed_up(optim.ema_decay) if optim.ema_width is None else power_function(optim.ema_width)
    ema = ExponentialMovingAverage(model, law)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.optim.lr,
        betas=(config.optim.betas[0], config.optim.betas[1]),
        weight_decay=config.optim.weight_decay,
        fused=True,
    )
    return State(model, worker.wrap(model), ema, optimizer, autoencoder=_untrained(config, worker))


def _untrained(config: DiffusionConfig, worker: Worker) -> Autoencoder | None:
    if not config.latent.enabled:
        return None
    autoencoder = Autoencoder(config.data.canonical.form.channels, config.latent)
    return autoencoder.to(worker.device).requires_grad_(False)


def save_state(state: State, config: DiffusionConfig, splits: DataSplits, folder: Path) -> None:
    """Write the state, and what sampling needs beside it, as a checkpoint."""
    record = {"patience": vars(state.patience), **state.origin}
    save_training_state(folder, KIND, config, splits, state, record=record)


def restore_state(state: State, config: DiffusionConfig, splits: DataSplits, folder: Path) -> None:
    """Restore the state from a checkpoint of the same run; raises as `restore_training_state` does."""
    restore_training_state(folder, KIND, config, splits, state)
